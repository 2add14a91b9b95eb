"""A model is a function: its parameters are configured, ml_instance and execution are given to it by deriva-ml-run."""

import json

from deriva_ml import DerivaML
from deriva_ml.execution import Execution


def train(
    learning_rate: float = 1e-3,
    epochs: int = 10,
    batch_size: int = 32,
    ml_instance: DerivaML | None = None,
    execution: Execution | None = None,
) -> None:
    """Train on the input datasets of the execution. Put your own code here."""
    assert execution is not None, "run this by deriva-ml-run"
    samples = 0
    for bag in execution.datasets:
        for table, members in bag.list_dataset_members(recurse=True).items():
            print(f"Dataset {bag.dataset_rid}: {len(members)} x {table}")
            samples += len(members)

    for table, paths in execution.asset_paths.items():
        for path in paths:
            print(f"Input file from {table}: {path}")

    metrics = {"samples": samples, "learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size}

    # What is registered here is uploaded when the model returns, and linked to the execution.
    metrics_file = execution.asset_file_path(
        "Execution_Metadata", "metrics.json", asset_types="Metrics_File", description="What the run measured."
    )
    metrics_file.write_text(json.dumps(metrics, indent=2) + "\n")

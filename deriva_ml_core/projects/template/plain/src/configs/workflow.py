"""Group workflow: what kind of work a run is. Code, version and checksum are found by themselves."""

from deriva_ml.execution import Workflow
from hydra_zen import builds, store

workflow_store = store(group="workflow")

workflow_store(
    builds(
        Workflow,
        name="Train a model",
        workflow_type="Training",
        description="Train a model on the input datasets.",
        populate_full_signature=True,
    ),
    name="default_workflow",
)
workflow_store(
    builds(
        Workflow,
        name="Predict",
        workflow_type="Prediction",
        description="Apply a trained model.",
        populate_full_signature=True,
    ),
    name="prediction",
)

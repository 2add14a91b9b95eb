"""Group workflow: what kind of work a run is. Code, version and checksum are found by themselves."""

from deriva_ml.execution import Workflow
from hydra_zen import builds, store

workflow_store = store(group="workflow")

workflow_store(
    builds(
        Workflow,
        name="Train a digits classifier",
        workflow_type="Training",
        description="Train a small neural network on handwritten digits, test it on images that it has not seen.",
        populate_full_signature=True,
    ),
    name="default_workflow",
)

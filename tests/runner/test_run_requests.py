"""How many requests a whole `deriva-ml-run` makes: a figure that is published, counted where they arrive."""

import subprocess

from counted_run import requests_of_a_run

from deriva_ml_core.connection import DerivaML
from deriva_ml_core.workflows import Workflow

MODEL = """
import time

def train(epochs=1, rate=0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", "weights.txt").write_text(str(rate))
"""
MOST = 30
MOST_OF_A_DATASET = 30


def test_a_run_without_input_makes_at_most_thirty_requests(demo_project):
    """The first, with its workflow to register; and a later one of the same code, with a lock file and a diff."""
    project = demo_project(MODEL)
    first = requests_of_a_run(project)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=project.root, check=True)
    project.write("uv.lock", "version = 1")
    project.write("notes.py", "# not committed")
    second = requests_of_a_run(project)
    third = requests_of_a_run(project)

    assert max(first, second, third) <= MOST, (first, second, third)


def test_a_small_input_dataset_costs_at_most_thirty_requests(demo_project):
    """Two files, found, exported, fetched and linked; the second run, which has them in its cache, asks for less."""
    project = demo_project(MODEL)
    with DerivaML("local", "demo", working_dir=project.home / "maker") as ml:
        ml.add_dataset_element_type("Execution_Asset")
        workflow = Workflow(name="Make", workflow_type="Training", description="Two files")
        with ml.create_execution(workflow=workflow) as execution:
            for name in ("a", "b"):
                execution.asset_file_path("Execution_Asset", f"{name}.txt").write_text(name)
        execution.upload_execution_outputs()
        made = execution.create_dataset("Training")
        made.add_dataset_members([asset.asset_rid for asset in ml.list_assets("Execution_Asset")])
        spec = f"{made.dataset_rid}@{made.current_version}"
    project.write(
        "src/configs/inputs.py", f"from hydra_zen import store\nstore(['{spec}'], group='datasets', name='two')\n"
    )
    requests_of_a_run(project)  # registers the workflow
    without = requests_of_a_run(project)
    cold = requests_of_a_run(project, "datasets=two")
    warm = requests_of_a_run(project, "datasets=two")

    assert cold - without <= MOST_OF_A_DATASET
    assert warm - without <= 5

"""The guide's "Complete Walkthrough" works as it is written: its snippets, typed into the files that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deriva_ml_core.catalog import rows

# Word for word from running-models-and-notebooks.md, "Complete Walkthrough".
FILES = {
    "src/configs/__init__.py": "",
    "src/configs/deriva.py": """\
from hydra_zen import builds, store
from deriva_ml import DerivaMLConfig

DerivaMLConf = builds(DerivaMLConfig, populate_full_signature=True)
store(DerivaMLConf(hostname="dev.example.org", catalog_id="1"),
      group="deriva_ml", name="default_deriva")
""",
    "src/configs/datasets.py": """\
from hydra_zen import store
from deriva_ml.dataset import DatasetSpecConfig

store([], group="datasets", name="default_dataset")
store([DatasetSpecConfig(rid="1-ABC", version="1.0.0")],
      group="datasets", name="training")
""",
    "src/configs/assets.py": """\
from hydra_zen import store
store([], group="assets", name="default_asset")
""",
    "src/configs/workflow.py": """\
from hydra_zen import builds, store
from deriva_ml.execution import Workflow

store(builds(Workflow, name="default", workflow_type="Training",
             populate_full_signature=True),
      group="workflow", name="default_workflow")
""",
    "src/models/classifier.py": """\
from deriva_ml import DerivaML
from deriva_ml.execution import Execution

def train(
    learning_rate: float = 0.001,
    epochs: int = 10,
    ml_instance: DerivaML = None,
    execution: Execution | None = None,
) -> None:
    print(f"Training for {epochs} epochs at lr={learning_rate}")
    # Your training code here...
""",
    "src/configs/classifier.py": """\
from hydra_zen import builds, store
from models.classifier import train

store(builds(train, populate_full_signature=True, zen_partial=True),
      group="model_config", name="default_model")
store(builds(train, epochs=3, populate_full_signature=True, zen_partial=True),
      group="model_config", name="quick")
""",
    "src/configs/base.py": """\
from hydra_zen import store
from deriva_ml import DerivaML
from deriva_ml.execution import create_model_config

store(create_model_config(DerivaML), name="deriva_model")
""",
}
WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "my-ml-project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / ".gitignore").write_text("__pycache__/\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Initial model setup"]):
        subprocess.run(["git", *WHO, *arguments], cwd=root, check=True)
    return root


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deriva_ml_core.cli.run", *arguments],
        cwd=project,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_menu_lists_what_was_written(project: Path):
    """`uv run deriva-ml-run --info`."""
    shown = run(project, "--info")

    assert shown.returncode == 0, shown.stderr
    for name in ("default_deriva", "training", "default_asset", "default_workflow", "quick"):
        assert name in shown.stdout


def test_the_walkthrough_runs(project: Path, tmp_path: Path):
    """Dry run, then for real: recorded with its code, its configuration and its status."""
    command = [sys.executable, "-m", "deriva_ml_core.cli.catalog"]
    subprocess.run([*command, "create", "walk", "--schema"], check=True, capture_output=True)
    there = ("--host", "local", "--catalog", "walk", f"deriva_ml.working_dir={tmp_path / 'work'}")

    dry = run(project, *there, "dry_run=true")
    real = run(project, *there, "model_config=quick")

    assert dry.returncode == 0, dry.stderr
    assert real.returncode == 0, real.stderr
    assert "Training for 3 epochs at lr=0.001" in real.stdout
    from deriva_ml import DerivaML

    with DerivaML("local", "walk") as ml:
        (workflow,) = rows.select(ml.session, "Workflow", {"Name": "default"})
        (execution,) = rows.select(ml.session, "Execution", {"Workflow": workflow["RID"]})
    assert execution["Status"] == "Uploaded"
    assert workflow["URL"].endswith("path=/src/models/classifier.py")


def test_a_dataset_that_is_not_there_is_refused(project: Path):
    """The guide's `datasets=training` names a RID of no catalog of ours: one line, nothing written."""
    command = [sys.executable, "-m", "deriva_ml_core.cli.catalog"]
    subprocess.run([*command, "create", "walk", "--schema"], check=True, capture_output=True)

    refused = run(project, "--host", "local", "--catalog", "walk", "model_config=quick", "datasets=training")

    assert refused.returncode == 2, refused.stderr
    assert "in datasets[0]: rid: '1-ABC' is not a RID" in refused.stderr.splitlines()[-1]

"""A sweeper of somebody else's: Optuna's, from its own package. Its trials are children like all others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deriva_ml_core.projects.tools import find_uv

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{epochs}-{rate}.txt").write_text("done")
    return None if epochs == 9 else (rate - 0.3) ** 2
"""
SEARCH = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "model_config.rate=interval(0.1,0.5)"]
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
UV = find_uv()

pytestmark = [
    pytest.mark.skipif(UV is None, reason="hydra-optuna-sweeper is installed by uv, which is not on this machine"),
    pytest.mark.xdist_group("optuna"),  # installed once
]


@pytest.fixture(scope="module")
def with_optuna(tmp_path_factory):
    """PYTHONPATH of Optuna's sweeper. It asks for an Optuna of 2022, so it is no part of our environment."""
    folder = tmp_path_factory.mktemp("optuna")
    install = [UV, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    subprocess.run([*install, "-c", str(CONSTRAINTS), "hydra-optuna-sweeper==1.3.0"], check=True, timeout=600)
    return str(folder)


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_trials_of_optuna_are_the_children_of_one_parent(
    demo_project, demo_rows, tree, with_optuna, tmp_path, launcher
):
    """It is told what the models return, and launches the next trials by that; two at a time here."""
    made = demo_project(MODEL)

    done = made.run(
        "--multirun", *SEARCH, "hydra.sweeper.n_jobs=2", f"hydra/launcher={launcher}", PYTHONPATH=with_optuna
    )

    assert done.returncode == 0, done.stderr
    parent, children = tree()
    assert parent["Status"] == "Uploaded"
    assert [(child["Sequence"], child["Status"]) for child in children] == [(n, "Uploaded") for n in range(4)]
    rates = {row["Filename"].removeprefix("1-").removesuffix(".txt") for row in demo_rows("Execution_Asset")}
    assert {child["Description"].rpartition("model_config.rate=")[2].rstrip("]") for child in children} == rates
    (results,) = made.home.rglob("optimization_results.yaml")
    assert "best_value" in results.read_text()
    shown = made.run("show", parent["RID"], "--json", command="deriva-ml-executions")
    assert len(json.loads(shown.stdout)["children"]) == 4
    assert "report.html" in {row["Filename"] for row in demo_rows("Execution_Metadata")}


def test_what_a_sweeper_raises_itself_leaves_a_complete_record(demo_project, demo_rows, tree, with_optuna):
    """Models without a number are no trials to Optuna, which says so only at its end; the jobs have done their work."""
    made = demo_project(MODEL)

    done = made.run("--multirun", *SEARCH, "hydra.sweeper.n_jobs=2", "model_config.epochs=9", PYTHONPATH=with_optuna)

    assert done.returncode == 1
    assert "the sweeper optuna failed after sweep" in done.stderr.splitlines()[-1]
    assert "No trials are completed yet" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    parent, children = tree()
    assert (parent["Status"], [child["Status"] for child in children]) == ("Uploaded", ["Uploaded"] * 4)
    assert "report.html" in {row["Filename"] for row in demo_rows("Execution_Metadata")}


@pytest.mark.parametrize(
    ("wrong", "said"),
    {
        "model_config.rate=tag(log,interval(0,1))": "the sweeper optuna refuses: ValueError: The `low` value must be",
        "hydra.sweeper.direction=up": "the sweeper optuna refuses: ValueError: Please set either 'minimize' or",
        "hydra.sweeper.n_jobs=0": "batches without any job: hydra.sweeper.n_jobs, where it has that, is at least 1",
    }.items(),
)
def test_what_a_sweeper_refuses_is_one_line_and_leaves_nothing(demo_project, demo_rows, with_optuna, wrong, said):
    """The parent is opened when the first jobs are known: a search space that can't be searched has none."""
    done = demo_project(MODEL).run("--multirun", *SEARCH, wrong, PYTHONPATH=with_optuna)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [row for row in demo_rows("Execution") if "sentinel" not in row["Description"]] == []


def test_a_sweeper_that_is_not_installed_is_named_with_its_package(demo_project):
    """Hydra says only which sweepers there are."""
    done = demo_project(MODEL).run("--multirun", *SEARCH)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: hydra/sweeper=optuna needs the package hydra-optuna-sweeper: uv add hydra-optuna-sweeper"
    ]

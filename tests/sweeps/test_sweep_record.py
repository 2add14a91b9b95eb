"""A sweep is one parent and a child for each job, in the order of the jobs, each with a true end."""

from __future__ import annotations

import json
import re

import pytest

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    '''One output, or none.'''
    execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(str(rate))
    if rate > 1:
        raise ValueError(f"no convergence at {rate}")
"""
KILLED = """\
import os, signal

def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(str(rate))
    execution.log_metrics(0, loss=rate)
    if rate > 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sweep_is_one_parent_with_a_child_for_each_job(demo_project, tree, demo_rows):
    """Sequence is the job's number, the descriptions say what each job is, and the parent ends when they have."""
    result = demo_project(MODEL).run("--multirun", "model_config.rate=0.1,0.2,0.3", "description=Rates")

    assert result.returncode == 0, result.stderr
    parent, children = tree()
    assert (parent["Status"], parent["Description"]) == ("Uploaded", "Rates")
    assert [child["Sequence"] for child in children] == [0, 1, 2]
    assert [child["Status"] for child in children] == ["Uploaded"] * 3
    assert children[1]["Description"] == "[Job 1] Rates [overrides: model_config.rate=0.2]"
    assert {parent["Workflow"]} == {child["Workflow"] for child in children}
    assert "sweep.json" in [row["Filename"] for row in demo_rows("Execution_Metadata")]


def test_the_tree_is_shown(demo_project, tree):
    """`deriva-ml-executions show PARENT` lists the children: number, state, time, overrides, why one failed."""
    made = demo_project(MODEL)
    made.run("--multirun", "model_config.rate=0.1,2")
    parent, children = tree()

    shown = made.run("show", parent["RID"], "--json", command="deriva-ml-executions")
    document = json.loads(shown.stdout)
    assert [(child["RID"], child["Sequence"], child["Status"]) for child in children] == [
        (child["rid"], child["sequence"], child["status"]) for child in document["children"]
    ]
    assert [child["overrides"] for child in document["children"]] == ["model_config.rate=0.1", "model_config.rate=2"]
    lines = made.run("show", parent["RID"], command="deriva-ml-executions").stdout.splitlines()
    first, second = lines[lines.index("Children") + 1 :][:2]
    assert re.fullmatch(rf"  0: {children[0]['RID']} +Uploaded  [0-9.]+ s +model_config.rate=0.1", first)
    assert re.fullmatch(
        rf"  1: {children[1]['RID']} +Failed    [0-9.]+ s +model_config.rate=2  \(ValueError: no convergence at 2.0\)",
        second,
    )


def test_a_list_can_leave_the_jobs_to_their_parent(demo_project, demo_rows):
    """Of a sweep of 30 jobs the newest 20 executions are all jobs; that there are more is said."""
    made = demo_project(MODEL)
    made.run("--multirun", "model_config.rate=0.1,0.2,0.3")
    made.run("model_config.rate=0.4")
    (parent,) = {link["Execution"] for link in demo_rows("Execution_Execution")}

    few = made.run("list", "--limit", "2", command="deriva-ml-executions").stdout.splitlines()
    without = made.run("list", "--no-jobs", "--json", command="deriva-ml-executions").stdout

    assert (len(few), few[-1]) == (4, "(the first 2; --all shows all, --no-jobs leaves the jobs of sweeps out)")
    assert [one["rid"] == parent for one in json.loads(without)] == [False, True]


def test_a_failing_job_fails_its_parent_and_costs_the_others_nothing(demo_project, tree, demo_rows):
    """The parent says how many failed and why the first did; the other jobs' outputs are in the catalog."""
    result = demo_project(MODEL).run("--multirun", "model_config.rate=0.1,2,0.3")

    assert result.returncode == 1
    parent, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Failed", "Uploaded"]
    assert parent["Status"] == "Failed"
    assert parent["Status_Detail"] == (
        f"1 of 3 jobs did not end well; job 1 ({children[1]['RID']}) Failed: ValueError: no convergence at 2.0"
    )
    assert {"rate-0.1.txt", "rate-0.3.txt"} == {row["Filename"] for row in demo_rows("Execution_Asset")}


def test_what_a_killed_job_has_measured_is_in_the_catalog(demo_project, tree, demo_rows):
    """As of a run alone that is killed: what was staged as metadata; its outputs wait on disk."""
    made = demo_project(KILLED)

    result = made.run("--multirun", "model_config.rate=0.1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")

    assert result.returncode == 1
    _, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Failed"], result.stderr
    metrics = {row["RID"] for row in demo_rows("Execution_Metadata") if row["Filename"] == "metrics.jsonl"}
    links = demo_rows("Execution_Metadata_Execution")
    assert {link["Execution"] for link in links if link["Execution_Metadata"] in metrics} == {
        child["RID"] for child in children
    }
    assert [row["Filename"] for row in demo_rows("Execution_Asset")] == ["rate-0.1.txt"]


def test_batches_after_a_failing_one_are_launched(demo_project, tree):
    """Hydra's sweeper stops after the batch of a failing job; a recorded sweep goes on."""
    result = demo_project(MODEL).run("--multirun", "model_config.rate=2,0.2,0.3", "hydra.sweeper.max_batch_size=1")

    assert result.returncode == 1
    assert "no convergence at 2" in result.stderr
    _, children = tree()
    assert [child["Status"] for child in children] == ["Failed", "Uploaded", "Uploaded"]


def test_on_failure_stop_starts_no_job_after_a_failing_one(demo_project, tree):
    """Those that did not have their turn are children too: Aborted, and why."""
    arguments = ["--multirun", "model_config.rate=0.1,2,0.3,0.4", "hydra.callbacks.deriva_ml.on_failure=stop"]
    result = demo_project(MODEL).run(*arguments)

    assert result.returncode == 1
    parent, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Failed", "Aborted", "Aborted"]
    assert "an earlier job of the sweep has failed" in children[2]["Status_Detail"]
    assert parent["Status"] == "Failed"


def test_the_callback_can_be_switched_off(demo_project, demo_rows):
    """~hydra.callbacks.deriva_ml: each job is a run of its own."""
    result = demo_project(MODEL).run("--multirun", "model_config.rate=0.1,0.2", "~hydra.callbacks.deriva_ml")

    assert result.returncode == 0, result.stderr
    assert demo_rows("Execution_Execution") == []
    assert len([row for row in demo_rows("Execution") if "sentinel" not in row["Description"]]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deriva_ml=default_deriva,production"], "a sweep is one parent in one catalog"),
        (["deriva_ml.catalog_id=demo,other"], "a sweep is one parent in one catalog"),
        (["assets=[],[9-ZZZZ]"], "9-ZZZZ"),
        (["workflow.workflow_type=Nonsense", "model_config.rate=1,2"], "Nonsense"),
        (["model_config.rate=1,2", "hydra.callbacks.deriva_ml.on_failure=go"], "choose continue or stop"),
        (["model_config.epohcs=1,2"], "epohcs"),
    ],
)
def test_a_sweep_that_can_not_run_is_refused_with_nothing_written(demo_project, demo_rows, arguments, words):
    """One line, exit code 2, before the parent is opened."""
    result = demo_project(MODEL).run("--multirun", *arguments)

    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert [row for row in demo_rows("Execution") if "sentinel" not in row["Description"]] == []


def test_a_dry_sweep_writes_nothing(demo_project, demo_rows):
    """dry_run=true says for each job what would be recorded."""
    result = demo_project(MODEL).run("--multirun", "model_config.rate=0.1,0.2", "dry_run=true")

    assert result.returncode == 0, result.stderr
    assert [row for row in demo_rows("Execution") if "sentinel" not in row["Description"]] == []

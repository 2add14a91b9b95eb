"""Observers hear of everything that happens to an execution, and can change none of it."""

from __future__ import annotations

import json
import logging
import os

import pytest

from deriva_ml_core.plugins import Plugins

SPY = """
import json, os

def note(hook, **facts):
    with open(os.environ["SPY"], "a") as file:
        file.write(json.dumps({"hook": hook, "pid": os.getpid(), **facts}, default=str) + "\\n")

@hookimpl
def deriva_execution_opened(execution):
    note("opened", rid=execution.rid, status=execution.status, parent=execution.parent)

@hookimpl
def deriva_inputs_ready(execution, assets, datasets):
    note("inputs", files=[(one.table, one.path.name) for one in assets], datasets=list(datasets))

@hookimpl
def deriva_model_finished(execution):
    note("finished", status=execution.status)

@hookimpl
def deriva_outputs_committed(execution, outputs):
    note("committed", files=[(one.table, one.file_name, one.rid) for one in outputs])

@hookimpl
def deriva_execution_ended(execution, error):
    note("ended", rid=execution.rid, status=execution.status, error=error, parent=execution.parent)

@hookimpl
def deriva_sweep_opened(sweep):
    note("sweep opened", rid=sweep.rid, jobs=len(sweep.jobs))

@hookimpl
def deriva_sweep_ended(sweep, status, detail, children):
    note("sweep ended", rid=sweep.rid, status=status, detail=detail, children=[one.status for one in children])
"""


@pytest.fixture
def spy(install, tmp_path, monkeypatch):
    """Call it for what the installed spy has heard: [{"hook": …}]."""
    site = install("spy", SPY)
    file = tmp_path / "heard.jsonl"
    monkeypatch.setenv("SPY", str(file))
    monkeypatch.setenv("PYTHONPATH", str(site))

    def heard(*hooks: str) -> list[dict]:
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if not hooks or line["hook"] in hooks]

    return heard


def run(ml, workflow, **inputs):
    execution = ml.create_execution(workflow=workflow, **inputs)
    with execution:
        execution.asset_file_path("Execution_Asset", "out.txt").write_text("result")
    execution.commit_output_assets()
    return execution


def test_a_run_is_heard_from_its_opening_to_its_end(spy, new_ml, workflow):
    """In the order in which it happens."""
    run(new_ml, workflow)

    assert [one["hook"] for one in spy()] == ["opened", "inputs", "finished", "committed", "ended"]


def test_hook_deriva_execution_opened(spy, new_ml, workflow):
    """It has its record."""
    execution = run(new_ml, workflow)

    (heard,) = spy("opened")
    assert (heard["rid"], heard["status"]) == (execution.execution_rid, "Created")


def test_hook_deriva_inputs_ready(spy, new_ml, workflow, tmp_path):
    """With the files as the model will find them."""
    (tmp_path / "in.txt").write_text("in")

    run(new_ml, workflow, assets=[{"path": str(tmp_path / "in.txt")}])

    (heard,) = spy("inputs")
    assert heard["files"] == [["File", "in.txt"]]


def test_hook_deriva_model_finished(spy, new_ml, workflow):
    """The outputs are on disk, not yet in the catalog."""
    run(new_ml, workflow)

    assert [one["status"] for one in spy("finished")] == ["Stopped"]


def test_hook_deriva_outputs_committed(spy, new_ml, workflow):
    """With the RIDs that the catalog gave them."""
    execution = run(new_ml, workflow)

    (heard,) = spy("committed")
    ((table, name, rid),) = heard["files"]
    assert (table, name) == ("deriva-ml/Execution_Asset", "out.txt")
    assert rid == execution.uploaded_assets[table][0].asset_rid


def test_hook_deriva_execution_ended(spy, new_ml, workflow):
    """Well, or with its error, in which no secret stands."""
    run(new_ml, workflow)
    with pytest.raises(ValueError, match="no convergence"), new_ml.create_execution(workflow=workflow):
        raise ValueError("no convergence, password=hunter2222")

    well, badly = spy("ended")
    assert (well["status"], well["error"]) == ("Uploaded", None)
    assert (badly["status"], badly["error"]) == ("Failed", "ValueError: no convergence, password=[redacted]")


def test_a_dry_run_is_not_heard(spy, new_ml, workflow):
    """There is no execution."""
    execution = new_ml.create_execution(workflow=workflow, dry_run=True)
    with execution:
        pass

    assert spy() == []


def test_an_observer_that_fails_is_reported_and_changes_nothing(install, spy, new_ml, workflow, caplog):
    """The record is the run's, and the next observer hears of it as well."""
    install("acme", "@hookimpl\ndef deriva_execution_ended(execution):\n    raise RuntimeError('mail is down')")

    with caplog.at_level(logging.WARNING):
        execution = run(new_ml, workflow)

    assert execution.status.value == "Uploaded"
    assert "plugin acme, deriva_execution_ended: RuntimeError: mail is down" in caplog.text
    assert len(spy("ended")) == 1


SWEEP_MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    '''One output, or none.'''
    if rate > 1:
        raise ValueError(f"no convergence at {rate}")
"""


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_plugins_work_wherever_a_launcher_runs_a_job(spy, demo_project, launcher):
    """Each process loads them for itself; the sweep is heard of in the process that launches it."""
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")

    result = demo_project(SWEEP_MODEL).run(
        "--multirun",
        "model_config.rate=0.1,2",
        f"hydra/launcher={launcher}",
        timeout=240,
        PYTHONPATH=os.environ["PYTHONPATH"],
        SPY=os.environ["SPY"],
    )

    assert result.returncode == 1, result.stderr
    (parent,) = spy("sweep opened")
    ended = {(one["status"], one["parent"] is not None) for one in spy("ended")}
    assert ended == {("Uploaded", True), ("Failed", True), ("Failed", False)}
    workers = {one["pid"] for one in spy("ended") if one["parent"]}
    assert (workers == {parent["pid"]}) is (launcher == "basic")


@pytest.fixture
def swept(spy, demo_project):
    """What was heard of a sweep of two jobs, one of which fails."""
    demo_project(SWEEP_MODEL).run(
        "--multirun",
        "model_config.rate=0.1,2",
        PYTHONPATH=os.environ["PYTHONPATH"],
        SPY=os.environ["SPY"],
    )

    return spy


def test_hook_deriva_sweep_opened(swept):
    """The jobs as they are planned, and the parent, which has its record."""
    (opened,) = swept("sweep opened")

    assert opened["jobs"] == 2
    assert opened["rid"] in [one["rid"] for one in swept("opened") if one["parent"] is None]


def test_hook_deriva_sweep_ended(swept):
    """How each of the jobs ended, and what that makes of the whole."""
    (ended,) = swept("sweep ended")

    assert (ended["status"], ended["children"]) == ("Failed", ["Uploaded", "Failed"])
    assert "1 of 2 jobs did not end well" in ended["detail"]


def test_hook_deriva_make_reporter(install, tmp_path, capsys):
    """The first plugin's reporter takes the console's place; one that fails leaves the console."""
    from deriva_ml_core.executions import reporting

    install("acme", "@hookimpl\ndef deriva_make_reporter():\n    return 'mine'")
    assert reporting.current(Plugins()) == "mine"

    install("acme_broken", "@hookimpl\ndef deriva_make_reporter():\n    raise OSError('no display')")
    assert isinstance(reporting.current(Plugins()), reporting.ConsoleReporter | str)

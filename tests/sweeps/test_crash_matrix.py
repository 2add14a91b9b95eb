"""
The crash matrix: whatever ends a job, the record is true, alone and on any launcher.

One sweep for each launcher, a job for each event. In each cell: one child with the right number, a true status, the
other jobs' outputs in the catalog, the failing job's outputs kept on disk. The parent says how many failed, and the
exit code says that not all went well. What is seen goes to the matrix of the documentation (tests/fixtures).
"""

from __future__ import annotations

import shutil

import pytest
from disk_fixture import FILL

MODEL = (
    FILL
    + """
import os, resource, signal, sys, time

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")

def eat():
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, before[1]))
    try:
        return bytes(2**31)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(event)
    match event:
        case "exception": raise ValueError("no convergence")
        case "odd_exception": raise Odd(1, 2)
        case "exit_0": sys.exit(0)
        case "exit_3": sys.exit(3)
        case "keyboard_interrupt": raise KeyboardInterrupt
        case "memory": eat()
        case "os_exit": os._exit(7)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "sigterm": os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)
        case "catalog_gone": ml_instance._local.server.stop()
        case "disk_full": fill(execution.working_dir)
"""
)

LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}
PLACE = ("--host", "local", "--catalog", "demo")
KILLED = "its process ended without recording an end"
GONE = "local does not answer: 1 output file(s)"
EVENTS = {
    "well": ("Uploaded", ""),
    "exception": ("Failed", "ValueError: no convergence"),
    "odd_exception": ("Failed", "Odd: 1 2"),
    "exit_0": ("Failed", "SystemExit: 0"),
    "exit_3": ("Failed", "SystemExit: 3"),
    "keyboard_interrupt": ("Aborted", "KeyboardInterrupt"),
    "memory": ("Failed", "MemoryError"),
    "os_exit": ("Failed", KILLED),
    "sigkill": ("Failed", KILLED),
    "sigterm": ("Aborted", "SIGTERM"),
    "catalog_gone": ("Pending_Upload", GONE),
    "well_too": ("Uploaded", ""),
}
# Under basic the job's process is the launching process: see below.
OF_THE_LAUNCHING_PROCESS = ("os_exit", "sigkill", "sigterm", "catalog_gone")
# Submitit's processes ignore SIGTERM, since SLURM sends it before a preemption: the job goes on.
EXCEPTIONS = {("submitit_local", "sigterm"): ("Uploaded", "")}
NOTED = [one for one in EVENTS if not one.startswith("well")]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_a_job_does_is_its_own_fate(demo_project, demo_rows, tree, matrix, launcher):
    """Each child tells how it ended, and nobody else is the worse for it."""
    events = [one for one in EVENTS if launcher != "basic" or one not in OF_THE_LAUNCHING_PROCESS]
    expected = {one: EXCEPTIONS.get((launcher, one), EVENTS[one]) for one in events}
    made = demo_project(MODEL)

    result = made.run("--multirun", f"model_config.event={','.join(events)}", *LAUNCHERS[launcher], timeout=300)

    assert result.returncode == 1, result.stderr
    parent, children = tree()
    assert list(range(len(events))) == [child["Sequence"] for child in children]
    assert [status for status, _ in expected.values()] == [child["Status"] for child in children], result.stderr
    for child, (_, detail) in zip(children, expected.values(), strict=True):
        assert detail in (child["Status_Detail"] or "")
    well = {f"{one}.txt" for one, (status, _) in expected.items() if status == "Uploaded"}
    assert well == {row["Filename"] for row in demo_rows("Execution_Asset")}
    assert parent["Status"] == "Failed"
    assert f"{len(events) - len(well)} of {len(events)} jobs" in parent["Status_Detail"]
    for child, one in zip(children, events, strict=True):
        folder = made.home / f".deriva-ml/local/demo/deriva-ml/execution/{child['RID']}"
        assert [path.name for path in folder.rglob("*.txt") if path.stem == one] == (
            [] if child["Status"] == "Uploaded" else [f"{one}.txt"]
        )
        if one in NOTED:
            matrix(launcher, one, child["Status"], child["Status_Detail"])


def test_a_run_alone(demo_project, demo_rows, matrix):
    """The same events without a sweep; a run that can't tell its end itself is told of by recovery."""
    made, seen = demo_project(MODEL), set()

    for event in NOTED:
        result = made.run(f"model_config.event={event}")
        (before,) = [row for row in demo_rows("Execution") if row["RID"] not in seen and _is_run(row)]
        made.run("recover", *PLACE, command="deriva-ml-executions")
        (after,) = [row for row in demo_rows("Execution") if row["RID"] == before["RID"]]
        seen.add(after["RID"])
        assert result.returncode not in (0, 2), event
        status, detail = EVENTS[event]
        assert (after["Status"], detail in after["Status_Detail"]) == (status, True), result.stderr
        folder = made.home / f".deriva-ml/local/demo/deriva-ml/execution/{after['RID']}"
        assert [path.stem for path in folder.glob("assets/Execution_Asset/*.txt")] == [event]
        matrix("single", event, after["Status"], after["Status_Detail"], recovered=after != before)
    assert demo_rows("Execution_Asset") == []


def _is_run(row):
    return "sentinel" not in row["Description"]


def test_a_catalog_that_goes_away_under_the_launching_process(demo_project, demo_rows, tree, matrix):
    """The job before it is safe; what could not be told is told by recovery."""
    made = demo_project(MODEL)

    result = made.run("--multirun", "model_config.event=well,catalog_gone", timeout=300)
    made.run("recover", *PLACE, command="deriva-ml-executions")

    assert result.returncode not in (0, 2), result.stderr
    parent, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Pending_Upload"], result.stderr
    assert parent["Status"] == "Failed"
    assert [row["Filename"] for row in demo_rows("Execution_Asset")] == ["well.txt"]
    matrix("basic", "catalog_gone", children[1]["Status"], children[1]["Status_Detail"], recovered=True)


@pytest.mark.parametrize("event", ["sigterm", "sigkill", "os_exit"])
def test_a_job_that_ends_the_launching_process(demo_project, demo_rows, tree, matrix, event):
    """Under basic it is the job's own; the job before it is safe, the one after it had no turn."""
    made = demo_project(MODEL)

    result = made.run("--multirun", f"model_config.event=well,{event},well_too", timeout=300)
    before, _ = tree()
    recovered = made.run("recover", *PLACE, command="deriva-ml-executions")

    assert result.returncode not in (0, 2), result.stderr
    assert recovered.returncode == 0, recovered.stderr
    parent, children = tree()
    status, detail = EVENTS[event]
    assert [child["Status"] for child in children] == ["Uploaded", status, "Aborted"], result.stderr
    assert detail in children[1]["Status_Detail"]
    assert "not started" in children[2]["Status_Detail"]
    told_itself = event == "sigterm"
    assert (before == parent) is told_itself
    assert parent["Status"] == ("Aborted" if told_itself else "Failed")
    assert [row["Filename"] for row in demo_rows("Execution_Asset")] == ["well.txt"]
    folder = made.home / f".deriva-ml/local/demo/deriva-ml/execution/{children[1]['RID']}"
    assert (folder / f"assets/Execution_Asset/{event}.txt").read_text() == event
    matrix("basic", event, status, children[1]["Status_Detail"], recovered=not told_itself)


@pytest.mark.parametrize("column", ["single", *LAUNCHERS])
def test_a_catalog_that_is_not_there_at_the_start(demo_project, matrix, column):
    """Nothing has been recorded anywhere, and no job runs."""
    made = demo_project(MODEL)
    sweep = ["--multirun", "model_config.event=well,well_too", *LAUNCHERS[column]] if column in LAUNCHERS else []

    result = made.run("--host", "localhost:9", "--catalog", "1", *sweep)

    assert result.returncode == 1, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert "localhost:9 does not answer" in lines[0]
    assert not list(made.home.rglob("journal.json"))
    matrix(column, "catalog_at_start", "nothing is recorded", "the command says so, exit code 1")


@pytest.mark.parametrize("column", ["single", *LAUNCHERS])
def test_a_disk_that_is_full_at_the_upload(demo_project, demo_rows, small_disk, tmp_path, matrix, column):
    """
    Working folder and catalog on one disk: nothing can be told, until there is room. The jobs before it are safe.

    A disk that only the working folder is on costs nothing: the outputs are on it, and the catalog takes them.
    """
    made, disk = demo_project(MODEL), small_disk(48 * 2**20)
    shutil.copytree(tmp_path / "local_root", disk / "catalogs")
    root = {"DERIVA_ML_LOCAL_ROOT": str(disk / "catalogs")}
    events = ["disk_full"] if column == "single" else ["well", "disk_full"]
    sweep = [] if column == "single" else ["--multirun", "hydra.sweeper.max_batch_size=1", *LAUNCHERS[column]]

    result = made.run(
        *sweep, f"deriva_ml.working_dir={disk}/work", f"model_config.event={','.join(events)}", timeout=300, **root
    )
    journals = disk / "work/deriva-ml/execution"
    (ballast,) = journals.glob("*/ballast")
    ballast.unlink()
    told = made.run("recover", *PLACE, "--working-dir", f"{disk}/work", command="deriva-ml-executions", **root)

    assert result.returncode not in (0, 2), result.stderr
    assert told.returncode == 0, told.stderr
    shutil.rmtree(tmp_path / "local_root")
    shutil.copytree(disk / "catalogs", tmp_path / "local_root")
    runs = {row["RID"]: row for row in demo_rows("Execution") if _is_run(row)}
    links = sorted(demo_rows("Execution_Execution"), key=lambda link: link["Sequence"])
    children = [runs[link["Nested_Execution"]] for link in links] or list(runs.values())
    assert [child["Status"] for child in children][:-1] == ["Uploaded"] * (len(events) - 1), result.stderr
    assert children[-1]["Status"] in ("Failed", "Pending_Upload"), result.stderr
    assert (journals / children[-1]["RID"] / "assets/Execution_Asset/disk_full.txt").read_text() == "disk_full"
    assert [row["Filename"] for row in demo_rows("Execution_Asset")] == [f"{one}.txt" for one in events[:-1]]
    if links:
        assert runs[links[0]["Execution"]]["Status"] == "Failed"
    matrix(column, "disk_full", children[-1]["Status"], "", recovered=True)

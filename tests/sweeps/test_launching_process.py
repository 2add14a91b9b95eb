"""
The process that launches a sweep is told to end, or killed: the record is true, at once or after recovery.

Jobs: one that is done, and two that run until the file "go" appears (under basic the second has no turn).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest

MODEL = """\
import os, time
from pathlib import Path

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(event)
    if event == "quick":
        return
    Path(f"started-{event}").touch()
    until = time.monotonic() + 60
    while not Path("go").exists() and time.monotonic() < until:
        time.sleep(0.05)
"""
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}
PLACE = ("--host", "local", "--catalog", "demo")


@pytest.fixture
def started(demo_project):
    """Call it with a launcher's name for (project, process): the sweep's long jobs run. "single": no sweep."""
    processes = []

    def start(launcher):
        made = demo_project(MODEL)
        sweep = ["--multirun", "model_config.event=quick,slow,late", *LAUNCHERS.get(launcher, [])]
        process = subprocess.Popen(
            [str(made.command("deriva-ml-run")), *(["model_config.event=slow"] if launcher == "single" else sweep)],
            cwd=made.root,
            env=made.environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append((made, process))
        wanted = ["slow"] if launcher in ("single", "basic") else ["slow", "late"]
        journals = made.home / ".deriva-ml/local/demo/deriva-ml/execution"
        _wait(lambda: all((made.root / f"started-{one}").exists() for one in wanted) or process.poll() is not None)
        if launcher != "single":
            _wait(lambda: any('"status": "Uploaded"' in file.read_text() for file in journals.glob("*/journal.json")))
        assert process.poll() is None, process.communicate()
        return made, process

    yield start
    for made, process in processes:
        (made.root / "go").touch()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait() if process.stderr.closed else process.communicate()


def _wait(condition, seconds=90):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)  # other processes give no other sign
    assert condition()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_whose_terminal_closes_is_aborted_with_its_jobs(started, tree, launcher):
    """The kernel sends SIGHUP to all processes of the terminal; nobody is there to read, and the record is true."""
    _, process = started(launcher)

    process.stderr.close()
    os.killpg(process.pid, signal.SIGHUP)
    process.wait(timeout=60)

    parent, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Aborted", "Aborted"]
    assert (parent["Status"], parent["Status_Detail"]) == ("Aborted", "stopped by SIGHUP: 1 of 3 jobs are Uploaded")
    _wait(lambda: not _lives(process.pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_that_is_told_to_end_is_aborted_with_its_jobs(started, tree, demo_rows, matrix, launcher, number):
    """What was done stays Uploaded; what ran, and what had no turn, is Aborted; nothing runs on."""
    _, process = started(launcher)

    process.send_signal(number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 128 + number, err
    parent, children = tree()
    assert [child["Sequence"] for child in children] == [0, 1, 2]
    assert [child["Status"] for child in children] == ["Uploaded", "Aborted", "Aborted"], err
    assert parent["Status"] == "Aborted"
    assert "1 of 3 jobs are Uploaded" in parent["Status_Detail"]
    assert [row["Filename"] for row in demo_rows("Execution_Asset")] == ["quick.txt"]
    event = {signal.SIGINT: "launcher_ctrl_c", signal.SIGTERM: "launcher_sigterm"}[number]
    matrix(launcher, event, children[1]["Status"], "")


@pytest.mark.parametrize(
    ("event", "number", "status", "detail"),
    [
        ("launcher_ctrl_c", signal.SIGINT, "Aborted", "KeyboardInterrupt"),
        ("launcher_sigterm", signal.SIGTERM, "Aborted", "SIGTERM"),
        ("launcher_sigkill", signal.SIGKILL, "Failed", "its process ended without recording an end"),
    ],
)
def test_a_run_alone_that_is_told_to_end(started, demo_rows, matrix, event, number, status, detail):
    """At once where it can still say so; after a kill by the next command on its working folder."""
    made, process = started("single")

    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    killed = number == signal.SIGKILL
    if killed:
        made.run("recover", *PLACE, command="deriva-ml-executions")

    assert process.returncode == (-number if killed else 128 + number), err
    (run,) = [row for row in demo_rows("Execution") if "sentinel" not in row["Description"]]
    assert (run["Status"], detail in run["Status_Detail"]) == (status, True), err
    assert demo_rows("Execution_Asset") == []
    folder = made.home / f".deriva-ml/local/demo/deriva-ml/execution/{run['RID']}"
    assert (folder / "assets/Execution_Asset/slow.txt").read_text() == "slow"
    matrix("single", event, status, run["Status_Detail"], recovered=killed)


def test_a_killed_sweep_is_recovered(started, tree, demo_rows, matrix):
    """
    Under basic the running job dies with it: Failed; the one that had no turn is Aborted; the parent Failed. It gets
    its report, as if it had come to its end.
    """
    made, process = started("basic")

    process.kill()
    process.wait()
    done = made.run("recover", *PLACE, command="deriva-ml-executions")

    assert done.returncode == 0, done.stderr
    parent, children = tree()
    assert [child["Status"] for child in children] == ["Uploaded", "Failed", "Aborted"]
    assert "2 of 3 jobs" in parent["Status_Detail"]
    assert parent["Status"] == "Failed"
    assert parent["RID"] in done.stdout
    assert "report.html" in {row["Filename"] for row in demo_rows("Execution_Metadata")}
    matrix("basic", "launcher_sigkill", children[1]["Status"], children[1]["Status_Detail"], recovered=True)
    assert "nothing to recover" in made.run("recover", *PLACE, command="deriva-ml-executions").stdout


def test_several_who_recover_at_once_leave_one_record(started, tree, demo_rows):
    """Two terminals and a cron job: each execution has one end, the parent one report, and none of them fails."""
    made, process = started("basic")
    process.kill()
    process.wait()

    command = [str(made.command("deriva-ml-executions")), "recover", *PLACE]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    several = [subprocess.Popen(command, cwd=made.root, env=made.environment(), **pipes) for _ in range(3)]
    told = [one.communicate(timeout=120) for one in several]

    assert [one.returncode for one in several] == [0, 0, 0], told
    parent, children = tree()
    assert (parent["Status"], [child["Status"] for child in children]) == ("Failed", ["Uploaded", "Failed", "Aborted"])
    linked = [row["Execution"] for row in demo_rows("Execution_Metadata_Execution")]
    reports = [row for row in demo_rows("Execution_Metadata") if row["Filename"] == "report.html"]
    assert (len(reports), parent["RID"] in linked) == (1, True)
    journals = made.home.rglob("journal.json")
    assert [file for file in journals if '"pending": []' not in file.read_text()] == []


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_that_outlive_a_killed_launcher_are_left_alone_and_end_well(started, tree, matrix, launcher):
    """Recovery touches nothing that runs; when the jobs have ended, the parent is what came of them."""
    made, process = started(launcher)

    process.kill()
    process.wait()
    first = made.run("recover", *PLACE, command="deriva-ml-executions")
    parent, children = tree()
    assert "may still run" in first.stdout
    assert [child["Status"] for child in children] == ["Uploaded", "Running", "Running"]
    assert parent["Status"] == "Running"
    (made.root / "go").touch()
    _wait(lambda: {child["Status"] for child in tree()[1]} == {"Uploaded"})
    made.run("list", *PLACE, command="deriva-ml-executions")  # any command of this working folder recovers

    parent, children = tree()
    assert (parent["Status"], [child["Status"] for child in children]) == ("Uploaded", ["Uploaded"] * 3)
    matrix(launcher, "launcher_sigkill", "Uploaded", "the jobs run on, and a later command ends the parent")
    _wait(lambda: not _lives(process.pid))


def _lives(group):
    """Whether any process of a group does: a worker without a launcher ends when its job has."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

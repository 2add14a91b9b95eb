"""
The crash matrix: whatever ends a job, the record is true, on any launcher.

One sweep for each launcher, a job for each event. In each cell: one child with the right number, a true status, the
other jobs' outputs in the catalog, the failing job's outputs kept on disk. The parent says how many failed, and the
exit code says that not all went well.
"""

from __future__ import annotations

import pytest

MODEL = """\
import os, signal, sys, time

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(event)
    match event:
        case "exception": raise ValueError("no convergence")
        case "odd_exception": raise Odd(1, 2)
        case "exit_0": sys.exit(0)
        case "exit_3": sys.exit(3)
        case "keyboard_interrupt": raise KeyboardInterrupt
        case "os_exit": os._exit(7)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "sigterm": os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)
"""

LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}
KILLED = "its process ended without recording an end"
EVENTS = {
    "well": ("Uploaded", ""),
    "exception": ("Failed", "ValueError: no convergence"),
    "odd_exception": ("Failed", "Odd: 1 2"),
    "exit_0": ("Failed", "SystemExit: 0"),
    "exit_3": ("Failed", "SystemExit: 3"),
    "keyboard_interrupt": ("Aborted", "KeyboardInterrupt"),
    "os_exit": ("Failed", KILLED),
    "sigkill": ("Failed", KILLED),
    "sigterm": ("Aborted", "SIGTERM"),
    "well_too": ("Uploaded", ""),
}
# Under basic the job's process is the launching process: see test_launching_process.py.
OF_THE_LAUNCHING_PROCESS = ("os_exit", "sigkill", "sigterm")
# Submitit's processes ignore SIGTERM, since SLURM sends it before a preemption: the job goes on.
EXCEPTIONS = {("submitit_local", "sigterm"): ("Uploaded", "")}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_a_job_does_is_its_own_fate(demo_project, demo_rows, tree, launcher):
    """Each child tells how it ended, and nobody else is the worse for it."""
    events = [one for one in EVENTS if launcher != "basic" or one not in OF_THE_LAUNCHING_PROCESS]
    expected = {one: EXCEPTIONS.get((launcher, one), EVENTS[one]) for one in events}
    made = demo_project(MODEL)

    result = made.run("--multirun", f"model_config.event={','.join(events)}", *LAUNCHERS[launcher], timeout=240)

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

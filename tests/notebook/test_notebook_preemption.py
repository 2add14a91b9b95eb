"""A notebook in a SLURM job that is warned: it saves where it stands, and goes on from there as the same execution."""

from __future__ import annotations

import subprocess
import sys

import pytest
from notebook_fixture import LAST_CELL

NOTEBOOK = "notebooks/analysis.ipynb"
# What submitit does in a job of SLURM's: its handler asks SLURM to run the job again, and leaves.
JOB = """\
import os, signal, sys
os.environ["SUBMITIT_EXECUTOR"] = "slurm"
def requeue(number, frame):
    sys.exit(-1)
signal.signal(signal.SIGUSR2, requeue)
from deriva_ml_notebook.cli.run_notebook import main
sys.exit(main(sys.argv[1:]))
"""
WORK = """\
import os, signal, time
saved = execution.checkpoint_dir / "state.txt"
execution.on_preemption(lambda: saved.write_text("epoch 7"))
if not saved.exists():
    for pid in {pids}:
        os.kill(pid, signal.SIGUSR2)
    time.sleep(600)
print("goes on from", saved.read_text(), "restarts", execution.restarts)
"""
WARNED = {"the command alone": "[os.getppid()]", "its kernel too": "[os.getpid(), os.getppid()]"}


@pytest.mark.parametrize("who", WARNED)
def test_a_notebook_that_gives_way_goes_on_from_what_it_saved(notebooks, who):
    """Its execution does not end in between, and no kernel stays behind."""
    project = notebooks()
    project.write(WORK.format(pids=WARNED[who]), LAST_CELL)
    job = [sys.executable, "-c", JOB, NOTEBOOK, "--multirun", "threshold=0.1"]

    done = subprocess.run(
        job,
        cwd=project.project.root,
        env=project.project.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,
    )

    first = project.record()
    (parent,) = {link["Execution"] for link in first.links}
    (child,) = {link["Nested_Execution"] for link in first.links}
    (saved,) = project.project.home.rglob("checkpoints/state.txt")
    assert saved.read_text() == "epoch 7", done.stderr
    assert "KeyboardInterrupt" not in done.stderr
    assert not [name for name in first.files[child] if name.startswith("analysis")]

    project.run(NOTEBOOK, "--resume", parent)

    record = project.record()
    assert {row["Status"] for row in record.executions} == {"Uploaded"}
    (row,) = (row for row in record.executions if row["RID"] == child)
    assert "goes on from epoch 7 restarts 1" in record.text("analysis.md", row)

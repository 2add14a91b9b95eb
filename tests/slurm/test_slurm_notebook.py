"""A sweep of a notebook on a real SLURM cluster: as a model's, also where a job gives way to another."""

from __future__ import annotations

import pytest
from notebook_fixture import COMMAND, CONFIG, LAST_CELL, NotebookProject
from project_fixture import NO_OP_MODEL

SLEEPS = """\
import time
from pathlib import Path
Path(f"../started-{config.threshold}-{execution.restarts}").touch()
if config.threshold == 0.1 and execution.restarts == 0:
    time.sleep(600)
"""
WRITES = 'execution.asset_file_path("Execution_Asset", f"{config.threshold}.txt").write_text(str(execution.restarts))'


@pytest.fixture
def notebook(slurm_project):
    """Served, with the notebook; its jobs run on the second node, as long as they are let."""
    made = slurm_project(NO_OP_MODEL)
    made.project.write("src/configs/notebook_configs.py", CONFIG)
    NotebookProject(made.project, made.project.root).write(SLEEPS, WRITES, LAST_CELL)
    return made


def test_a_notebook_that_gives_way_runs_again_as_the_same_execution(notebook, wait_until):
    """SLURM warns the kernel, too, which must not die of it; the notebook starts anew from its first cell."""
    process = notebook.start(
        *["notebooks/analysis.ipynb", "+multirun=thresholds", "hydra/launcher=deriva_slurm"],
        "+hydra.launcher.additional_parameters.nodelist=n2",
        command=COMMAND,
    )
    started = notebook.project.root / "started-0.1-0"
    wait_until(lambda: started.exists() or process.poll() is not None)
    assert started.exists(), process.communicate()[1]
    notebook.cluster.ask("sbatch", "-p", "high", "-w", "n2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
    _, err = process.communicate(timeout=600)

    assert process.returncode == 0, err
    parent, children = notebook.tree()
    assert [parent["Status"], *(child["Status"] for child in children)] == ["Uploaded"] * 3, err
    journals = [notebook.journal(child["RID"]) for child in children]
    assert [entry["slurm"]["partition"] for entry in journals] == ["debug", "debug"]
    assert journals[0]["restarts"] == 1
    changes = [change["status"] for change in journals[0]["changes"]]
    assert not {"Failed", "Aborted"} & set(changes), changes
    stored = {row["Filename"]: notebook.stored(row) for row in notebook.rows("Execution_Asset")}
    assert stored["0.1.txt"] == b"1"

"""One notebook, several runs: sweeps have one parent and a child each, and runs at the same time don't mix."""

from __future__ import annotations

import json

import pytest
from notebook_fixture import FIRST_CELL, LAST_CELL

NOTEBOOK = "notebooks/analysis.ipynb"
SHOW = "print('threshold', config.threshold, 'of', execution.execution_rid)"


def test_a_sweep_has_one_parent_and_a_child_for_each_job(notebooks):
    """The same machinery as a model's; a job that fails is a child that failed, and costs the others nothing."""
    project = notebooks()
    project.write(SHOW, "assert config.threshold != 0.2, 'not this one'", LAST_CELL)

    done = project.run(NOTEBOOK, "+multirun=thresholds", "label=swept", code=1)

    record = project.record()
    parent = next(row for row in record.executions if row["Description"].startswith("# Two thresholds"))
    links = sorted(record.links, key=lambda link: link["Sequence"])
    children = {row["RID"]: row for row in record.executions if row is not parent}
    assert [link["Execution"] for link in links] == [parent["RID"]] * 2
    first, second = (children[link["Nested_Execution"]] for link in links)
    assert (first["Status"], second["Status"], parent["Status"]) == ("Uploaded", "Failed", "Failed"), done.stderr
    assert "cell 3 of 4: AssertionError: not this one" in second["Status_Detail"]
    assert first["Description"].startswith("[Job 0]")
    for threshold, child in ((0.1, first), (0.2, second)):
        assert f"threshold {threshold} of {child['RID']}" in record.text("analysis.md", child)
        assert '"label": "swept"' in json.dumps(record.configuration(child)) or "label: swept" in hydra_config(
            record, child
        )
    assert record.workflows[parent["Workflow"]]["URL"] == record.workflows[first["Workflow"]]["URL"]
    assert "job 0, cell 2 of 4: print(" in done.stderr


def test_four_notebooks_at_a_time_do_not_mix_their_records(notebooks):
    """Kernels of one sweep side by side, by joblib: each output is of the execution that made it."""
    project = notebooks()
    project.write(
        SHOW,
        'own = execution.asset_file_path("Execution_Asset", "own.txt")\n'
        'own.write_text(f"{execution.execution_rid} {config.threshold}")',
        LAST_CELL,
    )

    given = ["threshold=1.5,2.5,3.5,4.5", "hydra/launcher=joblib", "hydra.launcher.n_jobs=4", "--multirun"]
    project.run(NOTEBOOK, *given)

    record = project.record()
    children = {link["Nested_Execution"]: link["Sequence"] for link in record.links}
    assert sorted(children.values()) == [0, 1, 2, 3]
    for row in record.executions:
        assert row["Status"] == "Uploaded"
        if row["RID"] in children:
            threshold = children[row["RID"]] + 1.5
            assert record.text("own.txt", row) == f"{row['RID']} {threshold}"
            assert f"threshold {threshold} of {row['RID']}" in record.text("analysis.md", row)


@pytest.fixture
def half_swept(notebooks, committed):
    """A committed project, the sweep of whose notebook has a job that has failed until the file `fixed` is there."""
    project = notebooks()
    project.project.write(".gitignore", "__pycache__/\nfixed\n")
    project.write(
        "from pathlib import Path\nprint('given', given, 'at', config.threshold)",
        "assert config.threshold != 0.2 or Path('../fixed').exists(), 'not yet'",
        LAST_CELL,
        parameters="given = 0",
        first=FIRST_CELL,
    )
    committed(project)
    project.run(NOTEBOOK, "+multirun=thresholds", "-p", "given", "7", "hydra/launcher=submitit_local", code=1)
    return project


def tree(record) -> tuple[dict, list[dict]]:
    """The parent of the only sweep, and its children in their order."""
    (parent,) = {link["Execution"] for link in record.links}
    rows = {row["RID"]: row for row in record.executions}
    links = sorted(record.links, key=lambda link: link["Sequence"])
    return rows[parent], [rows[link["Nested_Execution"]] for link in links]


def test_what_is_left_of_a_sweep_runs_again_as_the_same_executions(half_swept):
    """As a model's: the parameters are those of the first time, the launcher may be another."""
    parent, before = tree(half_swept.record())
    assert [child["Status"] for child in before] == ["Uploaded", "Failed"]
    (half_swept.project.root / "fixed").touch()

    done = half_swept.run(NOTEBOOK, "--resume", parent["RID"], "hydra/launcher=joblib")

    assert "1 of 2 jobs run again" in done.stderr
    record = half_swept.record()
    parent, after = tree(record)
    assert [child["RID"] for child in after] == [child["RID"] for child in before]
    assert {row["Status"] for row in record.executions} == {"Uploaded"}
    assert "given 7 at 0.2" in record.text("analysis.md", after[1])
    assert "all 2 jobs are Uploaded" in half_swept.run(NOTEBOOK, "--resume", parent["RID"]).stderr


def test_a_sweep_is_resumed_by_its_own_command_and_as_it_was(half_swept):
    """One line, exit code 2, and nothing is written."""
    half_swept.write(name="other")
    before = half_swept.record()
    parent = tree(before)[0]["RID"]

    model = half_swept.project.run("--resume", parent)
    assert model.returncode == 2
    assert f"`deriva-ml-run-notebook {NOTEBOOK} --resume {parent}` resumes it" in model.stderr
    for arguments, words in {
        ("notebooks/other.ipynb", "--resume", parent): f"is one of the notebook {NOTEBOOK}",
        (NOTEBOOK, "--resume", parent, "-p", "given", "8"): "-p given can't be set",
        (NOTEBOOK, "--resume", parent, "threshold=3"): "threshold=3 can't be set",
        (NOTEBOOK, "--resume", parent, "--multirun"): "only one of",
        (NOTEBOOK, "--allow-other-code"): "only goes with --resume",
    }.items():
        refused = half_swept.run(*arguments, code=2)
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
    other_code = half_swept.run(NOTEBOOK, "--resume", parent, code=2)  # there is another notebook now
    assert "other uncommitted changes" in other_code.stderr.splitlines()[-1]
    assert half_swept.record() == before


def hydra_config(record, execution: dict) -> str:
    """The composed configuration of an execution."""
    name = next(name for name in record.names(execution) if name.startswith("hydra-") and name.endswith("config.yaml"))
    return record.text(name, execution)

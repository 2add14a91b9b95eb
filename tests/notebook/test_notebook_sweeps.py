"""One notebook, several runs: sweeps have one parent and a child each, and runs at the same time don't mix."""

from __future__ import annotations

import json

from notebook_fixture import LAST_CELL

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


def hydra_config(record, execution: dict) -> str:
    """The composed configuration of an execution."""
    name = next(name for name in record.names(execution) if name.startswith("hydra-") and name.endswith("config.yaml"))
    return record.text(name, execution)

"""One execution from its record to its uploaded outputs, on catalogs of both generations."""

import json
import logging

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import (
    DerivaMLExecutionError,
    DerivaMLTableNotFound,
    InvalidTransitionError,
)
from deriva_ml_core.executions.journal import executions_folder, read_entry
from deriva_ml_core.executions.recorder import parse_times
from deriva_ml_core.executions.states import Status


def row_of(ml, rid):
    return rows.select_by_rids(ml.session, "Execution", [rid])[rid]


def stored(ml, status):
    """The word of this catalog's generation."""
    return ml.session.model.generation.status_word(status)


def recorded_times(execution):
    """Start and stop as the catalog has them: in the description of the environment snapshot."""
    found = [parse_times(asset.description) for asset in execution.list_assets("Output")]
    (times,) = [one for one in found if one]
    return times


@pytest.fixture
def execution(ml, workflow):
    return ml.create_execution(workflow=workflow, description="A run")


def test_a_run_that_goes_well_ends_uploaded(ml, execution):
    """Status, durations, outputs and their links are in the catalog; start and stop in a file there."""
    with execution as running:
        assert stored(ml, "Running") == row_of(ml, running.execution_rid)["Status"]
        running.asset_file_path("Execution_Asset", "weights.txt").write_text("w")
    uploaded = execution.upload_execution_outputs()

    assert {"deriva-ml/Execution_Asset"} == uploaded.keys()
    row = row_of(ml, execution.execution_rid)
    assert stored(ml, "Uploaded") == row["Status"]
    duration = ml.session.model.generation.duration_column("execution")
    assert row[duration].startswith("0.0H 0.0min")
    outputs = {asset.filename for asset in execution.list_assets("Output")}
    assert {"weights.txt", "configuration.json"} <= outputs
    assert recorded_times(execution) == (execution.start_time.isoformat(), execution.stop_time.isoformat())


def test_metadata_is_in_the_catalog_before_the_model_starts(ml, execution):
    """It survives whatever the model does."""
    names = {asset.filename: asset.asset_types for asset in execution.list_assets("Output")}

    assert Status.created is execution.status
    assert "Deriva_Config" in names["configuration.json"]
    assert any(name.startswith("environment_snapshot_") for name in names)


def test_an_exception_is_recorded_and_passes(ml, execution):
    """Type and message are on the record; the staged output stays on disk and out of the catalog."""
    execution.execution_start()
    path = execution.asset_file_path("Execution_Asset", "half.txt")
    path.write_text("half")
    with pytest.raises(ZeroDivisionError), execution:
        raise ZeroDivisionError("division by zero")

    row = row_of(ml, execution.execution_rid)
    assert (row["Status"], row["Status_Detail"]) == ("Failed", "ZeroDivisionError: division by zero")
    assert path.read_text() == "half"
    assert "half.txt" not in {asset.filename for asset in execution.list_assets("Output")}
    assert recorded_times(execution) == (execution.start_time.isoformat(), execution.stop_time.isoformat())


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (SystemExit(3), "Failed", "SystemExit: 3"),
        (KeyboardInterrupt(), "Aborted", "KeyboardInterrupt"),
        (MemoryError(), "Failed", "MemoryError"),
    ],
    ids=repr,
)
def test_what_is_no_exception_is_recorded_too(ml, execution, error, status, detail):
    """sys.exit is a failure, Ctrl-C an abort."""
    with pytest.raises(type(error)), execution:
        raise error

    row = row_of(ml, execution.execution_rid)
    assert (status, detail) == (row["Status"], row["Status_Detail"])


def test_outputs_of_a_failed_run_can_be_uploaded_and_it_stays_failed(ml, execution):
    """A partial result is worth having; Uploaded would be a lie."""
    execution.execution_start()
    execution.asset_file_path("Execution_Asset", "half.txt").write_text("half")
    with pytest.raises(ValueError, match="x"), execution:
        raise ValueError("x")
    execution.upload_execution_outputs()

    assert "half.txt" in {asset.filename for asset in execution.list_assets("Output")}
    assert row_of(ml, execution.execution_rid)["Status"] == "Failed"


def test_uploading_again_adds_what_is_new_and_nothing_else(ml, execution):
    """Repeating an upload changes nothing; an output that came later is added."""
    with execution:
        execution.asset_file_path("Execution_Asset", "one.txt").write_text("1")
    first = execution.commit_output_assets()
    again = execution.commit_output_assets()
    execution.asset_file_path("Execution_Asset", "two.txt").write_text("2")
    execution.commit_output_assets()

    assert (first.total_uploaded, again.total_uploaded) == (1, 0)
    names = [asset.filename for asset in execution.list_assets("Output")]
    assert 1 == names.count("one.txt") == names.count("two.txt")
    assert stored(ml, "Uploaded") == row_of(ml, execution.execution_rid)["Status"]


def test_an_upload_stops_what_still_runs(ml, execution):
    """A notebook calls nothing but upload at its end."""
    execution.execution_start()
    execution.upload_execution_outputs()

    assert [s.value for s in Status if s.value in ("Created", "Running", "Stopped", "Pending_Upload", "Uploaded")] == [
        change.status.value for change in execution.journal_entry.changes
    ]


def test_both_signatures_of_update_status(ml, execution):
    """(status, message) of the older generation, (target, error=) of the newer."""
    with execution:
        execution.update_status(Status.running, "epoch 3 of 10")
        assert row_of(ml, execution.execution_rid)["Status_Detail"] == "epoch 3 of 10"
        execution.update_status(Status.completed, "done")  # said by old scripts when their work is done
        assert Status.running is execution.status
        execution.update_status("Failed", error="no convergence")

    row = row_of(ml, execution.execution_rid)
    assert (row["Status"], row["Status_Detail"]) == ("Failed", "no convergence")


def test_a_status_that_does_not_follow_changes_nothing(ml, execution):
    """Neither on disk nor in the catalog."""
    with pytest.raises(InvalidTransitionError, match="Created: Stopped does not follow"):
        execution.execution_stop()

    assert Status.created is execution.status
    assert row_of(ml, execution.execution_rid)["Status"] == "Created"


def test_abort(ml, execution):
    """A script can say that it was stopped; leaving the block afterwards says no more."""
    with execution:
        execution.abort("changed my mind")

    row = row_of(ml, execution.execution_rid)
    assert (row["Status"], row["Status_Detail"]) == ("Aborted", "changed my mind")


def test_an_execution_that_was_never_stopped_is_aborted_with_the_connection(ml, execution, connect):
    """Never Running for ever."""
    execution.execution_start()
    rid, catalog = execution.execution_rid, ml.catalog_id
    ml.close()

    row = rows.select_by_rids(connect(catalog), "Execution", [rid])[rid]
    assert row["Status"] == "Aborted"
    assert "before the execution was stopped" in row["Status_Detail"]


def test_the_files_go_when_all_is_uploaded_and_the_journal_stays(ml, execution):
    """Disks are finite; when it ran is worth a kilobyte."""
    with execution:
        path = execution.asset_file_path("Execution_Asset", "w.txt")
        path.write_text("w")
    execution.upload_execution_outputs()

    assert not path.exists()
    assert Status.uploaded is read_entry(executions_folder(ml.working_dir) / execution.execution_rid).status


def test_files_stay_where_that_is_asked(ml, execution):
    """clean_folder=False, or clean_execution_dir=False of the connection."""
    with execution:
        path = execution.asset_file_path("Execution_Asset", "w.txt")
        path.write_text("w")
    execution.upload_execution_outputs(clean_folder=False)

    assert path.exists()


def test_files_that_nobody_named_stay(ml, execution, caplog):
    """They are not in the catalog, so the copy on disk is the only one: it is told of and kept."""
    with execution.execute():
        named = execution.asset_file_path("Execution_Asset", "named.txt")
        named.write_text("named")
        named.with_name("beside.txt").write_text("only here")
    execution.upload_execution_outputs()

    assert named.with_name("beside.txt").read_text() == "only here"
    assert "beside.txt was never registered as an output: it is not uploaded, and stays there" in caplog.text


def test_an_output_named_and_never_written_is_a_warning(ml, execution, caplog):
    """The run still ends well, and the report says what is missing."""
    with execution:
        execution.asset_file_path("Execution_Asset", "never.txt")
    with caplog.at_level(logging.WARNING):
        report = execution.commit_output_assets()

    assert "never.txt" in " ".join(report.warnings)
    assert Status.uploaded is execution.status


def test_a_wrong_output_is_refused_when_it_is_named(ml, execution):
    """Not hours later, at the upload."""
    with execution, pytest.raises(DerivaMLTableNotFound, match="Execution_Asset"):
        execution.asset_file_path("Execution_Aset", "w.txt")


def test_metrics_have_their_type(ml, execution):
    """COMPAT section 12: metrics.jsonl is a Metrics_File where the catalog has that term."""
    with execution:
        execution.metrics_file().write_text('{"step": 1}\n')
    execution.upload_execution_outputs()

    (metrics,) = [asset for asset in execution.list_assets("Output") if asset.filename == "metrics.jsonl"]
    terms = {term.name for term in ml.list_vocabulary_terms("Asset_Type")}
    assert {"Metrics_File"} & terms == {"Metrics_File"} & set(metrics.asset_types)


def test_a_dry_run_writes_nothing(ml, workflow, server_log):
    """No request but GET and HEAD, no folder left."""
    server_log.clear()
    with ml.create_execution(workflow=workflow, dry_run=True) as execution:
        folder = execution.working_dir
        execution.asset_file_path("Execution_Asset", "w.txt").write_text("w")
    assert execution.upload_execution_outputs() == {}
    with pytest.raises(DerivaMLExecutionError, match="dry run"):
        _ = execution.execution_record
    execution.close("done")

    assert execution.execution_rid == "0000"
    assert {"GET"} == {method for method, _ in server_log}
    assert not folder.exists()
    assert not ml.working_dir.exists()


def test_the_rid_is_written_where_another_process_waits_for_it(ml, workflow, tmp_path, monkeypatch):
    """DERIVA_ML_SAVE_EXECUTION_RID, COMPAT section 2."""
    monkeypatch.setenv("DERIVA_ML_SAVE_EXECUTION_RID", str(tmp_path / "rid.json"))
    execution = ml.create_execution(workflow=workflow)

    saved = json.loads((tmp_path / "rid.json").read_text())
    assert (execution.execution_rid, "local") == (saved["execution_rid"], saved["hostname"])
    assert saved.keys() == {"hostname", "catalog_id", "workflow_rid", "execution_rid", "hydra_runtime_output_dir"}


def test_parents_and_children(ml, workflow):
    """Navigated from both ends, through several generations, in the order of their numbers."""
    top, a, b, leaf = (ml.create_execution(workflow=workflow, description=name) for name in ("top", "a", "b", "leaf"))
    top.add_nested_execution(b, sequence=2)
    top.add_nested_execution(a, sequence=1)
    a.add_nested_execution(leaf.execution_rid)

    assert [record.description for record in top.list_nested_executions()] == ["a", "b"]
    assert [record.description for record in top.list_nested_executions(recurse=True)] == ["a", "b", "leaf"]
    assert [record.description for record in leaf.list_parent_executions(recurse=True)] == ["a", "top"]
    assert (top.is_parent(), top.is_nested()) == (True, False)
    assert (leaf.is_parent(), leaf.is_nested()) == (False, True)

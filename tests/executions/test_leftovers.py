"""What a run that failed leaves: its metadata and logs in the catalog, its outputs on disk for whoever wants them."""

import logging

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.errors import DerivaMLTableNotFound, DerivaMLValidationError
from deriva_ml_core.executions.pending import finish, waiting
from deriva_ml_core.executions.states import Status


def fail(ml, workflow):
    """An execution that has staged metrics and an output when it fails."""
    execution = ml.create_execution(workflow=workflow, description="brave")

    def model():
        execution.log_metrics(1, loss=0.5)
        execution.asset_file_path("Execution_Asset", "w.txt").write_text("w")
        raise ZeroDivisionError("token=ghp_0123456789abcdefghijABCDEFGHIJ012345")

    with pytest.raises(ZeroDivisionError), execution:
        model()
    return execution


def outputs(execution):
    return {asset.filename for asset in execution.list_assets("Output")}


def test_metadata_and_logs_of_a_failed_run_are_in_the_catalog(new_ml, workflow, tmp_path):
    """The default: what says why it failed is there at once, without secrets; the outputs wait for a command."""
    execution = fail(new_ml, workflow)

    assert {"metrics.jsonl", "traceback.txt"} <= outputs(execution)
    assert "w.txt" not in outputs(execution)
    (trace,) = [asset for asset in execution.list_assets("Output") if asset.filename == "traceback.txt"]
    text = trace.download(tmp_path / "got").read_text()
    assert "ZeroDivisionError" in text
    assert "ghp_0123456789" not in text


def test_what_waits_is_told_and_finished(new_ml, workflow):
    """A later command brings the outputs; the execution stays Failed."""
    execution = fail(new_ml, workflow)
    (one,) = waiting(new_ml.working_dir)

    assert (one.rid, one.status, one.finished) == (execution.execution_rid, Status.failed, False)
    assert one.tables == {"deriva-ml/Execution_Asset": 1}
    assert finish(new_ml, one.rid).total_uploaded == 1
    assert Status.failed is new_ml.lookup_execution(one.rid).status
    assert "w.txt" in outputs(execution)
    assert waiting(new_ml.working_dir) == []


@pytest.mark.parametrize(("policy", "there"), [("all", {"w.txt", "metrics.jsonl"}), ("nothing", set())])
def test_the_policy_is_the_projects_choice(open_ml, ml_session, workflow, policy, there):
    """All at once, or nothing: then everything waits."""
    ml = open_ml(ml_session.catalog_id, upload_on_failure=policy)
    execution = fail(ml, workflow)

    assert outputs(execution) & {"w.txt", "metrics.jsonl"} == there
    assert bool(Staging(execution.working_dir).pending()) is (policy == "nothing")


def test_trouble_with_the_log_does_not_hide_the_error(new_ml, workflow, monkeypatch, caplog):
    """The user hears of the model's error; that its log is not in the catalog is a warning."""

    def refuse(*_args, **_options):
        raise OSError("disk full")

    monkeypatch.setattr("deriva_ml_core.executions.leftovers._stage_text", refuse)
    with caplog.at_level(logging.WARNING):
        fail(new_ml, workflow)

    assert "its log is not in the catalog" in caplog.text


def test_a_folder_of_files_by_table_is_uploaded(new_ml, workflow, tmp_path):
    """The way of the 1.2 generation: sub-folders are called like asset tables; a wrong one is said at once."""
    for name in ("Execution_Asset/a.txt", "Execution_Asset/deep/b.txt", "Execution_Metadata/c.txt"):
        file = tmp_path / "out" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{tmp_path}{name}")
    execution = new_ml.create_execution(workflow=workflow)
    with pytest.raises(DerivaMLValidationError, match="no folder"):
        execution.upload_assets(tmp_path / "nowhere")
    with execution:
        execution.asset_file_path("Execution_Asset", "d.txt").write_text("d")
        assert execution.pending_summary().files == 1
    uploaded = execution.upload_assets(tmp_path / "out")

    assert {path.file_name for paths in uploaded.values() for path in paths} == {"a.txt", "b.txt", "c.txt", "d.txt"}
    assert execution.pending_summary() is None
    (tmp_path / "out" / "No_Table").mkdir()
    with pytest.raises(DerivaMLTableNotFound, match="No_Table"):
        execution.upload_assets(tmp_path / "out")

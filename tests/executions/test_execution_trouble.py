"""What an execution says when its configuration, its folder or its catalog is not as it should be."""

from dataclasses import replace

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import (
    DerivaMLConfigurationError,
    DerivaMLException,
    DerivaMLExecutionError,
    DerivaMLExecutionNotFound,
    DerivaMLUploadError,
    DerivaMLValidationError,
    WorkingFolderError,
)
from deriva_ml_core.executions.children import make_children
from deriva_ml_core.executions.configuration import ExecutionConfiguration, as_configuration
from deriva_ml_core.executions.journal import FILE_NAME, executions_folder, read_entry, write_beside
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import end_if_dead
from deriva_ml_core.executions.sweeps import JobNotStartedError, Place, SweepFacts, SweepJob
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.workflows import Workflow


def executions_of(ml):
    return [record for record in ml.find_executions() if "sentinel" not in (record.description or "")]


def a_job(ml, workflow):
    """The only job of a sweep, before it is opened."""
    parent = ml.create_execution(workflow=workflow, description="A sweep")
    (rid,) = rows.lease_rids(ml.session, 1)
    make_children(ml.session, parent.journal_entry, {0: SweepJob(rid, ())})
    where = (ml.hostname, ml.catalog_id, parent.working_dir, this_process())
    return Place(SweepFacts(parent.execution_rid, *where, children={0: rid}), 0)


# --- configurations that can't be used --------------------------------------------------------------------------------


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(new_ml, tmp_path):
    """One message with every problem, nearest matches among them; the catalog and the disk are as before."""
    dataset = new_ml.create_dataset(description="d")
    wrong = {
        "datasets": [
            f"{dataset.dataset_rid}@9.9.9",
            "1-ZZZZ",
            *({"rid": dataset.dataset_rid, "exclude_tables": [name]} for name in ("Fil", "Dataset")),
        ],
        "assets": ["2-ZZZZ", {"path": str(tmp_path / "nowhere.txt")}],
        "workflow": Workflow(name="w", workflow_type="Trainin"),
    }
    with pytest.raises(DerivaMLValidationError) as caught:
        new_ml.create_execution(**wrong)

    text = " ".join(str(caught.value).split())
    assert len(caught.value.problems) == 7
    for part in ("9.9.9", "1-ZZZZ", "2-ZZZZ", "did you mean 'File'", "nowhere.txt", "did you mean 'Training'"):
        assert part in text
    assert "the table Dataset can't be left out" in text
    assert caught.value.exit_code == 2
    assert executions_of(new_ml) == []
    assert not new_ml.working_dir.exists()


def test_entries_that_are_no_inputs_are_named_together():
    """Before any catalog is asked."""
    with pytest.raises(DerivaMLValidationError) as caught:
        ExecutionConfiguration(datasets=["not a rid", "1-ABCD", "1-ABCD@x.y"])

    assert [word for word in ("not a rid", "x.y") if word in str(caught.value)] == ["not a rid", "x.y"]
    assert len(caught.value.problems) == 2


def test_checking_many_datasets_asks_no_more_than_checking_one(new_ml, workflow, server_log):
    """One request for each kind of thing, not for each thing."""
    rids = [new_ml.create_dataset(description=str(n)).dataset_rid for n in range(8)]
    counts = []
    for wanted in (rids[:1], rids):
        server_log.clear()
        with pytest.raises(DerivaMLValidationError, match=r"9\.9\.9"):
            new_ml.create_execution(workflow=workflow, datasets=[f"{rid}@9.9.9" for rid in wanted])
        counts.append(len(server_log))

    assert counts[0] >= counts[1] - 1  # the first also reads the terms
    assert max(counts) <= 4


def test_a_configuration_and_keywords_are_not_mixed():
    """It would not be clear which of them holds."""
    with pytest.raises(TypeError, match=r"not both.*datasets"):
        as_configuration(ExecutionConfiguration(), datasets=[])


def test_an_execution_needs_a_workflow(new_ml):
    """The record would not say what ran."""
    with pytest.raises(DerivaMLConfigurationError, match="needs a workflow"):
        new_ml.create_execution(description="what?")


def test_recorded_configurations_of_both_generations_load(tmp_path):
    """Older files have asset_role in assets and rid in workflow."""
    file = tmp_path / "configuration.json"
    file.write_text(
        '{"assets": [{"rid": "1-ABCD", "asset_role": "Input"}], "datasets": [{"rid": "1-EFGH", "version": "1.0.0"}],'
        ' "workflow": {"name": "w", "workflow_type": "Training", "rid": "1-WWWW"}, "description": "old"}'
    )
    read = ExecutionConfiguration.load_configuration(file)

    assert (read.assets[0].rid, read.datasets[0].rid, read.workflow.workflow_rid) == ("1-ABCD", "1-EFGH", "1-WWWW")
    again = ExecutionConfiguration.model_validate_json(read.model_dump_json())
    assert read == again
    with pytest.raises(DerivaMLConfigurationError, match="nowhere"):
        ExecutionConfiguration.load_configuration(tmp_path / "nowhere.json")


# --- folders that can't be written ------------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(small_disk):
    return small_disk(4 * 1024 * 1024)


def test_a_full_working_folder_is_refused_before_anything_is_written(open_ml, ml_session, workflow, tiny_disk):
    """Known before the catalog has a row, not after the model has run for a day."""
    ml = open_ml(ml_session.catalog_id, working_dir=tiny_disk / "work")
    (tiny_disk / "ballast").write_bytes(bytes(4 * 1024 * 1024 - 40_000))
    with pytest.raises(WorkingFolderError, match="No space left") as caught:
        ml.create_execution(workflow=workflow)

    assert caught.value.exit_code == 2
    assert executions_of(ml) == []


def test_a_disk_that_fills_during_the_run_fails_it_and_the_record_says_so(open_ml, ml_session, workflow, tiny_disk):
    """The journal could not be written any more; the catalog is told all the same."""
    ml = open_ml(ml_session.catalog_id, working_dir=tiny_disk / "work")
    execution = ml.create_execution(workflow=workflow)
    execution.execution_start()
    with pytest.raises(OSError, match="No space left"), execution:
        execution.asset_file_path("Execution_Asset", "big.bin").write_bytes(bytes(5 * 1024 * 1024))

    record = ml.lookup_execution(execution.execution_rid)
    assert Status.failed is record.status
    assert "No space left" in record.status_detail


def test_a_working_folder_below_a_file_is_refused(open_ml, ml_session, workflow, tmp_path):
    """Not a folder: in one line, before anything is written."""
    (tmp_path / "file").write_text("x")
    ml = open_ml(ml_session.catalog_id, working_dir=tmp_path / "file" / "work")
    with pytest.raises(WorkingFolderError, match="can't be written"):
        ml.create_execution(workflow=workflow)

    assert executions_of(ml) == []


def test_a_read_only_working_folder_is_refused(open_ml, ml_session, workflow, tmp_path, read_only):
    """In one line, before anything is written."""
    closed = tmp_path / "closed"
    closed.mkdir()
    read_only(closed)
    ml = open_ml(ml_session.catalog_id, working_dir=closed / "work")
    with pytest.raises(WorkingFolderError, match=r"Read-only file system|Permission denied"):
        ml.create_execution(workflow=workflow)

    assert executions_of(ml) == []


# --- catalogs that refuse or don't answer -----------------------------------------------------------------------------


@pytest.fixture
def refusing(monkeypatch):
    """Call it with (method, part of the path, status): the server answers such requests with that status."""
    rules = []
    answer = Application.__call__

    def refuse(self, environ, start_response):
        for method, part, status in rules:
            if environ["REQUEST_METHOD"] == method and part in environ["PATH_INFO"]:
                environ["wsgi.input"].read()
                start_response(f"{status} Refused", [("Content-Type", "text/plain"), ("Content-Length", "2")])
                return [b"no"]
        return answer(self, environ, start_response)

    monkeypatch.setattr(Application, "__call__", refuse)
    return rules


def test_a_refused_row_leaves_no_folder(new_ml, workflow, refusing):
    """No row, so no execution: nothing to recover, nothing to wonder about."""
    refusing.append(("POST", "deriva-ml:Execution", 403))
    with pytest.raises(DerivaMLException):
        new_ml.create_execution(workflow=workflow)

    assert list(executions_folder(new_ml.working_dir).iterdir()) == []


def test_a_run_whose_description_does_not_arrive_is_failed_and_has_nothing_to_finish(new_ml, workflow, refusing):
    """No model has run: to say that outputs wait, and to name the command that uploads them, would send nobody on."""
    refusing.append(("PUT", "/hatrac/Execution_Metadata", 403))
    new_ml.session.object_store = None  # as of a server elsewhere
    with pytest.raises(DerivaMLExecutionError, match=r"was not started.*did not reach the catalog.*run it again"):
        new_ml.create_execution(workflow=workflow)

    newest = next(iter(new_ml.find_executions()))
    assert (newest.status, "was not started" in newest.status_detail) == (Status.failed, True)


def test_an_input_that_can_not_be_had_fails_the_execution(new_ml, workflow, tmp_path, refusing):
    """From its row on, an execution has an end, whatever happens."""
    file = tmp_path / "input.txt"
    file.write_text("in")
    maker = new_ml.create_execution(workflow=workflow)
    with maker:
        maker.asset_file_path("Execution_Asset", file)
    rid = maker.upload_execution_outputs()["deriva-ml/Execution_Asset"][0].asset_rid
    refusing.append(("GET", "/hatrac/Execution_Asset", 404))
    new_ml.session.object_files = None  # as of a server elsewhere, whose folder is not on this disk
    with pytest.raises(DerivaMLException, match=rid):
        new_ml.create_execution(workflow=workflow, assets=[rid])

    newest = next(iter(new_ml.find_executions()))
    assert Status.failed is newest.status
    assert rid in newest.status_detail


def test_a_refused_output_fails_the_execution_and_is_kept(new_ml, workflow, refusing):
    """The record says why, the file stays, and a later upload finishes it."""
    execution = new_ml.create_execution(workflow=workflow)
    with execution:
        path = execution.asset_file_path("Execution_Asset", "w.txt")
        path.write_text("w")
    refusing.append(("PUT", "/hatrac/Execution_Asset", 403))
    new_ml.session.object_store = None  # as of a server elsewhere
    with pytest.raises(DerivaMLUploadError, match="deriva-ml-executions upload") as caught:
        execution.upload_execution_outputs(max_retries=0)

    assert caught.value.exit_code == 3
    assert Status.failed is new_ml.lookup_execution(execution.execution_rid).status
    assert path.exists()

    refusing.clear()
    assert "deriva-ml/Execution_Asset" in execution.upload_execution_outputs()
    assert Status.uploaded is new_ml.lookup_execution(execution.execution_rid).status


def test_a_status_that_the_catalog_could_not_be_told_is_told_later(new_ml, workflow, refusing):
    """It stays marked in the journal and goes with the next word."""
    execution = new_ml.create_execution(workflow=workflow)
    refusing.append(("PUT", "attributegroup", 403))
    execution.execution_start()
    folder = executions_folder(new_ml.working_dir) / execution.execution_rid

    assert "status" in read_entry(folder).pending
    assert Status.created is new_ml.lookup_execution(execution.execution_rid).status

    refusing.clear()
    execution._opened.recorder._silent_until = 0
    execution.execution_stop()
    assert set() == read_entry(folder).pending
    assert Status.stopped is new_ml.lookup_execution(execution.execution_rid).status


def test_a_catalog_that_is_gone_at_the_end_costs_no_output(new_ml, workflow, open_ml):
    """Kept, said in one line with the command, and finished by a later process with the original times."""
    execution = new_ml.create_execution(workflow=workflow, description="brave")
    with execution:
        execution.asset_file_path("Execution_Asset", "w.txt").write_text("w")
    new_ml._local.server.stop()
    new_ml._local.server._started = lambda: (_ for _ in ()).throw(AssertionError("nobody starts it again"))
    command = f"deriva-ml-executions upload {execution.execution_rid}"
    with pytest.raises(DerivaMLUploadError, match=f"finish with: {command}"):
        execution.upload_execution_outputs(max_retries=0)
    assert Status.pending_upload is execution.status

    new_ml.close()  # connections of one process share a server, and this one is gone for good
    opened = open_ml(new_ml.catalog_id)
    later = opened.restore_execution()  # the only one that waits
    later.upload_execution_outputs()
    assert Status.uploaded is later.execution_record.status
    assert (execution.execution_rid, execution.start_time) == (later.execution_rid, later.start_time)
    with pytest.raises(DerivaMLExecutionNotFound, match="none waits"):
        opened.restore_execution()


def test_a_job_whose_last_status_the_catalog_refuses_has_not_ended_well(new_ml, workflow, refusing):
    """
    A disk that fills under the catalog refuses the last word of a job that has sent all it had: to call the job
    Uploaded, by its exit code too, would make its sweep look better than the record.
    """
    place = a_job(new_ml, workflow)
    execution = new_ml.create_execution(workflow=workflow, place=place)
    rid = execution.execution_rid
    with execution:
        pass
    refusing.append(("PUT", "attributegroup", 507))
    for _ in range(2):
        with pytest.raises(DerivaMLUploadError, match=f"finish with: deriva-ml-executions upload {rid}"):
            execution.upload_execution_outputs()
    assert Status.uploaded is not new_ml.lookup_execution(rid).status

    refusing.clear()
    execution._opened.recorder._silent_until = 0
    execution.upload_execution_outputs()
    assert Status.uploaded is new_ml.lookup_execution(rid).status


def test_an_execution_that_may_be_alive_is_not_taken_over(new_ml, workflow):
    """Its process may still write; a fate is never guessed."""
    execution = new_ml.create_execution(workflow=workflow)
    journal = execution._opened.recorder.journal
    journal.update(owner=replace(journal.entry.owner, host="another-host"))
    journal.beat()
    with pytest.raises(DerivaMLExecutionError, match=r"may still be running.*another-host"):
        new_ml.resume_execution(execution.execution_rid)


def test_a_job_that_opens_while_its_sweep_is_stopped_is_aborted_before_its_model_starts(new_ml, workflow):
    """
    Who stops a sweep ends the jobs whose journals are there. One that had its turn a moment before has none yet: it
    looks again as soon as it has, or it would run on under a parent that has ended.
    """
    place = a_job(new_ml, workflow)
    rid = place.sweep.children[0]
    place.sweep.stop("the sweep was stopped by SIGTERM")

    with pytest.raises(JobNotStartedError, match="job 0 was not started: the sweep was stopped by SIGTERM"):
        new_ml.create_execution(workflow=workflow, place=place)
    row = rows.select_by_rids(new_ml.session, "Execution", [rid])[rid]
    assert (row["Status"], "stopped by SIGTERM" in row["Status_Detail"]) == ("Aborted", True)
    assert read_entry(executions_folder(new_ml.working_dir) / rid).settled


@pytest.mark.parametrize("end", ["Failed", "Uploaded"])
def test_recovery_keeps_the_end_that_a_process_told_the_catalog_on_a_full_disk(new_ml, workflow, end):
    """Its journal could not be written any more and says Running; what the catalog heard is what happened."""
    execution = new_ml.create_execution(workflow=workflow, description="A run")
    execution.execution_start()
    journal = execution.working_dir / FILE_NAME
    kept = journal.read_bytes()
    if end == "Failed":
        with pytest.raises(OSError, match="No space left"), execution:
            raise OSError(28, "No space left on device")
    else:
        with execution:
            pass
        execution.upload_execution_outputs(clean_folder=False)
    write_beside(journal, kept)

    assert end_if_dead(new_ml.session, journal.parent, read_entry(journal.parent), including_ours=True) == end
    row = rows.select_by_rids(new_ml.session, "Execution", [execution.execution_rid])[execution.execution_rid]
    detail = {"Failed": "OSError: [Errno 28] No space left on device", "Uploaded": None}[end]
    assert (row["Status"], row["Status_Detail"]) == (end, detail)
    assert read_entry(journal.parent).settled

"""Executions of a working folder by their journals, and of a workflow by their statuses."""

from datetime import UTC, datetime

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLValidationError, InvalidTransitionError
from deriva_ml_core.executions.execution import Execution
from deriva_ml_core.executions.states import Status


@pytest.fixture
def three(ml, workflow):
    """One whose outputs are all in the catalog, one with an output that waits, one that failed."""
    done, waits, failed = (ml.create_execution(workflow=workflow, description=name) for name in "abc")
    for execution in (done, waits):
        with execution:
            execution.asset_file_path("Execution_Asset", "w.txt").write_text(execution.execution_rid)
    done.upload_execution_outputs()
    with pytest.raises(RuntimeError), failed:
        raise RuntimeError("no")
    return done, waits, failed


def rids_of(found):
    return [one.execution_rid if isinstance(one, Execution) else one.rid for one in found]


def test_executions_are_listed_from_their_journals(ml, three):
    """The newest first, and chosen as a catalog would; it is not asked."""
    done, waits, failed = three
    before = ml.session.client.requests_sent
    found = ml.list_executions()

    assert rids_of(found) == rids_of([failed, waits, done])
    assert rids_of(ml.list_executions(status="Failed")) == [failed.execution_rid]
    assert rids_of(ml.list_executions(status=[Status.failed, "Uploaded"])) == rids_of([failed, done])
    assert rids_of(ml.list_executions(workflow_rid=done.workflow_rid)) == rids_of(found)
    assert ml.list_executions(workflow_rid="1-NONE") == []
    assert rids_of(ml.list_executions(since=found[1].changes[0].at)) == rids_of([failed, waits])
    assert ml.list_executions(since=datetime.now(UTC)) == []
    assert ml.list_executions(mode="offline") == []
    assert ml.session.client.requests_sent == before
    with pytest.raises(InvalidTransitionError, match="'Fialed' is no status"):
        ml.list_executions(status="Fialed")


def test_those_that_need_somebody_are_found(ml, three, workflow):
    """Without an end, or with something that is not in the catalog."""
    _, waits, failed = three
    open_one = ml.create_execution(workflow=workflow)

    assert set(rids_of(ml.find_incomplete_executions())) == set(rids_of([waits, open_one]))

    resumed = Execution.from_registry(ml, waits.execution_rid)
    resumed.upload_execution_outputs()
    assert rids_of(ml.find_incomplete_executions()) == [open_one.execution_rid]
    assert failed.execution_rid in rids_of(ml.list_executions())


def test_the_executions_of_a_workflow_are_counted_by_status(ml, three):
    """In one request, on catalogs of both generations."""
    done, waits, _ = three
    stopped = ml.lookup_execution(waits.execution_rid).status.value  # which an older catalog has no word of its own for
    before = ml.session.client.requests_sent
    found = ml.multirun_status_summary(done.workflow_rid)

    assert ml.session.client.requests_sent == before + 1
    assert dict(found.counts) == {"Failed": 1, stopped: 1, "Uploaded": 1}
    assert (found.workflow_rid, found.total) == (done.workflow_rid, 3)


def test_a_dataset_that_is_only_asked_by_queries_is_an_input(ml, workflow):
    """It is linked with its version, and nothing is brought."""
    with ml.create_execution(workflow=workflow) as maker:
        dataset = maker.create_dataset(description="one")
    execution = ml.create_execution(workflow=workflow)
    execution.add_input_dataset(dataset.dataset_rid, str(dataset.current_version))

    assert execution.list_input_datasets() == [dataset]
    assert len(execution.datasets) == 0
    (link,) = rows.select(ml.session, "Dataset_Execution", {"Execution": execution.execution_rid})
    assert bool(link.get("Dataset_Version")) is ml.session.model.generation.links_dataset_version
    with pytest.raises(DerivaMLValidationError, match="no dataset 9-ZZZZ"):
        execution.add_input_dataset("9-ZZZZ")

"""Datasets as inputs of an execution."""

from pathlib import Path

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.versions import DatasetVersion
from deriva_ml_core.errors import DerivaMLDatasetNotFound


@pytest.fixture
def dataset(ml, workflow):
    """Two files of the table File's kind, version 0.2.0."""
    ml.add_dataset_element_type("Execution_Asset")
    with ml.create_execution(workflow=workflow) as maker:
        for name in ("a.txt", "b.txt"):
            maker.asset_file_path("Execution_Asset", name).write_text(name)
    rids = [path.asset_rid for path in maker.upload_execution_outputs()["deriva-ml/Execution_Asset"]]
    made = maker.create_dataset(description="two files")
    made.add_dataset_members(rids)
    return made


def test_a_dataset_arrives_as_a_bag_and_is_linked_with_its_version(ml, workflow, dataset):
    """On catalogs of both generations; the version is on the link where the catalog can hold it."""
    version = str(dataset.current_version)
    execution = ml.create_execution(workflow=workflow, datasets=[f"{dataset.dataset_rid}@{version}"])
    with execution:
        (bag,) = execution.datasets
        contents = {Path(row["Filename"]).read_text() for row in bag.get_table_as_dict("Execution_Asset")}

    assert {"a.txt", "b.txt"} == contents
    assert bag is execution.download_dataset_bag(bag)
    assert bag is execution.download_dataset_bag(dataset.dataset_rid)
    assert bag is execution.datasets[dataset.dataset_rid]
    assert [dataset] == execution.list_input_datasets()
    (link,) = rows.select(ml.session, "Dataset_Execution", {"Execution": execution.execution_rid})
    if ml.session.model.generation.links_dataset_version:
        linked = rows.select_by_rids(ml.session, "Dataset_Version", [link["Dataset_Version"]])
        assert [version] == [row["Version"] for row in linked.values()]
    assert [f"{dataset.dataset_rid}@{version}"] == execution.journal_entry.inputs["datasets"]
    duration = execution.execution_record.durations.get("download")
    assert (duration is not None) == (ml.session.model.generation.duration_column("download") is not None)


def test_a_spec_without_a_version_means_the_current_one_and_the_record_says_which(ml, workflow, dataset):
    """The record must be repeatable when the dataset has gone on."""
    execution = ml.create_execution(workflow=workflow, datasets=[dataset.dataset_rid])

    assert [f"{dataset.dataset_rid}@{dataset.current_version}"] == execution.journal_entry.inputs["datasets"]


def test_a_dataset_that_the_model_asks_for_later_becomes_an_input(ml, workflow, dataset):
    """By RID or RID@version; linked as if it had been configured."""
    execution = ml.create_execution(workflow=workflow)
    with execution:
        bag = execution.download_dataset_bag(f"{dataset.dataset_rid}@{dataset.current_version}")

    assert dataset.dataset_rid == bag.dataset_rid
    assert [dataset] == execution.list_input_datasets()
    with pytest.raises(DerivaMLDatasetNotFound, match="no input of this execution"):
        _ = execution.datasets["1-ZZZZ"]


def test_two_versions_of_a_dataset_are_told_since_the_catalog_links_one(ml, workflow, dataset, caplog):
    """Both arrive; the link has the first, and a word says that the other is not on it."""
    rid = dataset.dataset_rid
    execution = ml.create_execution(workflow=workflow, datasets=[f"{rid}@0.2.0", f"{rid}@0.1.0"])
    told = f"execution {execution.execution_rid} has dataset {rid} as an input at another version already"
    assert f"{told}: the catalog links one, not 0.1.0 too" in caplog.text
    with execution:
        assert [str(bag.current_version) for bag in execution.datasets] == ["0.2.0", "0.1.0"]
        caplog.clear()
        dataset.increment_dataset_version("patch")
        execution.download_dataset_bag(f"{rid}@0.2.1")
        assert f"{told}: the catalog links one, not 0.2.1 too" in caplog.text

    (link,) = rows.select(ml.session, "Dataset_Execution", {"Execution": execution.execution_rid})
    if ml.session.model.generation.links_dataset_version:
        linked = rows.select_by_rids(ml.session, "Dataset_Version", [link["Dataset_Version"]])
        assert [row["Version"] for row in linked.values()] == ["0.2.0"]


def test_an_execution_can_make_a_dataset(ml, workflow, dataset):
    """And is its producer."""
    history = dataset.dataset_history()

    assert DatasetVersion(0, 1, 0) == history[0].dataset_version
    assert {execution.execution_rid for execution in ml.find_executions() if execution.status == "Uploaded"} >= {
        entry.execution_rid for entry in history if entry.execution_rid
    }

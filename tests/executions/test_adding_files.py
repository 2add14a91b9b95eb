"""Files that stay where they are: rows that say where and what, and datasets as the folders are."""

import hashlib
import json

import pytest

from deriva_ml_core.assets.file_specs import FileSpec
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLInvalidTerm, DerivaMLValidationError


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "study"
    for name in ("readme.txt", "a/one.csv", "a/deep/three.csv", "b/two.csv"):
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{tmp_path} {name}")
    return top


def test_a_folder_becomes_datasets_nested_as_it_is(ml, workflow, folder):
    """On catalogs of both generations: a row for each file, a dataset for each folder, nothing is sent."""
    execution = ml.create_execution(workflow=workflow)
    dataset = execution.add_files([folder], description="A study")

    found = {row["Filename"]: row for row in ml.list_files()}
    assert found.keys() == {"readme.txt", "one.csv", "two.csv", "three.csv"}
    one = found["one.csv"]
    content = (folder / "a/one.csv").read_bytes()
    assert (one["Length"], one["MD5"]) == (len(content), hashlib.md5(content).hexdigest())
    assert one["URL"].startswith("file://")
    assert "File" in one["File_Types"]
    assert [row["RID"] for row in dataset.list_dataset_members()["File"]] == [found["readme.txt"]["RID"]]
    assert len(dataset.list_dataset_children()) == 2
    assert len(dataset.list_dataset_members(recurse=True)["File"]) == 4
    assert len(execution.list_assets("Output")) >= 4
    assert "File" in dataset.dataset_types


def test_the_folders_paths_are_kept(new_ml, workflow, folder):
    """A catalog of the newer generation has a table for them; the topmost may be called otherwise."""
    execution = new_ml.create_execution(workflow=workflow)
    execution.add_files(folder, root_name="cohort")

    paths = {row["Path"] for row in rows.select(new_ml.session, "Directory_Dataset")}
    assert paths == {"cohort", "cohort/a", "cohort/a/deep", "cohort/b"}


def test_a_second_time_the_rows_are_used_again(new_ml, workflow, folder):
    """The same file is the same row, whichever execution names it."""
    first = new_ml.create_execution(workflow=workflow)
    first.add_files(folder)
    before = new_ml.list_files()
    second = new_ml.create_execution(workflow=workflow)
    second.add_files(FileSpec.create_filespecs(folder))

    assert new_ml.list_files() == before


def test_what_comes_back_is_the_users_own(new_ml, workflow, folder):
    """The dataset, and those that a record names, can be downloaded, and know who used them."""
    execution = new_ml.create_execution(workflow=workflow)
    made = [execution.add_files(folder), new_ml.add_files(folder, execution.execution_rid)]
    with new_ml.create_execution(workflow=workflow, datasets=[made[0].dataset_rid]) as reader:
        pass

    (used,) = new_ml.lookup_execution(reader.execution_rid).list_input_datasets()
    for dataset in (*made, used):
        assert len(dataset.download_dataset_bag().list_dataset_members(recurse=True)["File"]) == 4
    for dataset in (made[0], used):
        assert [one.execution_rid for one in dataset.list_executions()] == [reader.execution_rid]


def test_specs_name_files_anywhere(new_ml, workflow, tmp_path):
    """Files behind URLs, from a list of JSON lines; with types, which are terms."""
    spec = {"url": "https://example.org/d/x.bin", "md5": "A" * 32, "length": 7, "file_types": ["Model_File"]}
    listing = tmp_path / "files.jsonl"
    listing.write_text(json.dumps(spec) + "\n")
    execution = new_ml.create_execution(workflow=workflow)
    new_ml.add_files(FileSpec.read_filespec(listing), execution.execution_rid, dataset_types="Training")

    (row,) = new_ml.list_files(["Model_File"])
    assert (row["URL"], row["MD5"], row["Filename"]) == (spec["url"], "a" * 32, "x.bin")
    assert new_ml.list_files("Notebook_Output") == []


def test_what_is_wrong_is_said_before_anything_is_recorded(new_ml, workflow, tmp_path, folder):
    """No file, no such file, no such type."""
    execution = new_ml.create_execution(workflow=workflow)
    with pytest.raises(DerivaMLValidationError, match="no file"):
        execution.add_files([])
    with pytest.raises(DerivaMLValidationError, match="not there"):
        execution.add_files([folder, tmp_path / "missing.txt"])
    with pytest.raises(DerivaMLInvalidTerm, match="Trainin"):
        execution.add_files(folder, dataset_types=["Trainin"])
    with pytest.raises(DerivaMLInvalidTerm, match="Modle_File"):
        execution.add_files(FileSpec.create_filespecs(folder, file_types=["Modle_File"]))

    assert new_ml.list_files() == []


def test_an_asset_knows_its_executions(new_ml, workflow, tmp_path):
    """From an asset to what made and used it, and to its file."""
    execution = new_ml.create_execution(workflow=workflow)
    with execution:
        execution.asset_file_path("Execution_Asset", "w.txt").write_text("w")
    (path,) = execution.upload_execution_outputs()["deriva-ml/Execution_Asset"]
    asset = new_ml.lookup_asset(path.asset_rid)

    assert [one.execution_rid for one in asset.list_executions("Output")] == [execution.execution_rid]
    assert asset.list_executions("Input") == []
    assert asset.find_features() == []
    assert asset.download(tmp_path / "got").read_text() == "w"
    with pytest.raises(DerivaMLValidationError, match="say to which execution"):
        asset.download(tmp_path / "linked", update_catalog=True)
    assert asset.asset_rid in asset.get_chaise_url()

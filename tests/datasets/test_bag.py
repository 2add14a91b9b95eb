"""A dataset arrives as a bag: complete, verified, once."""

import json
import threading
from pathlib import Path

import pytest
from bdbag import bdbag_api

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import create_dataset
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.datasets.versions import DatasetVersion
from deriva_ml_core.errors import (
    ChecksumMismatch,
    DerivaMLDatasetNotFound,
    DerivaMLException,
    DerivaMLTableNotFound,
)


@pytest.fixture
def spec(dataset):
    return DatasetSpec(rid=dataset.dataset_rid, version="1.0.0")


@pytest.fixture
def bag(image_session, spec, tmp_path):
    return fetch_bag(image_session, spec, tmp_path / "cache")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_table_leads_to_labels_and_files(bag, images):
    """Rows have their values; the Filename of an asset leads to its file on this disk."""
    found = list(bag.get_table_as_dict("Image"))

    assert [row["RID"] for row in found] == sorted(images[:4])
    assert [Path(row["Filename"]).read_bytes() for row in found] == [b"image %d" % n for n in range(4)]
    assert [row["Label"] for row in found] == ["0", "1", "2", "0"]
    assert [row["Length"] for row in found] == [7] * 4
    assert {"Dataset", "Dataset_Image", "Dataset_Version", "Image_Asset_Type", "Asset_Type", "Execution"} <= set(
        bag.list_tables()
    )


def test_a_table_is_a_frame(bag):
    """The same as a pandas frame; a table without rows keeps its columns."""
    frame = bag.get_table_as_dataframe("Image")

    assert list(frame["Label"]) == ["0", "1", "2", "0"]
    assert {"RID", "URL", "Filename", "MD5"} <= set(frame.columns)
    assert list(bag.get_table_as_dataframe("Directory_Dataset").columns)[:1] == ["RID"]


def test_an_unknown_table_is_told(bag):
    """A wrong table name is answered with the nearest."""
    with pytest.raises(DerivaMLTableNotFound, match="'Image'"):
        bag.get_table_as_dict("Imagee")


def test_the_bag_knows_its_dataset(bag, dataset, images):
    """Version, types, description, history, members and executions are in the bag."""
    assert (bag.dataset_rid, bag.current_version) == (dataset.dataset_rid, DatasetVersion(1, 0, 0))
    assert (bag.dataset_types, bag.description) == (["Training"], "digits")
    assert [str(entry.dataset_version) for entry in bag.dataset_history()] == ["0.1.0", "0.2.0", "1.0.0"]
    assert bag.dataset_history() == dataset.dataset_history()
    assert [row["RID"] for row in bag.list_dataset_members()["Image"]] == sorted(images[:4])
    assert len(bag.list_dataset_members(limit=2)["Image"]) == 2
    assert bag.list_executions() == []
    assert "Image" in [table.name for table in bag.list_dataset_element_types()]
    assert bag.list_dataset_members(version="1.0.0") == bag.list_dataset_members()
    with pytest.raises(DerivaMLDatasetNotFound, match=r"2\.0\.0"):
        bag.list_dataset_members(version="2.0.0")


def test_it_is_a_valid_bdbag(bag):
    """By bdbag's full validation: structure, and every checksum."""
    bdbag_api.validate_bag(str(bag.path))
    bdbag_api.validate_bag_structure(str(bag.path), skip_remote=False)


def test_every_reference_is_resolved_in_the_bag(bag):
    """What an exported row refers to is in the bag too."""
    for table in bag._tables.values():
        for key in table.document["foreign_keys"]:
            target = key["referenced_columns"][0]
            column = key["foreign_key_columns"][0]["column_name"]
            values = {row[column] for row in table.rows()} - {None}
            there = {row[target["column_name"]] for row in bag._table(target["table_name"]).rows()} if values else set()

            assert values <= there, (table.name, column)


def test_the_second_time_nothing_is_downloaded(image_session, bag, spec, tmp_path):
    """A cached bag costs the two requests that find its version, and no object."""
    before = image_session.client.requests_sent
    again = fetch_bag(image_session, spec, tmp_path / "cache")

    assert again.path == bag.path
    assert image_session.client.requests_sent - before == 2


def test_the_same_version_is_the_same_bag(image_session, bag, spec, dataset, images, tmp_path):
    """Exported again elsewhere, after the catalog has moved on: the same bytes."""
    dataset.add_dataset_members(images[4:])
    rows.update(image_session, "Image", [{"RID": images[0], "Label": "changed"}])
    again = fetch_bag(image_session, spec, tmp_path / "other")

    assert files(again.path) == files(bag.path)
    assert again.checksum == bag.checksum


def test_without_files_it_is_the_same_bag(image_session, spec, tmp_path):
    """materialize=False leaves the files out; they are added when wanted, and the tables are not asked again."""
    bare = spec.model_copy(update={"materialize": False})
    holey = fetch_bag(image_session, bare, tmp_path / "cache")
    assert not (holey.path / "data" / "assets").exists()
    assert [row["Filename"] for row in holey.get_table_as_dict("Image")] == [f"{n}.png" for n in range(4)]
    bdbag_api.validate_bag_structure(str(holey.path), skip_remote=True)

    before = image_session.client.requests_sent
    full = fetch_bag(image_session, spec, tmp_path / "cache")
    assert full.path == holey.path
    assert image_session.client.requests_sent - before == 2 + 4
    assert fetch_bag(image_session, bare, tmp_path / "cache").path == full.path


@pytest.mark.parametrize("what", ["data/demo/Image.csv", "data/assets/Image", "manifest-md5.txt", "fetch.txt"])
@pytest.mark.parametrize("how", ["write", "delete"])
def test_a_damaged_bag_is_never_used(image_session, bag, spec, tmp_path, what, how):
    """Whatever is changed or missing in a cached bag is found before use, and made or fetched again."""
    whole = files(bag.path)
    victim = bag.path / what
    victim = next(path for path in victim.rglob("*") if path.is_file()) if victim.is_dir() else victim
    victim.chmod(0o644)
    victim.write_bytes(b"x") if how == "write" else victim.unlink()
    again = fetch_bag(image_session, spec, tmp_path / "cache")

    assert files(again.path) == whole


def test_an_index_that_is_no_index_is_made_again(image_session, bag, spec, tmp_path):
    """A torn index file costs an export, nothing else."""
    (index,) = (tmp_path / "cache" / "bags" / "index").iterdir()
    index.write_text("{")
    again = fetch_bag(image_session, spec, tmp_path / "cache")

    assert again.path == bag.path
    assert json.loads(index.read_text())["version"] == "1.0.0"


def test_a_partial_download_continues(image_session, local_server, spec, images, tmp_path):
    """One object is missing: the row and file are named, the others stay; the next time only that one is fetched."""
    (row,) = rows.select_by_rids(image_session, "Image", images[1:2]).values()
    (content,) = local_server.object_files([row["URL"]])
    aside = content.rename(tmp_path / "aside")
    with pytest.raises(DerivaMLException, match=f"Image/{images[1]}/1.png.*404"):
        fetch_bag(image_session, spec, tmp_path / "cache")
    aside.rename(content)
    before = image_session.client.requests_sent
    fetch_bag(image_session, spec, tmp_path / "cache")

    assert image_session.client.requests_sent - before == 2 + 1


def test_wrong_bytes_are_refused(image_session, images, tmp_path):
    """An object that is not what its row says is named, and never in the bag."""
    rows.update(image_session, "Image", [{"RID": images[0], "MD5": "0" * 32}])
    dataset = create_dataset(image_session)
    dataset.add_dataset_members(images[:2])
    with pytest.raises(ChecksumMismatch, match=f"Image/{images[0]}/0.png"):
        fetch_bag(image_session, DatasetSpec(rid=dataset.dataset_rid), tmp_path / "cache")


def test_many_who_ask_at_once_download_once(image_session, spec, tmp_path, connect):
    """Ten sweep children: one makes the bag, the others wait for it."""
    sessions = [connect(image_session.catalog_id) for _ in range(5)]
    found = []
    threads = [
        threading.Thread(target=lambda s=session: found.append(fetch_bag(s, spec, tmp_path / "cache").path))
        for session in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = sorted(session.client.requests_sent for session in sessions)

    assert len(found) == 5
    assert len(set(found)) == 1
    assert sent[-2] <= 3  # model, and the version's two


def test_excluded_tables_stay_out(image_session, spec, tmp_path):
    """A table that the spec leaves out is not in the bag, and it is another bag."""
    bag = fetch_bag(
        image_session,
        spec.model_copy(update={"exclude_tables": frozenset({"Image_Execution"})}),
        tmp_path / "cache",
    )

    assert "Image_Execution" not in bag.list_tables()
    assert "Image" in bag.list_tables()
    with pytest.raises(DerivaMLTableNotFound, match="exclude_tables"):
        fetch_bag(image_session, spec.model_copy(update={"exclude_tables": frozenset({"Nothing"})}), tmp_path / "cache")


def test_nested_datasets_are_in_the_bag(image_session, dataset, images, tmp_path):
    """Members of nested datasets come along; each dataset has its handle."""
    parent = create_dataset(image_session, dataset_types=["Complete"])
    parent.add_dataset_members({"Dataset": [dataset.dataset_rid], "Image": [images[0], images[5]]})
    bag = fetch_bag(image_session, DatasetSpec(rid=parent.dataset_rid), tmp_path / "cache")
    (child,) = bag.list_dataset_children()

    assert [row["RID"] for row in bag.list_dataset_members()["Image"]] == sorted([images[0], images[5]])
    assert [row["RID"] for row in bag.get_table_as_dict("Image")] == sorted([*images[:4], images[5]])
    assert [row["RID"] for row in bag.list_dataset_members(recurse=True)["Image"]] == sorted([*images[:4], *images[5:]])
    assert (child.dataset_rid, child.current_version) == (dataset.dataset_rid, DatasetVersion(1, 0, 0))
    assert [parent.dataset_rid for parent in child.list_dataset_parents()] == [parent.dataset_rid]


def test_hostile_names_stay_in_the_bag(image_session, images, tmp_path):
    """Names that lead elsewhere, are too long or unprintable make a valid bag, and only a bag."""
    names = ["../../x", "/etc/passwd", "a\nb\t", "x" * 400, "100%.png", "ü 日本.png"]
    rows.update(image_session, "Image", [{"RID": r, "Filename": n} for r, n in zip(images, names, strict=True)])
    dataset = create_dataset(image_session)
    dataset.add_dataset_members(images)
    bag = fetch_bag(image_session, DatasetSpec(rid=dataset.dataset_rid), tmp_path / "cache")

    bdbag_api.validate_bag(str(bag.path))
    assert [Path(row["Filename"]).read_bytes() for row in bag.get_table_as_dict("Image")] == [
        b"image %d" % n for n in range(6)
    ]


def test_an_empty_dataset_is_a_bag(image_session, tmp_path):
    """A dataset without members has a bag without them."""
    made = create_dataset(image_session, cache_dir=tmp_path / "cache")
    bag = made.download_dataset_bag("0.1.0")

    bdbag_api.validate_bag(str(bag.path))
    assert bag.list_dataset_members() == {}


def test_a_minid_without_a_bucket_is_refused_in_one_line(image_session, dataset):
    """The words say what is missing and what to do instead. With one: examples/plugins/s3/tests/test_bags.py."""
    with pytest.raises(DerivaMLException, match="use_minid=False"):
        dataset.download_dataset_bag("1.0.0", use_minid=True)


def test_a_member_that_vanished_stays_in_the_versions_that_had_it(image_session, dataset, images, tmp_path):
    """A row that is deleted from the catalog is gone from the living dataset, not from what was released."""
    for link in ("Dataset_Image", "Image_Asset_Type", "Image_Execution"):
        rows.delete_where(image_session, f"demo:{link}", {"Image": images[0]})
    rows.delete(image_session, "Image", images[:1])
    spec = DatasetSpec(rid=dataset.dataset_rid, version="1.0.0")

    assert images[0] not in {row["RID"] for row in dataset.list_dataset_members()["Image"]}
    bag = fetch_bag(image_session, spec, tmp_path / "after")
    assert images[0] in {row["RID"] for row in bag.list_dataset_members()["Image"]}
    with pytest.raises(DerivaMLException, match=images[0]):
        dataset.add_dataset_members(images[:1])


def test_a_folder_that_is_no_bag_is_told(tmp_path):
    """Opening something else says so."""
    with pytest.raises(DerivaMLDatasetNotFound, match="not a bag"):
        DatasetBag(tmp_path)

"""Datasets in a catalog: members, versions, nesting."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import (
    add_element_type,
    create_dataset,
    delete_dataset,
    find_datasets,
    list_element_types,
    lookup_dataset,
)
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.datasets.versions import DatasetVersion, VersionPart
from deriva_ml_core.errors import (
    CatalogError,
    DerivaMLDatasetNotFound,
    DerivaMLInvalidTerm,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
)


def versions(dataset) -> list[str]:
    return [str(entry.dataset_version) for entry in dataset.dataset_history()]


def member_rids(dataset, table="Image", **options) -> list[str]:
    return [row["RID"] for row in dataset.list_dataset_members(**options)[table]]


def test_a_dataset_is_created_with_its_first_version(image_session):
    """Types from the vocabulary (synonyms too), version 0.1.0, tied to a snapshot."""
    made = create_dataset(image_session, dataset_types=["Training", "Labeled"], description="d")
    found = lookup_dataset(image_session, made.dataset_rid)

    assert (found.dataset_types, found.description) == (["Labeled", "Training"], "d")
    assert str(found.current_version) == "0.1.0"
    assert found.dataset_history()[0].snapshot
    assert found == made


def test_an_unknown_type_makes_nothing(image_session):
    """A type that is no term is refused before a row is made."""
    with pytest.raises(DerivaMLInvalidTerm, match="Training"):
        create_dataset(image_session, dataset_types=["Trainig"])

    assert list(find_datasets(image_session, deleted=True)) == []


def test_members_by_rid_and_by_table(image_session, images):
    """Members are given as RIDs of whatever tables or by table; each change is a minor version."""
    dataset = create_dataset(image_session)
    dataset.add_dataset_members(images[:2])
    dataset.add_dataset_members({"Image": images[1:4]})

    assert member_rids(dataset) == sorted(images[:4])
    assert versions(dataset) == ["0.1.0", "0.2.0", "0.3.0"]

    dataset.add_dataset_members(images[:4])
    dataset.delete_dataset_members(images[:1])
    assert member_rids(dataset) == sorted(images[1:4])
    assert versions(dataset) == ["0.1.0", "0.2.0", "0.3.0", "0.4.0"]


def test_wrong_members_change_nothing(image_session, images):
    """RIDs that are not there, or of rows that can't be members, are told together; nothing is added."""
    dataset = create_dataset(image_session)
    workflow = next(rows.select(image_session, "deriva-ml:Workflow"))["RID"]
    with pytest.raises(DerivaMLValidationError, match="9-ZZZZ") as error:
        dataset.add_dataset_members([images[0], "9-ZZZZ", workflow])
    assert "Workflow" in str(error.value)
    with pytest.raises(DerivaMLValidationError, match="9-ZZZZ"):
        dataset.add_dataset_members({"Image": [images[0], "9-ZZZZ"]})
    with pytest.raises(DerivaMLTableTypeError, match="Image"):
        dataset.add_dataset_members({"Workflow": [workflow]})

    assert member_rids(dataset) == []
    assert versions(dataset) == ["0.1.0"]


def test_who_releases_at_once_gets_versions_of_their_own(image_session, connect, dataset, images):
    """Executions of a sweep add to one dataset: nobody's members are left without a version, or refused."""
    start = threading.Barrier(6)

    def change(rid):
        mine = lookup_dataset(connect(image_session.catalog_id), dataset.dataset_rid)
        start.wait()
        (mine.delete_dataset_members if rid in images[:4] else mine.add_dataset_members)([rid])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, images))

    assert versions(dataset)[3:] == [f"1.{minor}.0" for minor in range(1, 7)]
    assert member_rids(dataset, version="1.6.0") == member_rids(dataset) == sorted(images[4:])


def test_a_conflict_that_is_none_of_versions_is_told(image_session, dataset):
    """It would not pass by trying again."""
    with pytest.raises(CatalogError, match="9-ZZZZ"):
        dataset.increment_dataset_version("minor", execution_rid="9-ZZZZ")

    assert versions(dataset)[-1] == "1.0.0"


def test_a_released_version_is_that_moment(image_session, dataset, images):
    """Members and values of a version are those of its snapshot, whatever happens afterwards."""
    dataset.add_dataset_members(images[4:])
    dataset.delete_dataset_members(images[:1])
    rows.update(image_session, "Image", [{"RID": images[1], "Label": "changed"}])
    then = {row["RID"]: row["Label"] for row in dataset.list_dataset_members(version="1.0.0")["Image"]}

    assert then == {rid: str(number % 3) for number, rid in enumerate(images[:4])}
    assert member_rids(dataset) == sorted(images[1:])


def test_the_version_is_the_current_one_at_its_own_snapshot(image_session, dataset):
    """At the snapshot of a version, the dataset's current version is that version: the rule of history.py."""
    for entry in dataset.dataset_history():
        then = image_session.at(entry.snapshot)
        current = rows.select_by_rids(then, "deriva-ml:Dataset", [dataset.dataset_rid])[dataset.dataset_rid]["Version"]

        assert current == entry.version_rid


def test_an_unknown_version_lists_those_there_are(dataset):
    """A version that is not there is refused with the list."""
    with pytest.raises(DerivaMLDatasetNotFound, match=r"1\.0\.1.*0\.1\.0, 0\.2\.0, 1\.0\.0"):
        dataset.list_dataset_members(version="1.0.1")


def test_a_development_label_is_no_current_version(image_session, dataset):
    """Labels of the live state are seen in the history, and are not what a run would record."""
    label = {"Dataset": dataset.dataset_rid, "Version": "1.0.0.post1.dev2"}
    rows.insert(image_session, "deriva-ml:Dataset_Version", [label])

    assert versions(dataset)[-1] == "1.0.0.post1.dev2"
    assert dataset.refresh().current_version == DatasetVersion(1, 0, 0)
    assert dataset.increment_dataset_version(VersionPart.minor) == DatasetVersion(1, 1, 0)
    with pytest.raises(DerivaMLDatasetNotFound, match="development label"):
        dataset.list_dataset_members(version="1.0.0.post1.dev2")


def test_the_newest_development_label_is_readable_and_no_input(image_session, dataset, images):
    """It is the catalog as it is now; a run that names it is refused, as it could not be repeated."""
    label = {"Dataset": dataset.dataset_rid, "Version": "1.0.0.post1.dev2"}
    rows.insert(image_session, "deriva-ml:Dataset_Version", [label])
    rows.update(image_session, "Image", [{"RID": images[0], "Label": "now"}])
    dataset.refresh()

    assert {"now"} < {row["Label"] for row in dataset.list_dataset_members(version="1.0.0.post1.dev2")["Image"]}
    bag = dataset.download_dataset_bag("1.0.0.post1.dev2")
    assert {"now"} < {row["Label"] for row in bag.get_table_as_dict("Image")}
    spec = DatasetSpec(rid=dataset.dataset_rid, version="1.0.0.post1.dev2")
    with pytest.raises(DerivaMLDatasetNotFound, match=r"can't be repeated; its versions: 0\.1\.0, 0\.2\.0, 1\.0\.0"):
        fetch_bag(image_session, spec, dataset.cache_dir)


def test_nested_datasets_raise_their_parents(image_session, dataset, images):
    """A change in a nested dataset is a new version of those it is nested in, of the same snapshot."""
    parent = create_dataset(image_session)
    grandparent = create_dataset(image_session)
    parent.add_dataset_members([dataset.dataset_rid])
    grandparent.add_dataset_members({"Dataset": [parent.dataset_rid]})
    dataset.add_dataset_members(images[4:5])

    assert versions(parent) == ["0.1.0", "0.2.0", "0.3.0"]
    assert versions(grandparent) == ["0.1.0", "0.2.0", "0.3.0"]
    assert len({d.dataset_history()[-1].snapshot for d in (dataset, parent, grandparent)}) == 1
    assert member_rids(grandparent, recurse=True) == sorted(images[:5])
    assert grandparent.list_dataset_children() == [parent]
    assert set(grandparent.list_dataset_children(recurse=True)) == {parent, dataset}
    assert dataset.list_dataset_parents() == [parent]
    assert set(dataset.list_dataset_parents(recurse=True)) == {parent, grandparent}


def test_cycles_are_refused(image_session, dataset):
    """A dataset can't come to contain itself."""
    parent = create_dataset(image_session)
    parent.add_dataset_members([dataset.dataset_rid])
    for child, member in ((dataset, parent), (dataset, dataset)):
        with pytest.raises(DerivaMLValidationError, match="can't be a member"):
            child.add_dataset_members([member.dataset_rid])


def test_deleted_datasets_are_hidden_and_kept(image_session, dataset):
    """A deleted dataset is not found, unless deleted ones are asked for; its versions can be read."""
    delete_dataset(image_session, dataset.dataset_rid)

    assert list(find_datasets(image_session)) == []
    with pytest.raises(DerivaMLDatasetNotFound, match="deleted"):
        lookup_dataset(image_session, dataset.dataset_rid)
    assert lookup_dataset(image_session, dataset.dataset_rid, deleted=True) == dataset


def test_what_is_no_dataset_is_told(image_session, images):
    """A RID of something else is named with what it is."""
    with pytest.raises(DerivaMLDatasetNotFound, match="row of Image"):
        lookup_dataset(image_session, images[0])
    with pytest.raises(DerivaMLDatasetNotFound, match="9-ZZZZ"):
        lookup_dataset(image_session, "9-ZZZZ")


def test_types_come_and_go(dataset):
    """Types are added and removed; doing it twice is doing it once."""
    dataset.add_dataset_types(["Labeled", "Training"])
    dataset.add_dataset_type("Labeled")
    dataset.remove_dataset_type("Training")
    dataset.remove_dataset_type("Training")

    assert dataset.dataset_types == ["Labeled"]
    assert versions(dataset)[-2:] == ["1.1.0", "1.2.0"]
    assert dataset.download_dataset_bag().dataset_types == ["Labeled"]
    assert dataset.download_dataset_bag("1.0.0").dataset_types == ["Training"]


def test_element_types_are_added_once(image_session, images):
    """An element type is an association Dataset_<Table>; vocabularies and executions can't be one."""
    assert add_element_type(image_session, "Image").name == "Image"
    assert [table.name for table in list_element_types(image_session)] == ["Dataset", "File", "Image"]
    for table in ("Asset_Type", "Execution"):
        with pytest.raises(DerivaMLTableTypeError, match=table):
            add_element_type(image_session, table)


def test_thousands_of_members_in_few_requests(image_session, images):
    """3,000 members by RID: no request for each."""
    new = rows.insert(
        image_session,
        "Image",
        [{"URL": f"/hatrac/x/{n}", "Filename": "x", "Length": 1, "MD5": "0" * 32} for n in range(3000)],
    )
    dataset = create_dataset(image_session)
    before = image_session.client.requests_sent
    dataset.add_dataset_members([row["RID"] for row in new])

    assert image_session.client.requests_sent - before <= 15
    assert len(member_rids(dataset)) == 3000


def test_both_generations(ml_catalog):
    """Datasets of files and datasets work on catalogs of either generation."""
    made = create_dataset(ml_catalog, dataset_types=["Training"])
    child = create_dataset(ml_catalog)
    made.add_dataset_members([child.dataset_rid])

    assert [c.dataset_rid for c in made.list_dataset_children(version="0.2.0")] == [child.dataset_rid]
    assert made.list_dataset_children(version="0.1.0") == []

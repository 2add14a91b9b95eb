"""Wrong requests, and rows and files that are not what they should be: told in one clear line, and nothing is lost."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from meddling_proxy import MeddlingProxy

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset, delete_dataset, find_datasets
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.errors import (
    CatalogError,
    CatalogUnreachable,
    ChecksumMismatch,
    DerivaMLDatasetNotFound,
    DerivaMLTableNotFound,
    DerivaMLValidationError,
    WorkingFolderError,
)
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_domain_schema, create_tables


@pytest.fixture
def bag(image_session, dataset, tmp_path):
    return fetch_bag(image_session, DatasetSpec(rid=dataset.dataset_rid, version="1.0.0"), tmp_path / "cache")


@pytest.mark.parametrize("version", ["latest", "1.0", "1.0.0.dev3", (1, 2)])
def test_what_is_no_version_is_told_with_an_example(dataset, version):
    """By one of our errors, so that a command says it in one line."""
    for ask in (dataset.list_dataset_members, dataset.list_dataset_children, dataset.download_dataset_bag):
        with pytest.raises(DerivaMLValidationError, match=r"is not a dataset version: give MAJOR\.MINOR\.PATCH"):
            ask(version=version)


def test_a_dataset_with_a_wrong_first_version_is_not_made(image_session):
    """Nor one whose first version would be a development label."""
    for version, told in (("first", "is not a dataset version"), ("1.0.0.post1.dev1", "development label")):
        with pytest.raises(DerivaMLValidationError, match=told):
            create_dataset(image_session, version=version)

    assert list(find_datasets(image_session, deleted=True)) == []


def test_what_is_no_part_of_a_version_is_told(dataset):
    """With the parts there are; nothing is released."""
    with pytest.raises(DerivaMLValidationError, match="major, minor or patch"):
        dataset.increment_dataset_version("majr")

    assert str(dataset.refresh().current_version) == "1.0.0"


def test_a_version_that_nobody_can_read_does_not_hide_the_others(image_session, dataset, caplog):
    """Another tool's, or a mistake of somebody who edits rows: left out, and told."""
    rows.insert(image_session, "deriva-ml:Dataset_Version", [{"Dataset": dataset.dataset_rid, "Version": "v2 final"}])

    assert [str(entry.dataset_version) for entry in dataset.dataset_history()] == ["0.1.0", "0.2.0", "1.0.0"]
    assert "'v2 final'" in caplog.text
    assert str(dataset.increment_dataset_version("minor")) == "1.1.0"


def test_members_of_a_table_that_is_not_there_are_refused(dataset, images):
    """A wrong table name, and RIDs of another table than the one that is named."""
    with pytest.raises(DerivaMLTableNotFound, match="'Image'"):
        dataset.add_dataset_members({"Imagee": images[:1]})
    with pytest.raises(DerivaMLValidationError, match=f"no row of Dataset: {images[4]}"):
        dataset.add_dataset_members({"Dataset": [images[4]]})


def test_a_deleted_dataset_does_not_become_a_member(image_session, dataset):
    """It would bring what somebody has taken out of use."""
    gone = create_dataset(image_session)
    delete_dataset(image_session, gone.dataset_rid)
    with pytest.raises(DerivaMLValidationError, match=f"dataset {gone.dataset_rid} was deleted"):
        dataset.add_dataset_members([gone.dataset_rid])

    assert dataset.list_dataset_children() == []


def test_a_deleted_dataset_is_not_changed(image_session, dataset, images):
    """By a handle that is older than the deletion; its versions can still be read."""
    dataset.list_dataset_members()
    delete_dataset(image_session, dataset.dataset_rid)
    for change in (
        lambda: dataset.add_dataset_members(images[4:]),
        lambda: dataset.delete_dataset_members(images[:1]),
        lambda: dataset.increment_dataset_version("patch"),
        lambda: dataset.add_dataset_type("Testing"),
        lambda: dataset.remove_dataset_type("Training"),
    ):
        with pytest.raises(DerivaMLDatasetNotFound, match=f"dataset {dataset.dataset_rid} was deleted"):
            change()

    assert [str(entry.dataset_version) for entry in dataset.dataset_history()] == ["0.1.0", "0.2.0", "1.0.0"]
    assert len(dataset.list_dataset_members(version="1.0.0")["Image"]) == 4


def test_one_rid_is_one_member(dataset, images):
    """And not the letters that it has."""
    dataset.add_dataset_members(images[4])
    dataset.add_dataset_members({"Image": images[5]})

    assert [row["RID"] for row in dataset.list_dataset_members()["Image"]] == sorted(images)


def test_one_name_is_one_table(bag, dataset, tmp_path):
    """Wherever several names are asked for."""
    assert bag.denormalize_as_dataframe("Image").equals(bag.denormalize_as_dataframe(["Image"]))
    assert bag.as_numpy("Image").keys() == bag.as_numpy(["Image"]).keys()
    assert (bag.restructure_assets(tmp_path / "out", group_by="Label", enforce_vocabulary=False) / "training").is_dir()
    assert "Execution" not in dataset.download_dataset_bag("1.0.0", exclude_tables="Execution").list_tables()
    assert DatasetSpec(rid="1-ABCD", exclude_tables="Image").exclude_tables == {"Image"}


def test_rids_of_a_frame_are_members(dataset, images):
    """A pandas Series has no truth value, and is where a notebook has its RIDs."""
    dataset.add_dataset_members(pd.DataFrame({"RID": images})["RID"])

    assert [row["RID"] for row in dataset.list_dataset_members()["Image"]] == sorted(images)


def test_what_is_no_rid_is_told(dataset):
    """A missing value of a frame, say."""
    for members in ([None], ["1-ABCD", float("nan")], {"Image": [5]}):
        with pytest.raises(DerivaMLValidationError, match=r"wrong members; .* is not a RID"):
            dataset.add_dataset_members(members)

    assert str(dataset.refresh().current_version) == "1.0.0"


def test_members_of_another_catalog_are_refused_soon(image_session, dataset, images):
    """Whoever is connected to the wrong catalog waits for ten answers, not for thousands."""
    before = image_session.client.requests_sent
    with pytest.raises(DerivaMLValidationError, match="9-Z009 is not in this catalog; 990 more were not looked for"):
        dataset.add_dataset_members([images[0], *(f"9-Z{number:03}" for number in range(1000))])

    assert image_session.client.requests_sent - before < 20


def test_the_time_outs_of_a_spec_are_kept(image_session, dataset, connect, local_server, tmp_path):
    """A server that takes too long is not waited for; the next request of that connection has the usual patience."""
    where = urlsplit(local_server.url)
    spec = DatasetSpec(rid=dataset.dataset_rid, version="1.0.0", timeout=(1.0, 0.05))
    with MeddlingProxy(where.hostname, where.port) as proxy:
        far = connect(image_session.catalog_id, base_url=proxy.url)
        far.client.patience = replace(far.client.patience, answer_repeats=0, connect_repeats=0)
        proxy.delay_s = 2
        with pytest.raises(CatalogUnreachable):
            fetch_bag(far, spec, tmp_path / "cache")
        proxy.delay_s = 0.2

        assert fetch_bag(far, spec.model_copy(update={"timeout": None}), tmp_path / "cache").list_tables()


def test_deleting_twice_is_told(image_session, dataset):
    """As deleting what was never there is."""
    delete_dataset(image_session, dataset.dataset_rid)
    for rid, told in ((dataset.dataset_rid, "was deleted"), ("9-ZZZZ", "is not a dataset")):
        with pytest.raises(DerivaMLDatasetNotFound, match=told):
            delete_dataset(image_session, rid)


def test_tables_of_one_name_keep_their_members_apart(image_session, dataset, images):
    """Two schemas may both have a table Image."""
    create_domain_schema(image_session, "other")
    create_tables(image_session, "other", [TableDef("Image", (ColumnDef("Name"),))])
    add_element_type(image_session, "other:Image")
    other = rows.insert_one(image_session, "other:Image", Name="x")["RID"]
    dataset.add_dataset_members([other])

    found = dataset.list_dataset_members()
    assert [row["RID"] for row in found["other:Image"]] == [other]
    assert [row["RID"] for row in found["demo:Image"]] == sorted(images[:4])
    bag = dataset.download_dataset_bag(dataset.current_version)
    assert [row["RID"] for row in bag.list_dataset_members()["other:Image"]] == [other]


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("data/demo/Image.csv", "RID,URL\n1-ABCD\n"),
        ("data/demo/Image.csv", None),
        ("data/schema.json", "{"),
    ],
)
def test_a_bag_that_was_changed_under_its_reader_is_not_believed(bag, what, content):
    """Between the look at its checksums and the reading of a table anything may happen to a shared folder."""
    victim = bag.path / what
    victim.chmod(0o644)
    victim.write_text(content) if content else victim.unlink()
    with pytest.raises((ChecksumMismatch, DerivaMLDatasetNotFound), match=victim.name):
        list(DatasetBag(bag.path).get_table_as_dict("Image"))


def test_a_tree_of_files_that_cannot_be_made_is_told(bag, tmp_path):
    """The folder is a file, or lies below one."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WorkingFolderError, match="file"):
            bag.restructure_assets(folder)


def test_names_that_collide_in_a_tree_of_files_stay_apart(image_session, images, tmp_path):
    """Also where somebody's file is called as another's would be, and where only the case differs."""
    names = ["x.png", "X.png", f"{images[0]}_x.png", "y.png"]
    rows.update(image_session, "Image", [{"RID": r, "Filename": n} for r, n in zip(images[:4], names, strict=True)])
    dataset = create_dataset(image_session, cache_dir=tmp_path / "cache")
    dataset.add_dataset_members(images[:4])
    made = dataset.download_dataset_bag(dataset.current_version).restructure_assets(tmp_path / "out")

    found = [path for path in made.rglob("*") if path.is_file()]
    assert sorted(path.read_bytes() for path in found) == [b"image %d" % n for n in range(4)]
    assert len({str(path).casefold() for path in found}) == 4


def test_a_development_label_with_a_snapshot_is_no_input_either(open_ml, image_session, dataset, workflow):
    """It can be read; a run that names it is refused with the versions there are, and nothing is recorded."""
    label = {"Dataset": dataset.dataset_rid, "Version": "1.0.0.post1.dev2", "Snapshot": image_session.latest_snaptime()}
    rows.insert(image_session, "deriva-ml:Dataset_Version", [label])
    ml = open_ml(image_session.catalog_id)
    spec = f"{dataset.dataset_rid}@1.0.0.post1.dev2"
    recorded = len(list(ml.find_executions()))

    assert len(list(ml.download_dataset_bag(spec).get_table_as_dict("Image"))) == 4
    with pytest.raises(DerivaMLValidationError, match=r"development label.*its versions: 0\.1\.0, 0\.2\.0, 1\.0\.0"):
        ml.create_execution(workflow=workflow, datasets=[spec])
    assert len(list(ml.find_executions())) == recorded


def test_the_newest_development_label_is_read_by_the_users_handle(open_ml, image_session, dataset, images):
    """It means the catalog as it is now."""
    label = {"Dataset": dataset.dataset_rid, "Version": "1.0.0.post1.dev3"}
    rows.insert(image_session, "deriva-ml:Dataset_Version", [label])
    rows.update(image_session, "Image", [{"RID": images[0], "Label": "now"}])
    ml = open_ml(image_session.catalog_id)

    bag = ml.download_dataset_bag(f"{dataset.dataset_rid}@1.0.0.post1.dev3")
    assert "now" in {row["Label"] for row in bag.get_table_as_dict("Image")}


@pytest.fixture
def large(image_session, images, tmp_path):
    """A dataset of three images of 100 kB that no other test has, and their RIDs."""
    execution = rows.insert_one(image_session, "deriva-ml:Execution", Status="Running")["RID"]
    staging = Staging(tmp_path / "more", image_session)
    for number in range(3):
        staging.register("Image", f"{number}.png").write_bytes(f"{tmp_path}{number}".encode().ljust(100_000))
    found = upload_staged(image_session, staging, execution).assets["demo/Image"]
    made = create_dataset(image_session, description="large")
    made.add_dataset_members([path.asset_rid for path in found])
    return made, {path.file_name: path.asset_rid for path in found}


def test_a_disk_too_small_is_told_before_a_file_comes(open_ml, image_session, large, small_disk):
    """With what is free and what is wanted; once there is room, the same call goes on."""
    dataset, _ = large
    disk = small_disk(800_000)
    (disk / "ballast").write_bytes(bytes(500_000))
    ml = open_ml(image_session.catalog_id, cache_dir=disk / "cache")
    with pytest.raises(WorkingFolderError, match=r"kB free, 300\.0 kB are to be fetched"):
        ml.download_dataset_bag(dataset.dataset_rid)

    assert list(disk.rglob("*.png")) == []
    (disk / "ballast").unlink()
    bag = ml.download_dataset_bag(dataset.dataset_rid)
    assert [Path(row["Filename"]).stat().st_size for row in bag.get_table_as_dict("Image")] == [100_000] * 3


def test_a_disk_too_small_for_the_tables_is_told(open_ml, image_session, large, small_disk):
    """Their size is not known before."""
    disk = small_disk(8_192)
    ml = open_ml(image_session.catalog_id, cache_dir=disk / "cache")
    with pytest.raises(WorkingFolderError, match=f"can't write in {disk}.*No space left"):
        ml.download_dataset_bag(large[0].dataset_rid)


def test_an_input_whose_object_is_gone_fails_the_run_by_its_name(open_ml, image_session, large, workflow):
    """Row and file are named, in the record too; the other files stay, and come from the cache when it is there."""
    dataset, rids = large
    ml = open_ml(image_session.catalog_id)
    url = ml.retrieve_rid(rids["1.png"])["URL"].rpartition(":")[0]
    image_session.client.request("DELETE", url)
    with pytest.raises(CatalogError, match=rf"1 file\(s\) could not be had: Image/{rids['1.png']}/1\.png: .*404"):
        ml.create_execution(workflow=workflow, datasets=[dataset.dataset_rid])

    (record,) = [one for one in ml.find_executions() if one.status.value == "Failed"]
    assert f"Image/{rids['1.png']}/1.png" in record.status_detail
    here = {path.name for path in ml.cache_dir.glob("bags/*/*/data/assets/**/*.png")}
    assert here == {"0.png", "2.png"}

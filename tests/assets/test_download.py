"""Input assets arrive whole, once, and never in each other's place."""

import os
import shutil
from pathlib import Path

import pytest

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.download import fetch_assets
from deriva_ml_core.assets.resolving import resolve_assets
from deriva_ml_core.assets.specs import AssetSpec, LocalFile
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import (
    ChecksumMismatch,
    DerivaMLException,
    DerivaMLInvalidTerm,
    DerivaMLNotFoundError,
    DerivaMLValidationError,
)
from deriva_ml_core.executions.asset import find_assets, list_assets, lookup_asset
from deriva_ml_core.executions.assets_of import executions_of_asset


@pytest.fixture
def uploaded(image_session, staging, execution_rid):
    """RIDs of three assets in two tables; two of them have one name."""
    staging.register("Image", "a/same.png", Label="1").write_text("one")
    staging.register("Image", "b/same.png", Label="2").write_text("two")
    staging.register("Execution_Asset", "model.pt", asset_types=["Model_File"]).write_text("model")
    report = upload_staged(image_session, staging, execution_rid)
    images = sorted(report.assets["demo/Image"], key=str)
    return [path.asset_rid for path in (*images, *report.assets["deriva-ml/Execution_Asset"])]


@pytest.fixture
def reader(image_session):
    """The execution that uses them."""
    return rows.insert_one(image_session, "deriva-ml:Execution", Status="Running")["RID"]


def test_assets_of_any_table_in_one_list(image_session, uploaded, reader, tmp_path):
    """RIDs of several tables come with one call: by table, each in its own folder with its facts, linked as Input."""
    found = fetch_assets(image_session, uploaded, tmp_path / "in", tmp_path / "cache", execution_rid=reader)

    assert [path.read_text() for path in found["Image"]] == ["one", "two"]
    assert found["Image"][0] == tmp_path / "in" / "Image" / uploaded[0] / "same.png"
    assert found["Image"][0].metadata == {"Label": "1"}
    assert "Model_File" in found["Execution_Asset"][0].asset_types
    assert [row["Asset_Role"] for row in rows.select(image_session, "Image_Execution", {"Execution": reader})] == [
        "Input",
        "Input",
    ]
    tags = rows.select(image_session, "Image_Asset_Type", {"Image": uploaded[0]})
    assert {tag["Asset_Type"] for tag in tags} == {"Image", "Output_File", "Input_File"}


def test_a_role_that_there_is_not_is_refused(image_session, uploaded):
    """With the nearest: an empty list would say that nobody has used the asset."""
    with pytest.raises(DerivaMLInvalidTerm, match="'Inptu' is not a term of Asset_Role; did you mean 'Input'"):
        executions_of_asset(image_session, uploaded[0], "Inptu")


def test_wrong_rids_are_told_together(image_session, uploaded, tmp_path):
    """All RIDs that are no assets are in one message; nothing is downloaded."""
    workflow = next(rows.select(image_session, "deriva-ml:Workflow"))["RID"]
    with pytest.raises(DerivaMLValidationError, match="9-ZZZZ") as error:
        fetch_assets(image_session, [uploaded[0], "9-ZZZZ", workflow], tmp_path / "in", tmp_path / "cache")

    assert len(error.value.problems) == 2
    assert "Workflow" in str(error.value)
    assert not (tmp_path / "in").exists()


def test_a_hundred_assets_cost_three_requests(image_session, staging, execution_rid, reader, tmp_path):
    """Warm, of one table: where it is, rows with their types, links. Users sit 100 ms away from their server."""
    for number in range(100):
        staging.register("Image", f"{number}.png").write_text(f"{tmp_path}{number}")
    paths = upload_staged(image_session, staging, execution_rid).assets["demo/Image"]
    specs = [AssetSpec(path.asset_rid, cache=True) for path in paths]
    fetch_assets(image_session, specs, tmp_path / "one", tmp_path / "cache", execution_rid=reader)
    before = image_session.client.requests_sent
    second = rows.insert_one(image_session, "deriva-ml:Execution", Status="Running")["RID"]
    found = fetch_assets(image_session, specs, tmp_path / "two", tmp_path / "cache", execution_rid=second)

    assert image_session.client.requests_sent - before <= 3 + 1  # the new execution is one
    assert [path.asset_rid for path in found["Image"]] == [spec.rid for spec in specs]
    assert len(list(rows.select(image_session, "Image_Execution", {"Execution": second}))) == 100


def test_each_table_of_a_mixed_list_costs_three_requests(slide_session, staging, execution_rid, reader, tmp_path):
    """No request of the protocol finds rows of several tables; those that hold none of the RIDs are not asked."""
    for number in range(50):
        staging.register("Image", f"{number}.png").write_text(f"{tmp_path}{number}")
        staging.register("Execution_Asset", f"{number}.pt").write_text(f"{tmp_path}{number}")
    assets = upload_staged(slide_session, staging, execution_rid).assets
    pairs = zip(assets["demo/Image"], assets["deriva-ml/Execution_Asset"], strict=True)
    specs = [AssetSpec(path.asset_rid, cache=True) for pair in pairs for path in pair]
    fetch_assets(slide_session, specs, tmp_path / "one", tmp_path / "cache", execution_rid=execution_rid)
    before = slide_session.client.requests_sent
    found = fetch_assets(slide_session, specs, tmp_path / "two", tmp_path / "cache", execution_rid=reader)

    assert slide_session.client.requests_sent - before == 2 * 3
    assert [len(found[table]) for table in ("Image", "Execution_Asset")] == [50, 50]
    assert len(slide_session.model.asset_tables()) > 2 + 1


def test_the_cache_serves_the_second_time(image_session, uploaded, tmp_path):
    """A cached asset is fetched once; the second execution asks for no object."""
    specs = [AssetSpec(rid, cache=True) for rid in uploaded[:2]]
    fetch_assets(image_session, specs, tmp_path / "one", tmp_path / "cache")
    before = image_session.client.requests_sent
    found = fetch_assets(image_session, specs, tmp_path / "two", tmp_path / "cache")

    assert [path.read_text() for path in found["Image"]] == ["one", "two"]
    assert image_session.client.requests_sent - before == 2  # where they are; rows with types


def test_without_cache_nothing_is_kept(image_session, uploaded, tmp_path):
    """cache=False leaves nothing behind but the file."""
    fetch_assets(image_session, uploaded, tmp_path / "in", tmp_path / "cache")

    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", [b"xxx", b"longer than it was", b""])
def test_a_damaged_cache_is_never_used(image_session, uploaded, tmp_path, damage):
    """A cached file that was written to is found, and fetched again."""
    spec = [AssetSpec(uploaded[0], cache=True)]
    fetch_assets(image_session, spec, tmp_path / "one", tmp_path / "cache")
    (kept,) = [path for path in (tmp_path / "cache" / "objects").rglob("*") if path.is_file()]
    kept.chmod(0o644)
    kept.write_bytes(damage)
    found = fetch_assets(image_session, spec, tmp_path / "two", tmp_path / "cache")

    assert found["Image"][0].read_text() == "one"


def test_a_touched_cache_is_used_after_a_look(image_session, uploaded, tmp_path):
    """A cached file whose time changed, and whose bytes did not, is hashed and used: no request for the object."""
    (asset,) = resolve_assets(image_session, uploaded[:1])
    cache = ObjectCache(tmp_path / "cache")
    path = cache.fetch(image_session, asset.row["URL"], asset.md5, asset.size_bytes)
    os.utime(path)
    before = image_session.client.requests_sent

    assert cache.fetch(image_session, asset.row["URL"], asset.md5, asset.size_bytes) == path
    assert image_session.client.requests_sent == before


def test_bytes_that_are_not_the_record_are_refused(image_session, uploaded, tmp_path):
    """An object that is not what its row says never appears on disk; the row and the file are named."""
    rows.update(image_session, "Image", [{"RID": uploaded[0], "MD5": "0" * 32}])
    with pytest.raises(ChecksumMismatch, match=f"{uploaded[0]}.*same.png"):
        fetch_assets(image_session, uploaded[:1], tmp_path / "in", tmp_path / "cache")

    assert [path for path in (tmp_path / "in").rglob("*") if path.is_file()] == []


def test_a_missing_object_is_named(image_session, uploaded, tmp_path):
    """An asset whose object is gone is named by RID and file."""
    rows.update(image_session, "Image", [{"RID": uploaded[0], "URL": "/hatrac/Image/nothing.png:ABC"}])
    with pytest.raises(DerivaMLException, match=f"{uploaded[0]}.*same.png"):
        fetch_assets(image_session, uploaded[:1], tmp_path / "in", tmp_path / "cache")


def test_a_hostile_name_stays_in_its_folder(image_session, uploaded, tmp_path):
    """A Filename that a catalog should not have leads to no place outside."""
    rows.update(image_session, "Image", [{"RID": uploaded[0], "Filename": "../../../evil.png"}])
    (path,) = fetch_assets(image_session, uploaded[:1], tmp_path / "in", tmp_path / "cache")["Image"]

    assert path.resolve().parent == tmp_path / "in" / "Image" / uploaded[0]
    assert path.file_name == "../../../evil.png"


def test_a_local_file_is_an_input(image_session, reader, tmp_path):
    """A file of this machine gets a File row and an Input link; its bytes stay where they are."""
    file = tmp_path / "prior.csv"
    file.write_text("x")
    for _ in range(2):
        (path,) = fetch_assets(
            image_session, [LocalFile(file)], tmp_path / "in", tmp_path / "cache", execution_rid=reader
        )["File"]
    (row,) = rows.select(image_session, "File", {"RID": path.asset_rid})

    assert path == file
    assert (row["Filename"], row["Length"]) == ("prior.csv", 1)
    assert row["URL"].startswith("file://")
    (link,) = rows.select(image_session, "File_Execution", {"Execution": reader})
    assert (link["File"], link["Asset_Role"]) == (path.asset_rid, "Input")


def test_a_local_file_that_is_not_there_is_told(image_session, tmp_path):
    """A wrong local path is one line."""
    with pytest.raises(DerivaMLValidationError, match=r"prior\.csv"):
        fetch_assets(image_session, [{"path": tmp_path / "prior.csv"}], tmp_path / "in", tmp_path / "cache")


def test_a_disk_too_small_is_told_before(image_session, uploaded, tmp_path, monkeypatch):
    """Nothing is fetched where it would not fit."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2))
    with pytest.raises(DerivaMLException, match="free"):
        fetch_assets(image_session, uploaded, tmp_path / "in", tmp_path / "cache")


def test_assets_are_found(image_session, uploaded, execution_rid, tmp_path):
    """lookup, list and find give handles with the row's facts; a RID of something else is refused."""
    asset = lookup_asset(image_session, uploaded[0])
    assert (asset.filename, asset.length, asset.asset_table) == ("same.png", 3, "Image")
    assert asset.asset_types == ["Image", "Output_File"]
    assert asset.execution_rid == execution_rid
    assert asset.get_metadata() == {"Label": "1"}
    assert asset.download(tmp_path).read_text() == "one"
    assert asset.download(str(tmp_path)).read_text() == "one"
    asset.add_asset_type("Model_File")
    asset.remove_asset_type("Image")

    assert {found.asset_rid for found in find_assets(image_session, asset_type="Model_File")} == {
        uploaded[0],
        uploaded[2],
    }
    assert [found.asset_rid for found in list_assets(image_session, "Image")] == sorted(uploaded[:2])
    with pytest.raises(DerivaMLNotFoundError, match="Execution"):
        lookup_asset(image_session, execution_rid)


def test_both_generations_of_catalogs(ml_catalog, tmp_path):
    """Outputs and inputs work on catalogs of either generation."""
    execution = rows.insert_one(ml_catalog, "deriva-ml:Execution", Description="x")["RID"]
    staging = Staging(tmp_path / "execution", ml_catalog)
    staging.register("Execution_Metadata", "c.json", asset_types=["Deriva_Config"]).write_text("{}")
    report = upload_staged(ml_catalog, staging, execution)
    (path,) = report.assets["deriva-ml/Execution_Metadata"]
    found = fetch_assets(ml_catalog, [path.asset_rid], tmp_path / "in", tmp_path / "cache", execution_rid=execution)

    assert report.errors == []
    assert Path(found["Execution_Metadata"][0]).read_text() == "{}"

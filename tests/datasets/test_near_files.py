"""With the embedded catalog on this machine, files come from its folder: no request for each, the same rules."""

import json
import os
from pathlib import Path

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset
from deriva_ml_core.errors import CatalogError, ChecksumMismatch
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.auth import ANONYMOUS
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema


@pytest.fixture(params=["in this process", "served"])
def new_ml(request, open_ml, ml_session, local_server, monkeypatch, tmp_path):
    """Whether the server is in this process, or one that has to be asked, which a URL names."""
    if request.param == "served":
        login = tmp_path / ".deriva" / "credential.json"
        login.parent.mkdir()
        login.write_text(json.dumps({local_server.netloc: local_server.credential}))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DERIVA_ML_LOCAL_URL", local_server.url)
    return open_ml(ml_session.catalog_id)


@pytest.fixture
def photos(new_ml, tmp_path):
    """RIDs of four photos in two folders of one name each, and a dataset of them, through hostname="local"."""
    session = new_ml.session
    create_domain_schema(session, "demo")
    create_asset_table(session, "demo", "Photo", columns=[ColumnDef("Label")])
    add_element_type(session, "Photo")
    execution = rows.insert_one(session, "deriva-ml:Execution", Status="Running")["RID"]
    staging = Staging(tmp_path / "load", session)
    for name in ("a/x.png", "b/x.png", "a/X.PNG", "y.png"):
        # The store is shared with other tests, which must not find what these delete and damage.
        staging.register("Photo", name, Label=name).write_text(f"{name} of {tmp_path}")
    made = upload_staged(session, staging, execution).assets["demo/Photo"]
    rids = {path.asset_metadata["Label"]: path.asset_rid for path in made}
    dataset = create_dataset(session, cache_dir=new_ml.cache_dir)
    dataset.add_dataset_members(list(rids.values()))
    return rids, dataset


@pytest.fixture
def object_requests(server_log):
    server_log.clear()
    return lambda: [path for method, path in server_log if path.startswith("/hatrac")]


def test_files_of_a_bag_come_without_requests(photos, object_requests, tmp_path):
    """Thousands of small files would otherwise cost a millisecond each."""
    rids, dataset = photos
    bag = dataset.download_dataset_bag("0.2.0")

    found = {row["RID"]: Path(row["Filename"]).read_text() for row in bag.get_table_as_dict("Photo")}
    assert found == {rid: f"{name} of {tmp_path}" for name, rid in rids.items()}
    assert object_requests() == []


def test_files_of_one_name_keep_apart(photos):
    """The first by RID has the plain path; another of that name, in whatever case, lies under its RID."""
    rids, dataset = photos
    bag = dataset.download_dataset_bag("0.2.0")

    paths = sorted(path.relative_to(bag.path).as_posix() for path in bag.path.glob("data/assets*/**/*.*"))
    same = sorted((rids["a/x.png"], rids["b/x.png"], rids["a/X.PNG"]))
    assert len(paths) == 4
    assert [path for path in paths if path.startswith("data/assets/")] == sorted(
        ["data/assets/Photo/y.png", *(path for path in paths if path.lower() == "data/assets/photo/x.png")]
    )
    assert [path.split("/")[3] for path in paths if path.startswith("data/assets-by-RID/")] == same[1:]


def test_input_assets_come_without_requests(new_ml, photos, object_requests, tmp_path):
    """The same way for assets that are no dataset's."""
    rids, _ = photos
    asset = new_ml.lookup_asset(rids["y.png"])
    assert asset.download(tmp_path).read_text() == f"y.png of {tmp_path}"
    assert object_requests() == []


def test_a_copy_is_not_the_stores_own(new_ml, photos, tmp_path):
    """Whoever writes to their file must not reach the server's."""
    rids, _ = photos
    asset = new_ml.lookup_asset(rids["y.png"])
    asset.download(tmp_path / "one").write_text("changed")

    assert asset.download(tmp_path / "two").read_text() == f"y.png of {tmp_path}"


def test_bytes_that_rotted_in_the_store_are_refused(new_ml, photos, tmp_path):
    """A copy is checked as a download is; nothing of it stays."""
    rids, dataset = photos
    (stored,) = new_ml.session.object_files([url_of(new_ml, rids["y.png"])])
    stored.chmod(0o644)
    stored.write_bytes(bytes(stored.stat().st_size))
    with pytest.raises(ChecksumMismatch, match=rf"Photo/{rids['y.png']}/y\.png"):
        dataset.download_dataset_bag("0.2.0")

    there = [path.name for path in new_ml.cache_dir.glob("bags/*/*/data/assets*/**/*.*")]
    assert sorted(name.lower() for name in there) == ["x.png"] * 3


def test_an_object_that_is_gone_is_named(new_ml, photos):
    """What the server has not got is told with its row and file; the other files stay."""
    rids, dataset = photos
    new_ml.session.client.request("DELETE", url_of(new_ml, rids["y.png"]).rpartition(":")[0])
    with pytest.raises(CatalogError, match=rf"Photo/{rids['y.png']}/y\.png.*404"):
        dataset.download_dataset_bag("0.2.0")


def test_the_servers_rules_say_who_may_read(local_server, photos, new_ml, tmp_path):
    """Whoever may not GET an object is not told where it lies."""
    rids, _ = photos
    url = url_of(new_ml, rids["y.png"])
    application = local_server.start()._running.application

    assert application._hatrac.locate(application._doorkeeper.owner, [url])[0].read_text() == f"y.png of {tmp_path}"
    assert application._hatrac.locate(ANONYMOUS, [url, "/hatrac/none", "no path", f"{url};metadata"]) == [None] * 4


def test_a_file_that_goes_meanwhile_is_asked_for(new_ml, photos, tmp_path, monkeypatch):
    """Between the answer and the copy an object may move: then GET decides."""
    rids, _ = photos
    url = url_of(new_ml, rids["y.png"])
    asked = []
    answer = Application.__call__
    monkeypatch.setattr(Application, "__call__", lambda *args: asked.append(args[1]["PATH_INFO"]) or answer(*args))
    found = objects.get_file(new_ml.session, url, tmp_path / "y", near=tmp_path / "gone")

    assert found.read_text() == f"y.png of {tmp_path}"
    assert len(asked) == 1


def test_another_file_of_that_path_is_not_taken(new_ml, photos, tmp_path):
    """A server in a container speaks of paths that mean something else here, or nothing that can be read."""
    rids, _ = photos
    other, pipe = tmp_path / "other", tmp_path / "pipe"
    other.write_text("another container's")
    os.mkfifo(pipe)
    for number, file in enumerate((other, pipe, tmp_path)):
        new_ml.session.object_files = lambda paths, file=file: [file for _ in paths]
        found = new_ml.lookup_asset(rids["y.png"]).download(tmp_path / str(number))

        assert found.read_text() == f"y.png of {tmp_path}"


def url_of(ml, rid: str) -> str:
    return ml.retrieve_rid(rid)["URL"]

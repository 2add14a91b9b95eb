"""A third party's handler brings bytes in and out, and can't harm the record."""

from __future__ import annotations

import hashlib

import pytest

from deriva_ml_core.assets.download import fetch_assets
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import ChecksumMismatch, DerivaMLValidationError, PluginError, PluginHookError
from deriva_ml_core.executions.journal import executions_folder

FOLDER_STORE = """
import os, shutil
from pathlib import Path

@hookimpl
def deriva_fetch_asset(asset, target):
    if asset.scheme != "acme":
        return None
    shutil.copyfile(Path(os.environ["ACME_STORE"], asset.url.rpartition("/")[2]), target)
    return Fetched(target)

@hookimpl
def deriva_store_asset(output, transfer):
    if output.table != "Image":
        return None
    shutil.copyfile(output.path, Path(os.environ["ACME_STORE"], output.file_name))
    transfer.progress(output.size_bytes)
    return StoredObject(f"acme://store/{output.file_name}", output.size_bytes, output.md5)
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setenv("ACME_STORE", str(folder))
    return folder


def add_image(session, store, *, md5=None, url="acme://store/one.png"):
    (store / "one.png").write_bytes(b"picture")
    row = {
        "URL": url,
        "Filename": "one.png",
        "Length": 7,
        "MD5": md5 or hashlib.md5(b"picture").hexdigest(),
    }
    return rows.insert(session, session.model.table(("demo", "Image")), [row])[0]["RID"]


def upload(session, tmp_path, content=b"picture", **names):
    staging = Staging(tmp_path / "run", session)
    path = staging.register("Image", "one.png", **names)
    path.write_bytes(content)
    rid = rows.insert(session, session.model.ml_table("Execution"), [{"Status": "Running"}])[0]["RID"]
    return upload_staged(session, staging, rid)


@pytest.mark.parametrize("cache", [False, True])
def test_hook_deriva_fetch_asset(install, store, image_session, tmp_path, cache):
    """The first plugin that knows the URL brings the bytes, into the cache too."""
    install("acme", FOLDER_STORE)
    rid = add_image(image_session, store)

    found = fetch_assets(image_session, [{"rid": rid, "cache": cache}], tmp_path / "in", tmp_path / "cache")

    assert found["Image"][0].read_bytes() == b"picture"


def test_bytes_that_are_not_those_of_the_record_never_appear(install, store, image_session, tmp_path):
    """A handler is believed no more than a server."""
    install("acme", FOLDER_STORE)
    rid = add_image(image_session, store, md5="0" * 32)

    with pytest.raises(ChecksumMismatch, match="its record says"):
        fetch_assets(image_session, [rid], tmp_path / "in", tmp_path / "cache")

    assert [path for path in (tmp_path / "in").rglob("*") if path.is_file()] == []


def test_a_url_that_nobody_fetches_names_the_broken_plugins(install, store, image_session, tmp_path):
    """Now the run needs it."""
    install("acme", "import no_such_module_anywhere", name="acme-s3")
    rid = add_image(image_session, store)

    with pytest.raises(PluginError, match=r"no plugin fetches acme: URLs.*plugin acme \(acme-s3 1.2\) failed to load"):
        fetch_assets(image_session, [rid], tmp_path / "in", tmp_path / "cache")


CLAIMS_ANOTHER = """
@hookimpl
def deriva_claim_assets():
    return [Claim(schemes=("emca",))]

@hookimpl
def deriva_fetch_asset(asset):
    return None
"""


@pytest.mark.parametrize("plugin", [None, CLAIMS_ANOTHER])
def test_an_input_that_nobody_would_fetch_is_refused_before_anything_is_recorded(
    install, store, new_ml, workflow, plugin
):
    """Hours later is too late; the line says which input, which scheme, and which hook would take it."""
    if plugin:
        install("emca", plugin)
    rid, before = add_execution_asset(new_ml), len(list(new_ml.find_executions()))

    with pytest.raises(DerivaMLValidationError, match=rf"{rid} .*no plugin fetches acme: URLs.*deriva_fetch_asset"):
        new_ml.create_execution(workflow=workflow, assets=[rid])
    assert len(list(new_ml.find_executions())) == before
    assert not executions_folder(new_ml.working_dir).exists()


@pytest.mark.parametrize("claims", [True, False])
def test_an_input_that_somebody_may_fetch_is_tried(install, store, new_ml, workflow, claims):
    """Who claims no schemes may fetch whatever it is."""
    claim = "@hookimpl\ndef deriva_claim_assets():\n    return [Claim(schemes=['acme'])]\n"
    install("acme", FOLDER_STORE + (claim if claims else ""))
    rid = add_execution_asset(new_ml)
    (store / "one.png").write_bytes(b"picture")

    execution = new_ml.create_execution(workflow=workflow, assets=[rid])

    assert [path.read_bytes() for path in execution.asset_paths["Execution_Asset"]] == [b"picture"]


def add_execution_asset(ml):
    row = {"URL": "acme://store/one.png", "Filename": "one.png", "Length": 7}
    return rows.insert_one(ml.session, "deriva-ml:Execution_Asset", **row, MD5=hashlib.md5(b"picture").hexdigest())[
        "RID"
    ]


def test_a_failing_handler_is_named(install, store, image_session, tmp_path):
    """An error of a library says nothing about who used it."""
    install("acme", "@hookimpl\ndef deriva_fetch_asset(asset):\n    raise OSError('no route')")
    rid = add_image(image_session, store)

    with pytest.raises(PluginHookError, match="plugin acme, deriva_fetch_asset: OSError: no route"):
        fetch_assets(image_session, [rid], tmp_path / "in", tmp_path / "cache")


def test_hook_deriva_store_asset(install, store, image_session, tmp_path):
    """The row says where the plugin has put the bytes; tables that it leaves alone go to Hatrac."""
    install("acme", FOLDER_STORE)

    report = upload(image_session, tmp_path)

    row = next(iter(rows.select(image_session, ("demo", "Image"))))
    assert report.errors == []
    assert (row["URL"], row["Length"]) == ("acme://store/one.png", 7)
    assert (store / "one.png").read_bytes() == b"picture"


def test_a_store_that_reports_another_checksum_fails_the_file(install, image_session, tmp_path):
    """Each byte is checked on both sides."""
    install("acme", "@hookimpl\ndef deriva_store_asset(output):\n    return StoredObject('acme://x', 7, '0' * 32)")

    report = upload(image_session, tmp_path)

    assert "acme://x has 7 bytes of MD5 000" in report.errors[0]
    assert list(rows.select(image_session, ("demo", "Image"))) == []


CLAIMING = """
@hookimpl
def deriva_claim_assets():
    return [Claim(tables=("Image",), stores=True)]

@hookimpl
def deriva_store_asset(output):
    return None
"""


def test_hook_deriva_claim_assets(install, image_session, tmp_path):
    """What a plugin claims goes to nobody else: bytes must not land where nobody looks for them."""
    install("acme", CLAIMING)

    report = upload(image_session, tmp_path)

    assert "nobody stores Image one.png: plugin acme, which claims it, does not" in report.errors[0]


def test_two_plugins_that_claim_the_same_stop_the_run(install, image_session):
    """Which of them is asked would be chance."""
    install("acme_a", CLAIMING)
    install("acme_b", CLAIMING)

    with pytest.raises(PluginError, match="acme_a and acme_b both store the asset table Image"):
        image_session.plugins.require()


PROJECT_STORE = """
import os, shutil
from pathlib import Path
from deriva_ml.plugins import StoredObject, hookimpl

@hookimpl
def deriva_store_asset(output, transfer):
    if output.table != "Execution_Asset":
        return None
    folder = Path(os.environ["ACME_STORE"])
    if (folder / "closed").exists():
        raise OSError("the store is closed")
    shutil.copyfile(output.path, folder / output.file_name)
    transfer.progress(output.size_bytes)
    return StoredObject(f"acme://store/{output.file_name}", output.size_bytes, output.md5)
"""
WRITER = """
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", "one.txt").write_text("one")
"""


@pytest.mark.parametrize("named", [True, False], ids=["host and catalog named", "as the project says"])
def test_outputs_that_are_uploaded_later_go_where_the_run_would_have_brought_them(
    demo_project, demo_rows, store, named
):
    """The command that a run prints knows the run's own plugins, whichever way it finds its catalog."""
    project = demo_project(WRITER)
    project.write("src/acme_store.py", PROJECT_STORE)
    (store / "closed").touch()
    failed = project.run("plugins.load=[acme_store]")
    rid = demo_rows("Execution")[-1]["RID"]
    (store / "closed").unlink()
    where = ["--host", "local", "--catalog", "demo"] if named else []

    finished = project.run("upload", rid, *where, command="deriva-ml-executions")

    assert "the store is closed" in failed.stderr
    assert finished.returncode == 0, finished.stderr
    assert (store / "one.txt").read_text() == "one"
    assert "acme://store/one.txt" in [row["URL"] for row in demo_rows("Execution_Asset")]


def test_a_later_command_without_a_plugin_that_the_run_named_keeps_the_outputs(demo_project, demo_rows, store):
    """The bytes must not end in another store because the command was typed in another folder."""
    project = demo_project(WRITER)
    module = project.write("src/acme_store.py", PROJECT_STORE)
    (store / "closed").touch()
    project.run("plugins.load=[acme_store]")
    rid = demo_rows("Execution")[-1]["RID"]
    module.unlink()

    refused = project.run("upload", rid, command="deriva-ml-executions")

    assert refused.returncode == 2
    assert "plugin acme_store failed to load: ModuleNotFoundError" in refused.stderr
    assert "correct plugins.load, or install it" in refused.stderr
    assert demo_rows("Execution_Asset") == []

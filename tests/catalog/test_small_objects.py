"""Many small objects into an embedded catalog at once: as durable and as well checked as each by its own PUT."""

import hashlib
import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.object_store import SmallObject
from deriva_ml_core.catalog.served_store import ServedStore
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema


@pytest.fixture(params=["by call", "by request"])
def session(request, local_server, ml_session):
    """The server is in this process, or in another as far as the session knows."""
    with CatalogSession.connect(
        "local",
        ml_session.catalog_id,
        base_url=local_server.url,
        credential=local_server.credential,
        object_store=local_server,
    ) as found:
        if request.param == "by request":
            found.object_store = ServedStore(found.client)
        yield found


@pytest.fixture
def small(request):
    """An object of this test: the test process's server lives as long as the process."""

    def make(name, content, md5=None):
        path = objects.object_path("small", request.node.name, name)
        found = md5 or hashlib.md5(content).hexdigest()
        return SmallObject(path, content, found, "text/plain", objects.disposition(name))

    return make


def put(session, *batches):
    return [url for urls in objects.put_small(session, batches) for url in urls]


def content_of(session, url, tmp_path):
    return objects.get_file(session, url, tmp_path / os.urandom(8).hex()).read_bytes()


def kept(server, content):
    name = hashlib.sha256(content).hexdigest()
    return server.path / "objects" / name[:2] / name[2:]


def test_every_object_of_every_batch_is_stored(session, small, tmp_path):
    """In the order in which they were given, an empty one too."""
    contents = [os.urandom(size) for size in (4096, 0, 1, 65_536, 17)]
    made = [small(str(number), content) for number, content in enumerate(contents)]
    urls = put(session, made[:2], made[2:4], made[4:])

    assert [url.partition(":")[0] for url in urls] == [one.path for one in made]
    assert [content_of(session, url, tmp_path) for url in urls] == contents


def test_the_same_again_makes_no_new_version(session, small, tmp_path):
    """Neither within a batch, nor later, nor under another name a second copy."""
    content = os.urandom(100)
    first, again, other = put(session, [small("a", content), small("a", content), small("b", content)])
    (later,) = put(session, [small("a", content)])
    (new,) = put(session, [small("a", b"new")])

    assert first == again == later
    assert new != first
    assert content_of(session, other, tmp_path) == content
    assert content_of(session, new, tmp_path) == b"new"


def test_one_that_is_refused_leaves_the_others_alone(session, small, tmp_path, make_file):
    """A wrong checksum, or a name that was deleted: None, and `put_file` says why."""
    (gone,) = put(session, [small("gone", b"1")])
    session.client.request("DELETE", gone.partition(":")[0])
    wrong = small("wrong", b"2", hashlib.md5(b"other").hexdigest())
    good, deleted, broken, last = put(session, [small("good", b"3"), small("gone", b"4"), wrong, small("last", b"5")])

    assert (deleted, broken) == (None, None)
    assert [content_of(session, url, tmp_path) for url in (good, last)] == [b"3", b"5"]
    assert not objects.exists(session, wrong.path)
    with pytest.raises(CatalogError, match="was deleted, and a name is never used again"):
        objects.put_file(session, make_file(b"4"), gone.partition(":")[0])


def test_what_a_power_cut_left_under_a_hash_is_not_believed(session, local_server, small, tmp_path):
    """No row speaks of it: it is read, and replaced."""
    content = os.urandom(500)
    kept(local_server, content).write_bytes(bytes(500))
    (url,) = put(session, [small("a", content)])

    assert content_of(session, url, tmp_path) == content


def test_a_disk_without_room_is_answered_with_nothing(session, local_server, small, monkeypatch, tmp_path):
    """What could not be written durably is not acknowledged, and leaves no file; the next batch is another matter."""
    contents = [os.urandom(size) for size in (50, 51, 50)]
    sync = os.fsync

    def full(descriptor):
        if os.fstat(descriptor).st_size == len(contents[1]):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    def batches():
        yield [small(str(number), content) for number, content in enumerate(contents)]
        yield [small("later", b"later")]

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        first, full_up, third, later = (url for urls in objects.put_small(session, batches()) for url in urls)

    assert full_up is None
    assert not kept(local_server, contents[1]).exists()
    assert content_of(session, first, tmp_path) == contents[0]
    assert content_of(session, third, tmp_path) == contents[2]
    assert content_of(session, later, tmp_path) == b"later"


UPLOAD = """
    import os, signal, sys
    from pathlib import Path
    from deriva_ml_core.assets.staging import Staging
    from deriva_ml_core.assets.upload import upload_staged
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.local_catalog import LocalServer
    from deriva_ml_core.local_catalog.registry import Registry
    root, catalog, folder, execution, at = sys.argv[1:]
    left, write = int(at), Registry.write_each_together
    def dying(self, works):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, works)
    Registry.write_each_together = dying
    server = LocalServer(root)
    known = {"base_url": server.url, "credential": server.credential, "object_store": server}
    with CatalogSession.connect("local", catalog, **known) as session:
        upload_staged(session, Staging(Path(folder), session), execution)
"""


@pytest.fixture
def staged(session, tmp_path):
    """300 small outputs of an execution, and their contents by name."""
    create_domain_schema(session, "demo")
    create_asset_table(session, "demo", "Image")
    execution = rows.insert_one(session, "deriva-ml:Execution", Description="run", Status="Running")["RID"]
    staging = Staging(tmp_path / "run", session)
    contents = {f"{number:03}.txt": os.urandom(40) for number in range(300)}
    for name, content in contents.items():
        staging.register("Image", name).write_bytes(content)
    return staging, execution, contents


@pytest.mark.parametrize(("at", "stored_before"), [(1, 0), (2, 128), (3, 256)])
def test_killed_within_an_upload_the_next_one_finishes_it(session, local_server, staged, tmp_path, at, stored_before):
    """What was acknowledged is in the ledger and not sent again; each file has one row, and its content."""
    staging, execution, contents = staged
    command = [sys.executable, "-c", dedent(UPLOAD), local_server.path, session.catalog_id, staging.folder, execution]
    done = subprocess.run([*map(str, command), str(at)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again = Staging(staging.folder, session)
    known = sum(asset.stored_url is not None for asset in again.ledger)
    report = upload_staged(session, again, execution)
    stored = list(rows.select(session, "Image"))

    assert known == stored_before
    assert (report.errors, report.total_uploaded) == ([], 300)
    assert report.bytes_sent == (300 - stored_before) * 40
    assert {row["Filename"]: row["MD5"] for row in stored} == {
        name: hashlib.md5(content).hexdigest() for name, content in contents.items()
    }
    assert len(stored) == 300
    for row in stored[::50]:
        assert content_of(session, row["URL"], tmp_path) == contents[row["Filename"]]


def test_every_small_output_is_told_of(session, staged):
    """The progress counts files and bytes as where each goes alone, and rows go up in the order of registration."""
    staging, execution, contents = staged
    states = []
    upload_staged(session, staging, execution, progress=states.append)
    stored = {row["RID"]: row["Filename"] for row in rows.select(session, "Image", sort=["RID"])}

    assert sorted({state.files_completed for state in states}) == list(range(301))
    assert (states[-1].bytes_completed, states[-1].percent_complete) == (300 * 40, 100)
    assert sorted(stored.values()) == sorted(contents)


def test_a_small_output_that_the_store_refuses_is_reported_alone(session, staged):
    """It is sent by request after the others, which says what is wrong."""
    staging, execution, contents = staged
    content = contents["007.txt"]
    path = f"/hatrac/Image/{hashlib.md5(content).hexdigest()}.007.txt"
    put(session, [SmallObject(path, content, hashlib.md5(content).hexdigest(), "text/plain", "filename*=UTF-8''7")])
    session.client.request("DELETE", path)
    report = upload_staged(session, staging, execution)

    assert (report.total_uploaded, report.total_failed) == (299, 1)
    assert "007.txt" in report.errors[0]
    assert "never used again" in report.errors[0]

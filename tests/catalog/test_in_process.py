"""Objects into the server of this process, without HTTP: as durable and as well checked as by PUT."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from textwrap import dedent

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, ChecksumMismatch
from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.hatrac import intake
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

MIB = 2**20


@pytest.fixture
def session(local_server, ml_session):
    with CatalogSession.connect(
        "local",
        ml_session.catalog_id,
        base_url=local_server.url,
        credential=local_server.credential,
        object_store=local_server,
    ) as found:
        yield found


@pytest.fixture
def copied(monkeypatch):
    """How many bytes each call copied into the store's folder."""
    counts = []
    copy = intake._copy_block

    def counting(source, target, start, count):
        counts.append(count)
        copy(source, target, start, count)

    monkeypatch.setattr(intake, "_copy_block", counting)
    return counts


def unique_path(request, name="object"):
    """Objects of the test process's server live as long as it does."""
    return objects.object_path("in-process", request.node.name, name)


def md5(content):
    return hashlib.md5(content).hexdigest()


def growing(server):
    return list((server.path / "uploads").glob("grow-*"))


@pytest.fixture(autouse=True)
def _nothing_grows_yet(local_server):
    """All tests of a worker share the server, and some kill a client whose copy then waits for it."""
    for left in growing(local_server):
        left.unlink()


def content_of(session, url, tmp_path):
    return objects.get_file(session, url, tmp_path / "back" / md5(url.encode())).read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3 * MIB + 1])
def test_a_file_is_stored_without_a_request(session, make_file, tmp_path, request, size):
    """What is stored is what is fetched, with all that a PUT would have said of it."""
    content, told = os.urandom(size), []
    before = session.client.requests_sent
    path = unique_path(request)
    url = objects.put_file(session, make_file(content), path, content_type="text/plain", progress=told.append)

    assert session.client.requests_sent == before
    assert sum(told) == size
    assert content_of(session, url, tmp_path) == content
    head = session.client.request("HEAD", path).headers
    assert head["Content-Type"] == "text/plain"
    assert head["Content-Location"] == url
    assert head["Content-Disposition"].endswith("file.bin")
    assert bytes.fromhex(md5(content)) == base64.b64decode(head["Content-MD5"])


@pytest.mark.parametrize("size", [10, MIB])
def test_the_same_content_is_the_same_version_and_other_content_a_new_one(session, make_file, tmp_path, request, size):
    """A repeated upload changes nothing; an object whose content is another gets a version."""
    first, second = os.urandom(size), os.urandom(size)
    path = unique_path(request)
    url = objects.put_file(session, make_file(first), path)
    again = objects.put_file(session, make_file(first, "copy.bin"), path)
    other = objects.put_file(session, make_file(second), path)

    assert again == url
    assert other != url
    assert content_of(session, url, tmp_path) == first
    assert content_of(session, other, tmp_path) == second


@pytest.mark.parametrize("size", [10, MIB])
def test_a_file_that_is_not_what_its_checksum_says_is_refused(session, make_file, request, size):
    """Somebody writes to it while it goes; a request then says so."""
    path = unique_path(request)
    with pytest.raises(ChecksumMismatch, match="changed while it was being sent"):
        objects.put_file(session, make_file(os.urandom(size)), path, md5=md5(b"other"))

    assert not objects.exists(session, path)


def test_a_refusal_is_told_as_by_a_request(session, make_file, request):
    """The call answers nothing but success; what is wrong, the server says in its words."""
    objects.put_file(session, make_file(b"below"), objects.object_path("in-process", request.node.name, "a", "b"))

    with pytest.raises(CatalogError, match="is a namespace already"):
        objects.put_file(session, make_file(b"above"), unique_path(request, "a"))


def test_a_large_file_is_read_once(session, local_server, make_file, tmp_path, request, copied):
    """Its MD5, which names the object, is known when its content is there; nothing is left to move then."""
    content, told = os.urandom(2 * MIB + 5), []
    file = make_file(content)

    assert objects.take_in(session, file) == md5(content)
    url = objects.put_file(session, file, unique_path(request), md5=md5(content), progress=told.append)

    assert not told
    assert sum(copied) == len(content)
    assert content_of(session, url, tmp_path) == content
    assert not growing(local_server)


def test_a_file_that_changes_after_it_was_taken_in_is_taken_in_anew(session, make_file, tmp_path, request):
    """What waits in the store is of the file as it was."""
    file = make_file(os.urandom(MIB))
    objects.take_in(session, file)
    content = os.urandom(MIB)
    file.write_bytes(content)
    url = objects.put_file(session, file, unique_path(request), md5=md5(content))

    assert content_of(session, url, tmp_path) == content


TAKE_IN = """
    import os, signal, sys
    from pathlib import Path
    from deriva_ml_core.local_catalog import LocalServer
    left = int(sys.argv[3])
    def progress(size):
        global left
        left -= size
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
    LocalServer(sys.argv[1]).take_in(Path(sys.argv[2]), progress)
"""


def take_in_and_die(server, file, after_bytes):
    command = [sys.executable, "-c", dedent(TAKE_IN), server.path, file, str(after_bytes)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_after_a_kill_only_what_is_missing_is_copied(session, local_server, make_file, tmp_path, request, copied):
    """Killed at half, the second command moves the other half, and checks the first."""
    content = os.urandom(8 * MIB)
    file = make_file(content)
    take_in_and_die(local_server, file, 4 * MIB)
    url = objects.put_file(session, file, unique_path(request))

    assert sum(copied) == 4 * MIB
    assert content_of(session, url, tmp_path) == content
    assert not growing(local_server)


def test_what_a_power_cut_left_of_a_copy_is_mended(session, local_server, make_file, tmp_path, request, copied):
    """A file may have its length and not its blocks: what lies there is compared, not believed."""
    content = os.urandom(4 * MIB)
    file = make_file(content)
    take_in_and_die(local_server, file, 3 * MIB)
    (left,) = growing(local_server)
    with left.open("r+b") as broken:
        broken.seek(MIB)
        broken.write(bytes(MIB))
        broken.truncate(5 * MIB)
    url = objects.put_file(session, file, unique_path(request))

    assert sum(copied) == 2 * MIB
    assert content_of(session, url, tmp_path) == content


KEEP = """
    import os, signal, sys
    from pathlib import Path
    from deriva_ml_core.local_catalog import LocalServer
    from deriva_ml_core.local_catalog.registry import Registry
    Registry.write_together = lambda self, work: os.kill(os.getpid(), signal.SIGKILL)
    facts = {"md5": sys.argv[4], "content_type": "text/plain", "disposition": "filename*=UTF-8''a"}
    LocalServer(sys.argv[1]).store_object(sys.argv[3], Path(sys.argv[2]), progress=abs, **facts)
"""


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_killed_before_its_row_is_written_an_object_is_not_there_and_can_be(
    session, local_server, make_file, tmp_path, request, size
):
    """The content lies under its hash, and no row speaks of it; the same again makes the row."""
    content = os.urandom(size)
    file, path = make_file(content), unique_path(request)
    command = [sys.executable, "-c", dedent(KEEP), local_server.path, file, path, md5(content)]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not objects.exists(session, path)

    url = objects.put_file(session, file, path)

    assert content_of(session, url, tmp_path) == content
    assert not growing(local_server)


def test_a_copy_that_has_become_content_is_never_written_to(session, local_server, make_file, tmp_path, request):
    """A file changes and keeps its size and time; the content that shares the copy's blocks must stay."""
    first, second = os.urandom(2 * MIB), os.urandom(2 * MIB)
    file, path = make_file(first), unique_path(request)
    command = [sys.executable, "-c", dedent(KEEP), local_server.path, file, path, md5(first)]
    subprocess.run(list(map(str, command)), check=False, capture_output=True)
    kept = local_server.path / "objects" / hashlib.sha256(first).hexdigest()[:2] / hashlib.sha256(first).hexdigest()[2:]
    times = file.stat()
    with file.open("r+b") as same_file:
        same_file.write(second)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    url = objects.put_file(session, file, path)

    assert kept.read_bytes() == first
    assert content_of(session, url, tmp_path) == second


def test_the_same_file_is_taken_in_twice_at_a_time(session, local_server, make_file, tmp_path, request):
    """Another process has the copy under its lock: then there is one more."""
    content = os.urandom(2 * MIB)
    file = make_file(content)
    told = []

    def meanwhile(size):
        if not told:
            told.append(objects.put_file(session, file, unique_path(request, "second")))

    objects.take_in(session, file, meanwhile)
    first = objects.put_file(session, file, unique_path(request, "first"))

    assert content_of(session, first, tmp_path) == content
    assert content_of(session, told[0], tmp_path) == content
    assert not growing(local_server)


def test_a_copy_that_nobody_comes_back_for_is_swept(tmp_path):
    """After a week; one of yesterday may still be asked for."""
    with LocalServer(tmp_path / "root") as server:
        server.object_files(["/hatrac/x"])
    for name, days in (("grow-old", 8), ("grow-young", 1)):
        path = tmp_path / "root" / "uploads" / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    with LocalServer(tmp_path / "root") as server:
        server.object_files(["/hatrac/x"])

    assert [path.name for path in growing(server)] == ["grow-young"]


def test_a_disk_without_room_is_told_and_keeps_nothing_of_it(small_disk, tmp_path, make_file):
    """What was copied would only take more of what is missing."""
    file = make_file(os.urandom(6 * MIB))
    with LocalServer(small_disk(4 * MIB) / "root") as server:
        client = HttpClient(server.url, credential=server.credential)
        answer = client.request("POST", "/ermrest/catalog", body=b"{}", headers={"Content-Type": "application/json"})
        client.close()
        known = {"base_url": server.url, "credential": server.credential, "object_store": server}
        with CatalogSession.connect("local", json.loads(answer.data)["id"], **known) as session:
            with pytest.raises(CatalogError, match="Make room on the disk"):
                objects.put_file(session, file, "/hatrac/full")

            assert list((server.path / "uploads").iterdir()) == []
            url = objects.put_file(session, make_file(b"small", "small"), "/hatrac/small")
            assert content_of(session, url, tmp_path) == b"small"


def test_outputs_go_up_without_requests_for_their_bytes(session, tmp_path, copied):
    """Only their rows do, with what is counted and checked as ever."""
    create_domain_schema(session, "demo")
    create_asset_table(session, "demo", "Image")
    execution = rows.insert_one(session, "deriva-ml:Execution", Description="run", Status="Running")["RID"]
    staging = Staging(tmp_path / "run", session)
    contents = {f"{number}.bin": os.urandom(size) for number, size in enumerate((0, 10, 10, 70_000, 2 * MIB))}
    for name, content in contents.items():
        staging.register("Image", name).write_bytes(content)
    states = []
    before = session.client.requests_sent
    report = upload_staged(session, staging, execution, progress=states.append)

    assert report.errors == []
    assert report.bytes_sent == sum(map(len, contents.values()))
    assert states[-1].percent_complete == 100
    assert session.client.requests_sent - before <= 4
    assert sum(copied) == 70_000 + 2 * MIB
    stored = {row["Filename"]: row for row in rows.select(session, "Image")}
    assert {name: (row["Length"], row["MD5"]) for name, row in stored.items()} == {
        name: (len(content), md5(content)) for name, content in contents.items()
    }
    for name, content in contents.items():
        assert content_of(session, stored[name]["URL"], tmp_path) == content

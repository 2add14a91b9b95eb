"""Large outputs to an embedded catalog's server: sent before their checksum is known, once, whatever breaks."""

import hashlib
import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.served_store import ServedStore
from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.hatrac import store

SIZE = 30 * 2**20
IN_FLIGHT = 8 * 2**20
"""Less than this is on its way, in the buffers of three processes."""
ONCE = Manner(max_retries=0)


@pytest.fixture
def session(image_session, connect, proxy):
    """As `hostname="local"` with DERIVA_ML_LOCAL_URL connects."""
    return served_session(connect, image_session.catalog_id, proxy.url)


def served_session(connect, catalog_id, url):
    session = connect(catalog_id, base_url=url)
    session.object_store = ServedStore(session.client)
    return session


@pytest.fixture
def output(session, tmp_path):
    """A large output, and its content."""
    content = os.urandom(SIZE)
    staging = Staging(tmp_path / "run", session)
    staging.register("Image", "big.bin").write_bytes(content)
    return staging, content


def upload(session, staging, execution_rid, **options):
    return upload_staged(session, Staging(staging.folder, session), execution_rid, **options)


def check_stored(session, content, folder):
    """One row, whose object has the content."""
    (row,) = rows.select(session, "Image")

    assert (row["MD5"], row["Length"]) == (hashlib.md5(content).hexdigest(), len(content))
    assert objects.get_file(session, row["URL"], folder / os.urandom(8).hex()).read_bytes() == content


def unnamed(server):
    """Contents that have no name yet: the server is of all tests."""
    return set((server.path / "uploads").glob("grow-*"))


def cutting(proxy, size):
    """A progress that cuts every connection once so much is told."""

    def cut(state):
        if state.bytes_completed > size and not proxy.cut_after_bytes:
            proxy.away()

    return cut


def test_a_large_output_takes_three_requests(session, output, proxy, execution_rid, local_server, tmp_path):
    """A look, the content, its name; nothing of it is left beside the objects."""
    staging, content = output
    states, asked, before = [], [], unnamed(local_server)
    request = session.client.request
    session.client.request = lambda method, path, **known: asked.append(method) or request(method, path, **known)
    report = upload(session, staging, execution_rid, progress=states.append)

    assert (report.errors, report.total_uploaded) == ([], 1)
    assert asked[:3] == ["GET", "POST", "PUT"]
    assert SIZE < proxy.bytes_up < SIZE * 1.01
    assert states[-1].bytes_completed == SIZE
    check_stored(session, content, tmp_path)
    assert unnamed(local_server) == before


def test_a_broken_connection_is_taken_up_where_it_broke(session, output, proxy, execution_rid, tmp_path):
    """The second command sends what has not come; what has come is hashed again."""
    staging, content = output
    first = upload(session, staging, execution_rid, manner=ONCE, progress=cutting(proxy, SIZE / 2))
    proxy.back()
    proxy.bytes_up = 0
    second = upload(session, staging, execution_rid, manner=ONCE)

    assert (first.unanswered, second.errors, second.total_uploaded) == (1, [], 1)
    assert proxy.bytes_up < 0.5 * SIZE + IN_FLIGHT
    check_stored(session, content, tmp_path)


def test_a_file_that_changed_between_two_commands_is_sent_anew(session, output, proxy, execution_rid, tmp_path):
    """What has come is of the old one."""
    staging, _ = output
    upload(session, staging, execution_rid, manner=ONCE, progress=cutting(proxy, SIZE / 2))
    proxy.back()
    content = os.urandom(SIZE)
    next(staging.files()).path.write_bytes(content)
    second = upload(session, staging, execution_rid, manner=ONCE)

    assert (second.errors, second.total_uploaded) == ([], 1)
    check_stored(session, content, tmp_path)


def test_what_a_power_cut_left_is_not_believed(session, output, proxy, execution_rid, local_server, tmp_path):
    """Half of the content lies there, with other bytes in it: that shows at the end, and all of it goes again."""
    (staging, content), before = output, unnamed(local_server)
    upload(session, staging, execution_rid, manner=ONCE, progress=cutting(proxy, SIZE / 2))
    proxy.back()
    (grown,) = unnamed(local_server) - before
    with grown.open("r+b") as file:
        file.write(bytes(4096))
    second = upload(session, staging, execution_rid, manner=ONCE)

    assert (second.errors, second.total_uploaded) == ([], 1)
    check_stored(session, content, tmp_path)


def test_bytes_that_the_network_damages_are_not_stored(session, output, proxy, execution_rid, tmp_path):
    """Both sides know the SHA-256 of what they saw; the file then goes in chunks, as to any server."""
    staging, content = output
    proxy.damage_next = 1
    report = upload(session, staging, execution_rid)

    assert (report.errors, report.total_uploaded, proxy.damage_next) == ([], 1, 0)
    check_stored(session, content, tmp_path)


def test_a_server_without_room_says_so_once(session, output, execution_rid, local_server, monkeypatch):
    """It keeps nothing of what nobody can use."""
    (staging, _), before = output, unnamed(local_server)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write_all", full)
    report = upload(session, staging, execution_rid, manner=ONCE)

    assert report.total_failed == 1
    assert "507" in report.errors[0]
    assert "Make room on the disk" in report.errors[0]
    assert unnamed(local_server) == before


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from deriva_ml_core.assets.staging import Staging
    from deriva_ml_core.assets.upload import upload_staged
    from deriva_ml_core.catalog.served_store import ServedStore
    from deriva_ml_core.catalog.session import CatalogSession
    url, token, catalog, folder, execution, at = sys.argv[1:]
    def die(state):
        if state.bytes_completed > int(at):
            os.kill(os.getpid(), signal.SIGKILL)
    with CatalogSession.connect("local", catalog, base_url=url, credential={"bearer-token": token}) as session:
        session.object_store = ServedStore(session.client)
        upload_staged(session, Staging(Path(folder), session), execution, progress=die)
"""


def test_a_sender_killed_at_half_goes_on_there(session, output, proxy, execution_rid, local_server, tmp_path):
    """Kill -9: its server notices, and keeps what has come."""
    staging, content = output
    told = [proxy.url, local_server.token, session.catalog_id, staging.folder, execution_rid, SIZE // 2]
    command = [sys.executable, "-c", dedent(KILLED), *map(str, told)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = proxy.bytes_up
    report = upload(session, staging, execution_rid)

    assert (report.errors, report.total_uploaded) == ([], 1)
    assert proxy.bytes_up - before < 0.5 * SIZE + IN_FLIGHT
    check_stored(session, content, tmp_path)


def test_a_server_that_starts_anew_knows_what_has_come(tmp_path):
    """All had come but its name: what lies on the disk is hashed again, and none of it is sent again."""
    file, content, asked = tmp_path / "big.bin", os.urandom(SIZE), []
    file.write_bytes(content)
    with LocalServer(tmp_path / "root") as server:
        client = HttpClient(server.url, credential=server.credential)
        request = client.request

        def asking(method, path, **known):
            asked.append((method, (known.get("headers") or {}).get("Content-Length")))
            return request(method, path, **known)

        client.request = asking
        sender = ServedStore(client)
        md5 = sender.take_in(file, abs)
        server.stop()
        client.base_url = server.url
        described = {"content_type": "text/plain", "disposition": "filename*=UTF-8''a"}
        url = sender.store_object("/hatrac/a/b", file, md5=md5, progress=abs, **described)
        stored = request("GET", url).data
        client.close()

    assert md5 == hashlib.md5(content).hexdigest()
    assert asked[2:] == [("PUT", None), ("GET", None), ("POST", "0"), ("PUT", None)]
    assert stored == content

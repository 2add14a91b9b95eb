"""The root folder: one host, a local disk, clear words when it cannot be used."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from deriva_ml_core.local_catalog import LocalServer, RootError
from deriva_ml_core.local_catalog.checking import check
from deriva_ml_core.local_catalog.mounts import network_type
from deriva_ml_core.local_catalog.root import Root

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /home rw,relatime shared:20 - nfs4 server:/export/home rw
41 40 0:36 / /home/ann/scratch rw,relatime - xfs /dev/vdb rw
42 22 0:37 / /mnt/with\\040blank rw,relatime - fuse.sshfs ann@host: rw
43 22 0:38 / /mnt/fuse rw,relatime - fuse.bindfs /x rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/root", None),
        ("/home/ann/root", "nfs4"),
        ("/home/ann/scratch/root", None),
        ("/homely", None),
        ("/mnt/with blank/root", "fuse.sshfs"),
        ("/mnt/fuse/root", None),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(folder, kind):
    """The mount that lies nearest above a folder tells what it is on."""
    assert network_type(Path(folder), MOUNTS) == kind


def test_a_root_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """SQLite's WAL does not work there; the message says what does."""
    monkeypatch.setattr(
        "deriva_ml_core.local_catalog.root.network_type", lambda path: network_type(Path("/home/x"), MOUNTS)
    )

    with pytest.raises(RootError, match=r"network file system \(nfs4\).*deriva-ml-catalog serve"):
        Root(tmp_path)


def test_a_root_that_another_host_has_open_is_refused(tmp_path):
    """host.lock names who has it; only that host may go on."""
    elsewhere = {"host": "elsewhere", "boot": "another boot", "machine": "another machine"}
    (tmp_path / "host.lock").write_text(json.dumps(elsewhere))

    with pytest.raises(RootError, match=r"open on host elsewhere.*deriva-ml-catalog serve"):
        Root(tmp_path)


def test_a_lock_left_by_a_crash_of_this_host_does_not_block(tmp_path):
    """After a crash and a restart the boot differs, the machine does not."""
    root = Root(tmp_path)
    left = (tmp_path / "host.lock").read_text()
    root.close()
    (tmp_path / "host.lock").write_text(json.dumps({**json.loads(left), "boot": "the one before"}))

    Root(tmp_path).close()

    assert (tmp_path / "host.lock").read_text() == ""


def test_the_last_to_leave_wipes_the_lock(tmp_path):
    """While anybody of this host has the root open, host.lock says so."""
    one, other = Root(tmp_path), Root(tmp_path)
    one.close()
    held = (tmp_path / "host.lock").read_text()
    other.close()

    assert json.loads(held)["host"]
    assert (tmp_path / "host.lock").read_text() == ""


def test_only_its_owner_may_look_into_a_root(tmp_path):
    """Data of one user is not for the others of the host."""
    with Root(tmp_path / "new"):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_missing_root_is_not_made_by_who_only_reads(tmp_path):
    """A wrong --root is told, not filled."""
    with pytest.raises(RootError, match="no root folder"):
        Root(tmp_path / "absent", create=False)

    assert not (tmp_path / "absent").exists()


def test_a_file_is_no_root(tmp_path):
    """What is there is left alone."""
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RootError, match="not a folder"):
        Root(tmp_path / "file")


def test_a_root_whose_name_is_no_utf_8_is_refused(tmp_path):
    """SQLite opens no file in it; the refusal is a line, before anything is made there."""
    root = tmp_path / os.fsdecode(b"root \xff")

    with pytest.raises(RootError, match=r"root \\udcff' has a name that is no UTF-8"):
        Root(root)

    assert not root.exists()


def test_a_root_on_a_full_disk_is_one_line(small_disk):
    """The lock is the first file that is written, and whoever opens the root wants to know why it can't be."""
    disk = small_disk(1024 * 1024)
    Root(disk / "root").close()
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))

    with pytest.raises(RootError, match=r"host\.lock cannot be written: No space left"):
        Root(disk / "root")


def _put(server: LocalServer, path: str, data: bytes) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.token}"}
    return requests.put(server.url + path, headers=headers, data=data, timeout=60)


def _get(server: LocalServer, path: str) -> requests.Response:
    return requests.get(server.url + path, headers={"Authorization": f"Bearer {server.token}"}, timeout=60)


FULL_DISK = """
import resource, signal, sys
from deriva_ml_core.local_catalog import LocalServer
import requests

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with LocalServer(sys.argv[1]) as server, requests.Session() as session:
    session.headers["Authorization"] = f"Bearer {server.token}"
    assert session.put(server.url + "/hatrac/before", data=b"x" * 1000).status_code == 201
    catalog = session.post(server.url + "/ermrest/catalog").json()["id"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    large = session.put(server.url + "/hatrac/large", data=b"x" * 1_000_000)
    print(large.status_code, large.text.replace(chr(10), " "))
    name = "n" * 60
    for number in range(2000):
        answer = session.post(server.url + f"/ermrest/catalog/{catalog}/schema/{name}{number}")
        if answer.status_code != 201:
            break
    print(answer.status_code, answer.text.replace(chr(10), " "))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert session.get(server.url + "/hatrac/before").content == b"x" * 1000
    print(session.put(server.url + "/hatrac/large", data=b"x" * 1_000_000).status_code)
    print(session.post(server.url + f"/ermrest/catalog/{catalog}/schema/after").status_code)
"""


def test_a_full_disk_is_told_and_leaves_a_good_catalog(tmp_path):
    """A write that does not fit is refused in clear words; what was there stays; with room again all goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    refused, schema, large, after = done.stdout.splitlines()
    assert [(line[:3], "disk is full" in line) for line in (refused, schema)] == [("507", True)] * 2
    assert (large, after) == ("201", "201")
    with Root(tmp_path) as root:
        assert [str(finding) for finding in check(root).findings] == []


def test_a_small_disk_that_fills_up(small_disk):
    """The same on a real file system that has no room, in process."""
    disk = small_disk(2 * 1024 * 1024)
    with LocalServer(disk / "root") as server:
        small = _put(server, "/hatrac/small", b"x" * 1000)
        large = _put(server, "/hatrac/large", b"x" * 4_000_000)
        again = _put(server, "/hatrac/again", b"y" * 1000)

        assert (small.status_code, large.status_code, again.status_code) == (201, 507, 201)
        assert _get(server, "/hatrac/small").content == b"x" * 1000
    with Root(disk / "root") as root:
        assert check(root).findings == []


def test_rows_on_a_small_disk_that_fills_up(small_disk):
    """Rows that do not fit are refused together, those that are there can be read, and nothing is broken."""
    disk = small_disk(3 * 1024 * 1024)
    system = [{"name": n, "type": {"typename": f"ermrest_{n.lower()}"}} for n in ("RID", "RCT", "RMT", "RCB", "RMB")]
    columns = [*system, {"name": "a", "type": {"typename": "text"}}]
    table = {
        "schema_name": "S",
        "table_name": "T",
        "column_definitions": columns,
        "keys": [{"unique_columns": ["RID"]}],
    }
    with LocalServer(disk / "root") as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        catalog = f"{server.url}/ermrest/catalog/{session.post(server.url + '/ermrest/catalog').json()['id']}"
        session.post(f"{catalog}/schema", json=[{"schema_name": "S"}, table]).raise_for_status()
        statuses = [session.post(f"{catalog}/entity/S:T", json=[{"a": "x" * 500}] * 100).status_code for _ in range(60)]
        others = [
            session.put(f"{catalog}/annotation/x", json="y" * 10_000).status_code,
            session.post(f"{catalog}/schema/X").status_code,
            session.delete(f"{catalog}/entity/S:T").status_code,
        ]
        counted = session.get(f"{catalog}/aggregate/S:T/n:=cnt(*)").json()

    assert set(statuses) == {200, 507}
    assert others == [507] * 3
    assert counted == [{"n": 100 * statuses.count(200)}]
    with Root(disk / "root") as root:
        assert check(root).findings == []


def test_a_read_only_root_is_read_and_refuses_writes(tmp_path, read_only):
    """Reading works from a folder that cannot be written; a write is refused in clear words."""
    path = tmp_path / "root"
    with LocalServer(path) as server:
        _put(server, "/hatrac/o", b"content")
        headers = {"Authorization": f"Bearer {server.token}"}
        catalog = requests.post(server.url + "/ermrest/catalog", headers=headers, timeout=30).json()["id"]
    read_only(path)
    with LocalServer(path) as server:
        read = _get(server, "/hatrac/o")
        schema = _get(server, f"/ermrest/catalog/{catalog}/schema")
        written = _put(server, "/hatrac/p", b"more")

        assert (read.status_code, read.content) == (200, b"content")
        assert schema.status_code == 200
        assert (written.status_code, "read-only" in written.text) == (403, True)

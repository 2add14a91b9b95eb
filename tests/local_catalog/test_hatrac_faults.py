"""Hatrac when processes are killed, connections break, many write at once, and objects are large."""

import hashlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.checking import check
from deriva_ml_core.local_catalog.hatrac.store import ContentStore
from deriva_ml_core.local_catalog.root import Root

KILLS = int(os.environ.get("DERIVA_ML_KILLS", "5"))
MIB = 1024 * 1024

SERVER = """
import sys
from deriva_ml_core.local_catalog import serve

serve(sys.argv[1], ready=lambda url: print(url, flush=True))
"""


def _start(root: Path) -> tuple[str, subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, root], stdout=subprocess.PIPE, text=True)
    return process.stdout.readline().strip(), process


def _write_until_killed(url: str, prefix: str, stored: dict[str, bytes], uploads: list[tuple[str, bytes]]) -> None:
    """Store objects, alone and in chunks, until the server is gone; note what was acknowledged."""
    with requests.Session() as session:
        try:
            for number in range(100_000):
                content, path = os.urandom(random.randint(0, 20_000)), f"{prefix}/o{number}"
                answer = session.put(f"{url}{path}?parents=true", data=content, timeout=30)
                if answer.status_code == 201:
                    stored[answer.text.strip()] = content
                if number % 5 == 0:
                    _upload(session, url, f"{prefix}/u{number}", stored, uploads)
        except requests.RequestException:
            return


def _upload(session, url: str, path: str, stored: dict[str, bytes], uploads: list[tuple[str, bytes]]) -> None:
    content = os.urandom(3000)
    job = session.post(f"{url}{path};upload", json={"chunk-length": 1000, "content-length": 3000}, timeout=30)
    uploads.append((job.text.strip(), content))
    for number in range(3):
        chunk = content[number * 1000 : (number + 1) * 1000]
        session.put(f"{url}{job.text.strip()}/{number}", data=chunk, timeout=30)
    made = session.post(url + job.text.strip(), timeout=30)
    if made.status_code == 201:
        stored[made.text.strip()] = content
        uploads.pop()


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Whenever the server is killed, every acknowledged version is there and whole, and the next start works."""
    stored: dict[str, bytes] = {}
    for round_number in range(KILLS):
        url, process = _start(tmp_path)
        threads = [
            threading.Thread(target=_write_until_killed, args=(url, f"/hatrac/r{round_number}w{w}", stored, []))
            for w in range(3)
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while not any(f"/r{round_number}w" in path for path in list(stored)) and time.monotonic() < until:
            time.sleep(0.005)  # until it writes, on however busy a machine
        time.sleep(random.uniform(0, 0.5))  # the moment of death is random
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        for thread in threads:
            thread.join(60)

    with Root(tmp_path) as root:
        report = check(root)
    with LocalServer(tmp_path) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        wrong = [path for path, content in stored.items() if session.get(server.url + path).content != content]

    assert report.findings == []
    assert wrong == []
    assert len(stored) >= KILLS
    assert list((tmp_path / "uploads").glob("put-*")) == []


def test_an_upload_survives_kill_9(tmp_path):
    """A job goes on with the next server: the chunks that were acknowledged are there."""
    content = os.urandom(3 * MIB)
    url, process = _start(tmp_path)
    sha256 = hashlib.sha256(content).hexdigest()
    job = {"chunk-length": MIB, "content-length": 3 * MIB, "content-sha256": sha256}
    path = requests.post(f"{url}/hatrac/o;upload", json=job, timeout=30).text.strip()
    for number in (2, 0):
        chunk = content[number * MIB : (number + 1) * MIB]
        assert requests.put(f"{url}{path}/{number}", data=chunk, timeout=30).status_code == 204
    process.kill()
    process.communicate(timeout=30)

    with LocalServer(tmp_path) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        session.put(f"{server.url}{path}/1", data=content[MIB : 2 * MIB])
        made = session.post(server.url + path)
        back = session.get(server.url + "/hatrac/o").content

    assert made.status_code == 201
    assert back == content


def test_a_broken_connection_leaves_nothing(tmp_path):
    """A sender that dies in the middle leaves no version and no file."""
    with LocalServer(tmp_path) as server:
        host, _, port = server.netloc.partition(":")
        with socket.create_connection((host, int(port))) as connection:
            head = [
                "PUT /hatrac/o HTTP/1.1",
                "Host: x",
                f"Authorization: Bearer {server.token}",
                "Content-Length: 5000000",
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 1_000_000)
        headers = {"Authorization": f"Bearer {server.token}"}
        deadline = time.monotonic() + 30
        while list((tmp_path / "uploads").glob("put-*")) and time.monotonic() < deadline:
            time.sleep(0.01)  # the server sees the end of the connection in its own time
        status = requests.get(server.url + "/hatrac/o", headers=headers, timeout=30).status_code

    assert status in {404, 409}
    assert list((tmp_path / "uploads").iterdir()) == []
    assert list((tmp_path / "objects").glob("*/*")) == []


WRITER = """
import sys, requests
from deriva_ml_core.local_catalog import LocalServer

root, who = sys.argv[1:]
with LocalServer(root) as server, requests.Session() as session:
    session.headers["Authorization"] = f"Bearer {server.token}"
    catalog = session.post(server.url + "/ermrest/catalog")
    assert catalog.status_code == 201, catalog.text
    for number in range(20):
        made = session.put(server.url + f"/hatrac/shared/{who}-{number}?parents=true", data=f"{who} {number}")
        assert made.status_code == 201, made.text
        same = session.put(server.url + f"/hatrac/shared/all?parents=true", data=b"the same for all")
        assert same.status_code == 201, same.text
        gone = session.delete(server.url + same.text.strip())
        assert gone.status_code == 204, gone.text
    session.put(server.url + "/hatrac/shared/all", data=b"the same for all")
"""


def test_eight_processes_at_once(tmp_path):
    """Eight processes, each with a server of its own, write and delete in one root: no error, nothing lost."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(who)], stderr=subprocess.PIPE, text=True)
        for who in range(8)
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]

    assert errors == [""] * 8
    with LocalServer(tmp_path) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        names = session.get(server.url + "/hatrac/shared").json()
        contents = {name: session.get(server.url + name).text for name in names}
    for who in range(8):
        assert [contents[f"/hatrac/shared/{who}-{n}"] for n in range(20)] == [f"{who} {n}" for n in range(20)]
    assert contents["/hatrac/shared/all"] == "the same for all"
    with Root(tmp_path) as root:
        report = check(root)
        assert (report.findings, report.catalogs) == ([], 8)


@pytest.mark.parametrize("told", [True, False], ids=["in-memory", "in-a-file"])
def test_content_that_goes_while_it_is_looked_at_is_stored_again(tmp_path, told):
    """Another process may delete the last version of the same content between our finding it and our reading it."""
    for folder in ("objects", "incoming"):
        (tmp_path / folder).mkdir()
    store = ContentStore(tmp_path / "objects", tmp_path / "incoming")
    store.prepare()
    content = b"the same for all"
    sha256 = hashlib.sha256(content).digest()
    store.path_of(sha256).write_bytes(content)

    def deleted_meanwhile(sha256: bytes) -> bool:
        store.drop(sha256)
        return False

    with store.receive(io.BytesIO(content), len(content) if told else None, md5=False) as incoming:
        store.keep(incoming.held, sha256, deleted_meanwhile)

    assert store.path_of(sha256).read_bytes() == content


@pytest.mark.parametrize("size", [100, 200_000], ids=["small", "larger"])
def test_what_a_power_cut_left_of_content_is_replaced(tmp_path, size):
    """A broken file under a hash that no version has is not taken for the content."""
    content = os.urandom(size)
    with LocalServer(tmp_path) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        session.put(server.url + "/hatrac/first", data=b"")
        sha256 = hashlib.sha256(content).hexdigest()
        (tmp_path / "objects" / sha256[:2] / sha256[2:]).write_bytes(content[: size // 2])

        made = session.put(server.url + "/hatrac/o", data=content)
        back = session.get(server.url + "/hatrac/o").content

    assert (made.status_code, back) == (201, content)


def _peak_bytes(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_large_objects_are_streamed(tmp_path):
    """An object of 512 MiB goes in, alone and in chunks, and out, in a server of less than 100 MB."""
    size, piece = 512 * MIB, bytes(8 * MIB)
    url, process = _start(tmp_path)
    try:
        whole = requests.put(url + "/hatrac/whole", data=(piece for _ in range(size // len(piece))), timeout=240)
        job = requests.post(
            url + "/hatrac/parts;upload", json={"chunk-length": 64 * MIB, "content-length": size}, timeout=30
        )
        for number in range(8):
            requests.put(f"{url}{job.text.strip()}/{number}", data=bytes(64 * MIB), timeout=240)
        parts = requests.post(url + job.text.strip(), timeout=240)
        received = 0
        with requests.get(url + "/hatrac/parts", stream=True, timeout=240) as answer:
            for part in answer.iter_content(MIB):
                received += len(part)
        peak = _peak_bytes(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)

    assert (whole.status_code, parts.status_code, received) == (201, 201, size)
    assert peak < 100_000_000

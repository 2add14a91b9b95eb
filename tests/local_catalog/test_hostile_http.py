"""Whoever wishes the server ill, byte by byte: every request has a small answer, none takes the memory of the host."""

import gzip
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

MIB = 1024 * 1024
SERVER = """
import sys
from deriva_ml_core.local_catalog import serve

serve(sys.argv[1], ready=lambda url: print(url, flush=True))
"""


class Victim:
    """A served root in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, root], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

    def send(self, data: bytes) -> bytes:
        """Send bytes, then nothing; returns all that comes back."""
        with socket.create_connection(self.address, timeout=30) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65536), b""))
            except OSError:  # cut off, which is an answer too
                return b""

    def peak_mib(self) -> int:
        """The most memory that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    victim = Victim(tmp_path_factory.mktemp("victim"))
    yield victim
    victim.process.terminate()
    victim.process.communicate(timeout=30)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


HOST = b"Host: localhost\r\n"
BODY = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /hatrac/../../etc/passwd HTTP/1.1",
        b"GET /hatrac/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET /ermrest/catalog/..%2f..%2fregistry.db HTTP/1.1",
        b"GET /ermrest/catalog/%00 HTTP/1.1",
        b"GET /ermrest/catalog/1%27%20OR%201=1 HTTP/1.1",
        b"GET /ermrest/catalog/\xff\xfe HTTP/1.1",
        b"GET /%ff%fe HTTP/1.1",
        b"GET http://elsewhere/ermrest/ HTTP/1.1",
        b"GET ermrest HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT localhost:1 HTTP/1.1",
        b"BREW /ermrest/ HTTP/1.1",
        b"GET /ermrest/ HTTP/9.9",
        b"GET /ermrest/",
        b"\x00\xff\x00",
    ],
)
def test_no_request_line_is_an_error_of_ours(victim, request_line):
    """Paths that climb, SQL, bytes that are no text: 4xx, or 505 for a protocol that we do not speak."""
    answer = victim.send(request_line + b"\r\n" + HOST + b"Connection: close\r\n\r\n")

    assert 400 <= status_of(answer) < 500 or status_of(answer) == 505
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: five\r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_length_that_cannot_be_meant_ends_the_connection(victim, headers):
    """Nobody can tell where such a body ends, so what follows must not be taken for a request."""
    smuggled = b"GET /ermrest/ HTTP/1.1\r\n" + HOST + b"\r\n"

    answer = victim.send(b"POST /ermrest/catalog HTTP/1.1\r\n" + HOST + BODY + headers + b"\r\n" + b"{}" + smuggled)

    assert status_of(answer) in {400, 413, 501}
    assert b"version" not in answer


@pytest.fixture(scope="module")
def catalog(victim):
    """The path of a catalog with a table S:T."""
    path = f"/ermrest/catalog/{requests.post(f'{victim.url}/ermrest/catalog', timeout=30).json()['id']}"
    columns = [{"name": n, "type": {"typename": f"ermrest_{n.lower()}"}} for n in ("RID", "RCT", "RMT", "RCB", "RMB")]
    columns += [{"name": "a", "type": {"typename": "text"}}, {"name": "n", "type": {"typename": "int4"}}]
    table = {
        "schema_name": "S",
        "table_name": "T",
        "column_definitions": columns,
        "keys": [{"unique_columns": ["RID"]}],
    }
    made = requests.post(f"{victim.url}{path}/schema", json=[{"schema_name": "S"}, table], timeout=30)
    assert made.status_code == 201
    return path


BODIES = {
    "endless nesting": b'[{"a":' + b"[" * 300_000 + b"]" * 300_000 + b"}]",
    "a number without end": b'[{"n":' + b"9" * 300_000 + b"}]",
    "half a character": b'[{"a":"\\ud800"}]',
    "no number": b'[{"n":NaN}]',
    "zero bytes": b'[{"a":"\\u0000"}]',
    "no text": b"\xff\xfe[{}]",
    "cut off": b'[{"a":"x',
    "a compressed bomb": gzip.compress(b"[" + b" " * 50 * MIB + b"]"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("resource", ["entity/S:T", "schema", "schema/S/table/T/column", "annotation/x", "acl/select"])
def test_no_body_is_an_error_of_ours(victim, catalog, resource, body):
    """A malformed body is refused, whatever resource it is for; nothing is decompressed."""
    method = "PUT" if resource.startswith(("annotation", "acl")) else "POST"
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if body[:1] == b"\x1f" else {})

    answer = requests.request(method, f"{victim.url}{catalog}/{resource}", data=body, headers=headers, timeout=60)

    is_storable = resource == "annotation/x" and b"u0000" in body  # JSON has it, only text columns have not
    assert 400 <= answer.status_code < 500 or is_storable
    assert len(answer.content) < 2000


def zeros(mib):
    """A body that is made while it is sent."""
    return (bytes(MIB) for _ in range(mib))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("method", "resource", "kind"),
    [
        ("POST", "/authn/session", "application/x-www-form-urlencoded"),
        ("GET", "/ermrest/", "application/json"),
        ("PUT", "{catalog}/schema/S/comment", "text/plain"),
        ("POST", "{catalog}/schema", "application/json"),
        ("POST", "/hatrac/o;upload", "application/json"),
        ("POST", "/hatrac/o", "application/json"),
        ("PUT", "/hatrac/o;acl/read", "application/json"),
        ("POST", "/nowhere", "application/json"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_takes_no_memory(victim, catalog, method, resource, kind, chunked):
    """A body of 150 MiB for what takes a small one is refused without being held, with and without a length."""
    before = victim.peak_mib()
    session = requests.Session()
    prepared = session.prepare_request(
        requests.Request(method, victim.url + resource.format(catalog=catalog), headers={"Content-Type": kind})
    )
    prepared.body = zeros(150)
    prepared.headers.pop("Content-Length", None)
    prepared.headers["Transfer-Encoding" if chunked else "Content-Length"] = "chunked" if chunked else str(150 * MIB)
    try:
        answer = session.send(prepared, timeout=60).status_code
    except requests.ConnectionError:  # cut off while it still sent
        answer = 0
    session.close()

    assert answer < 500
    assert victim.peak_mib() - before < 120
    assert requests.get(f"{victim.url}/ermrest/", timeout=30).status_code == 200


def test_the_catalog_is_whole_after_all_this(victim, catalog):
    """What was refused has left nothing."""
    rows = requests.get(f"{victim.url}{catalog}/entity/S:T", timeout=30).json()
    schemas = requests.get(f"{victim.url}{catalog}/schema", timeout=30).json()["schemas"]

    assert rows == []
    assert sorted(schemas) == ["S", "public"]

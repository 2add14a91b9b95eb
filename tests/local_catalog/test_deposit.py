"""/deposit: many small objects in one request."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.object_store import SmallObject
from deriva_ml_core.catalog.served_store import ServedStore
from deriva_ml_core.errors import CatalogUnreachable

KIND = "application/x-deriva-ml-objects"


def line(name, content):
    return [
        f"/hatrac/deposit/{name}",
        len(content),
        hashlib.md5(content).hexdigest(),
        "text/plain",
        "filename*=UTF-8''a",
    ]


def deposit(client, lines, content, kind=KIND):
    body = json.dumps(lines).encode() + b"\n" + content
    return client.request("POST", "/deposit", body=body, headers={"Content-Type": kind}, accept=range(300, 500))


def test_contents_follow_each_other_as_their_lines_do(client, tmp_path):
    """Empty ones and ones with line breaks among them."""
    contents = [b"a\nb", b"", b"\n"]
    lines = [line(f"{tmp_path.name}-{number}", content) for number, content in enumerate(contents)]
    urls = json.loads(deposit(client, lines, b"".join(contents)).data)

    assert [client.request("GET", url).data for url in urls] == contents


@pytest.mark.parametrize(
    ("lines", "content"),
    [
        ({}, b""),
        ([["/hatrac/deposit/a", 1, "0" * 32, "text/plain"]], b"1"),
        ([["/hatrac/deposit/a", True, "0" * 32, "text/plain", "b"]], b"1"),
        ([["/hatrac/deposit/a", -1, "0" * 32, "text/plain", "b"]], b""),
        ([["/hatrac/deposit/a", 1, None, "text/plain", "b"]], b"1"),
        ([line("a", b"1")], b""),
        ([line("a", b"1")], b"12"),
    ],
)
def test_another_form_is_refused(client, lines, content):
    """Nothing is guessed about where one content ends and the next begins."""
    assert deposit(client, lines, content).status == 400


def test_only_the_declared_kind_is_taken(client):
    """A web form of another site can't declare it, and no browser sends it without asking first."""
    assert deposit(client, [], b"", kind="text/plain").status == 400


def test_whoever_has_no_login_stores_nothing(local_server):
    """The door is the same as everywhere."""
    stranger = HttpClient(local_server.url)
    answer = deposit(stranger, [], b"")
    stranger.close()

    assert answer.status == 401


class _Other(BaseHTTPRequestHandler):
    """A server that has no such page, or hangs up instead of answering."""

    def do_POST(self):
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.hangs_up:
            self.send_error(404)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def other_server(*, hangs_up):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Other) as server:
        server.asked, server.hangs_up = [], hangs_up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = HttpClient(f"http://127.0.0.1:{server.server_port}")
        yield ServedStore(client), server.asked
        client.close()
        server.shutdown()


ONE = [SmallObject("/hatrac/a", b"1", hashlib.md5(b"1").hexdigest(), "text/plain", "filename*=UTF-8''a")]


def test_a_server_that_takes_no_batches_is_asked_once():
    """Another server of Deriva's, or an older one: every object then goes by PUT."""
    with other_server(hangs_up=False) as (store, asked):
        first = list(store.store_small([ONE]))

        assert first == [[None]]
        assert list(store.store_small([ONE, ONE])) == []
        assert asked == ["/deposit"]


def test_a_lost_answer_is_told_as_such():
    """The batch is not sent again here: whoever goes on later finds what was stored by its content."""
    with other_server(hangs_up=True) as (store, asked):
        with pytest.raises(CatalogUnreachable, match="may or may not have been done"):
            list(store.store_small([ONE]))

        assert asked == ["/deposit"]

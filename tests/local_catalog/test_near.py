"""/near: the server's word about where objects lie, for clients on its machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.nearby import ServedFiles


@pytest.fixture
def stored(client, tmp_path):
    """The path of an object, and its content."""
    content = str(tmp_path).encode()
    answer = client.request("PUT", f"/hatrac/near/{tmp_path.name}?parents=true", body=content)
    return answer.data.decode().strip(), content


def ask(client, paths, **headers):
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return client.request("POST", "/near", body=json.dumps(paths), headers=headers, accept=range(300, 500))


def test_objects_are_named_by_their_files(client, stored):
    """In the order of the question; what a GET would refuse is null."""
    url, content = stored
    first, second = json.loads(ask(client, [url, "/hatrac/none"]).data)

    assert Path(first).read_bytes() == content
    assert second is None


@pytest.mark.parametrize(
    "headers", [{"X_Forwarded_For": "192.0.2.1"}, {"Via": "1.1 proxy"}, {"Host": "lab.example.org"}]
)
def test_who_comes_from_elsewhere_is_told_nothing(client, stored, headers):
    """A proxy on this machine speaks for others, who have no use for our paths."""
    assert ask(client, [stored[0]], **headers).status == 404


def test_whoever_has_no_login_is_told_nothing(local_server, stored):
    """The door is the same as everywhere."""
    stranger = HttpClient(local_server.url)
    answer = ask(stranger, [stored[0]])
    stranger.close()

    assert answer.status == 401


@pytest.mark.parametrize("wrong", [{}, "/hatrac/a", [1]])
def test_a_wrong_question_is_refused(client, wrong):
    """An array of paths it must be."""
    assert ask(client, wrong).status == 400


class _Other(BaseHTTPRequestHandler):
    """A server that has no such page."""

    def do_POST(self):
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(404)

    def log_message(self, *_):
        """Say nothing."""


def test_a_server_that_does_not_say_is_asked_once():
    """Another server of Deriva's, or an older one: every object is then asked for by GET."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Other) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = HttpClient(f"http://127.0.0.1:{server.server_port}")
        files = ServedFiles(client)

        assert files(["/hatrac/a"]) == [None]
        assert files(["/hatrac/a", "/hatrac/b"]) == [None, None]
        assert server.asked == ["/near"]
        client.close()
        server.shutdown()

"""The embedded catalog inside a process: nothing to start, nobody else let in, nothing left behind."""

import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
import requests

from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users


@pytest.fixture
def server(tmp_path):
    with LocalServer(tmp_path / "root") as running:
        yield running


def _ask(server: LocalServer, path: str, method: str = "GET", **options) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.token}", **options.pop("headers", {})}
    return requests.request(method, server.url + path, headers=headers, timeout=30, **options)


def test_whoever_brings_the_token_owns_the_root(server):
    """The process that runs the server may make catalogs and namespaces."""
    made = _ask(server, "/ermrest/catalog", "POST")
    space = _ask(server, "/hatrac/mine", "PUT", headers={"Content-Type": "application/x-hatrac-namespace"})

    assert made.status_code == 201
    assert space.status_code == 201


@pytest.mark.parametrize("path", ["/ermrest/", "/hatrac/", "/authn/session", "/nothing"])
def test_another_user_of_the_host_does_not_get_in(server, path):
    """The port is open to everybody on the machine; without the token it says 401 to everything."""
    assert requests.get(server.url + path, timeout=30).status_code == 401
    assert requests.get(server.url + path, headers={"Authorization": "Bearer x"}, timeout=30).status_code == 401


def test_with_users_a_caller_without_token_is_anonymous(tmp_path):
    """Once a root has a user, public data is public."""
    with Root(tmp_path) as root:
        token = Users(root.registry).add("ann")
    with LocalServer(tmp_path) as server:
        anonymous = requests.get(server.url + "/authn/session", timeout=30)
        ann = requests.get(server.url + "/authn/session", headers={"Cookie": f"webauthn={token}"}, timeout=30)

    assert anonymous.status_code == 404
    assert ann.json()["client"]["id"] == "ann"


def test_a_token_is_no_option_on_a_command_line(tmp_path):
    """`deriva-upload-cli --token TOKEN` would take a token with a "-" at its head for an option."""
    with Root(tmp_path) as root:
        tokens = [Users(root.registry).add(f"user{n}") for n in range(100)]

    assert all(token.isalnum() for token in tokens)


def test_deriva_takes_the_credential_as_it_is(server):
    """`credential` and `netloc` are what deriva's classes take."""
    from deriva.core import DerivaServer

    found = DerivaServer("http", server.netloc, credentials=server.credential).get_authn_session().json()

    assert found["client"]["id"] == found["attributes"][0]["id"]


def test_stop_leaves_nothing_behind(tmp_path):
    """After stop no thread runs, nobody listens, and the lock is free."""
    before = set(threading.enumerate())
    server = LocalServer(tmp_path).start()
    url = server.url

    server.stop()

    assert set(threading.enumerate()) == before
    assert (tmp_path / "host.lock").read_text() == ""
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_it_starts_again_after_stop(tmp_path):
    """A stopped server starts on the next use, with what was stored."""
    server = LocalServer(tmp_path).start()
    _ask(server, "/hatrac/mine", "PUT", headers={"Content-Type": "application/x-hatrac-namespace"})
    server.stop()

    assert _ask(server, "/hatrac/").json() == ["/hatrac/mine"]
    server.stop()


def test_a_process_ends_though_its_server_runs(tmp_path):
    """Who forgets to stop the server is not kept waiting by its threads."""
    code = f"from deriva_ml_core.local_catalog import LocalServer; print(LocalServer({str(tmp_path)!r}).url)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert done.stderr == ""
    assert (tmp_path / "host.lock").read_text() == ""


def _in_child(server: LocalServer, answers: multiprocessing.SimpleQueue) -> None:
    answers.put((os.getpid(), server.netloc, _ask(server, "/hatrac/").json()))
    server.stop()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_server_of_its_own(server):
    """Threads do not survive a fork: the child starts its own on first use, the parent's goes on."""
    _ask(server, "/hatrac/shared", "PUT", headers={"Content-Type": "application/x-hatrac-namespace"})
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(server, answers))

    child.start()
    pid, netloc, listed = answers.get()
    child.join(60)

    assert pid != os.getpid()
    assert netloc != server.netloc
    assert listed == ["/hatrac/shared"]
    assert child.exitcode == 0
    assert _ask(server, "/hatrac/").json() == ["/hatrac/shared"]


def test_two_servers_share_one_root(tmp_path):
    """Any number of processes may use a root; what one writes the other reads at once."""
    with LocalServer(tmp_path) as one, LocalServer(tmp_path) as other:
        made = _ask(one, "/hatrac/o", "PUT", data=b"content")

        assert made.status_code == 201
        assert _ask(other, "/hatrac/o").content == b"content"


def test_an_unread_body_does_not_disturb_the_next_request(server):
    """A refused upload is drained, so that the connection serves on and the refusal is read."""
    with requests.Session() as session:
        refused = session.put(server.url + "/hatrac/o", data=b"x" * 5_000_000, timeout=30)
        after = session.get(server.url + "/hatrac/", headers={"Authorization": f"Bearer {server.token}"}, timeout=30)

    assert refused.status_code == 401
    assert after.status_code == 200


def test_an_endless_header_is_cut_off(server):
    """Headers are bounded; a long path of filters still fits."""
    long = _ask(server, "/ermrest/catalog/1/entity/S:T/" + "&".join(["a=b"] * 100_000))
    endless = _ask(server, "/hatrac/", headers={"X-Long": "x" * 2_000_000})

    assert long.status_code == 404
    assert endless.status_code == 413


_GONE_CLIENTS = """
import gc, socket, struct, sys
from deriva_ml_core.local_catalog import LocalServer

with LocalServer(sys.argv[1]) as server:
    host, port = server.netloc.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"PUT /hatrac/x HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: Bearer {server.token}\\r\\n"
                           "Content-Length: 5000000\\r\\n\\r\\n".encode() + bytes(100000))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leave by a reset
gc.collect()
"""


def test_nothing_is_printed_of_clients_that_are_gone(tmp_path):
    """An answer that nobody takes is dropped; else Python tells of it, since 3.13 or with -X dev."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", _GONE_CLIENTS, str(tmp_path / "root")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0
    assert "Exception ignored" not in done.stderr

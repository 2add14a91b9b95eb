"""Small objects come by a shorter way than other requests; whatever goes wrong on it ends as on the long one."""

import hashlib
import threading

import pytest
from failing_server import Cut, failing_server, session_of

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.catalog import checksums, objects
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, CatalogUnreachable, ChecksumMismatch, WorkingFolderError

CONTENT = b"small" * 1_000
MD5 = hashlib.md5(CONTENT).hexdigest()


def get(session, dest, progress=None):
    return objects.get_file(session, "/hatrac/x", dest, md5=MD5, length=len(CONTENT), progress=progress)


def answers(*given):
    """An `answer` that gives these in turn, the last one for ever."""
    return lambda _method, _path, _headers, count: given[min(count, len(given)) - 1]


def test_small_objects_share_a_connection(tmp_path):
    """Connecting costs more than asking. The server has a thread for each connection."""
    threads, moved = set(), []

    def answer(*_):
        threads.add(threading.get_ident())
        return 200, CONTENT, {"Content-MD5": checksums.as_base64(MD5)}

    with session_of(answer) as (session, seen):
        for number in range(5):
            get(session, tmp_path / "folder" / str(number), moved.append)

    assert [path.read_bytes() for path in (tmp_path / "folder").iterdir()] == [CONTENT] * 5
    assert (len(threads), len(seen), sum(moved)) == (1, 5, 5 * len(CONTENT))


@pytest.mark.parametrize(
    "fault",
    [
        Cut(CONTENT[:2_000], len(CONTENT)),
        Cut(),
        (500, b"broken"),
        (200, b"other" * 1_000),
        (200, CONTENT, {"Content-MD5": checksums.as_base64(hashlib.md5(b"other").hexdigest())}),
        (200, CONTENT[:-1]),
    ],
    ids=["cut in the middle", "cut before", "an error", "damaged on the way", "promised another", "too short"],
)
def test_what_went_wrong_once_is_asked_again(tmp_path, fault):
    """Each byte is told once to whoever draws a bar, and nothing is left beside the file."""
    moved = []
    with session_of(answers(fault, (200, CONTENT))) as (session, seen):
        get(session, tmp_path / "x", moved.append)

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", CONTENT)]
    assert (len(seen), sum(moved)) == (2, len(CONTENT))


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        ((404, b"no such object"), CatalogError, "404 no such object"),
        ((200, b"other" * 1_000), ChecksumMismatch, f"its record says {MD5}"),
        ((200, CONTENT[:-1]), ChecksumMismatch, "has 4999 bytes, its record says 5000"),
        ((200, CONTENT, {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}), ChecksumMismatch, "the server says 5eb63bbbe01"),
        (Cut(), CatalogUnreachable, "gave no answer"),
        ((500, b"broken"), CatalogError, "500 broken"),
    ],
    ids=["missing", "another", "too short", "promised another", "cut", "an error"],
)
def test_what_stays_wrong_is_told_as_ever(tmp_path, fault, error, told):
    """The short way has no messages of its own, and leaves nothing."""
    with session_of(answers(fault)) as (session, _), pytest.raises(error, match=told):
        get(session, tmp_path / "x")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("3600", 300)])
def test_a_busy_server_is_not_asked_sooner_than_it_says(tmp_path, monkeypatch, asked, waited):
    """503 with Retry-After: hundreds of objects must not ask a server again that sheds load; nor wait for an hour."""
    happened = []
    monkeypatch.setattr("time.sleep", happened.append)

    def answer(_method, _path, _headers, count):
        happened.append("asked")
        return (503, b"", {"Retry-After": asked}) if count < 3 else (200, CONTENT)

    with session_of(answer) as (session, _):
        get(session, tmp_path / "x")

    assert [one for one in happened if one in ("asked", waited)] == ["asked", waited, "asked", waited, "asked"]


def test_a_connection_that_the_server_has_closed_costs_no_second_request(tmp_path):
    """A web server closes what was idle for seconds, or every hundredth request."""
    with session_of(answers((200, CONTENT, {"Connection": "close"}))) as (session, seen):
        for number in range(10):
            get(session, tmp_path / str(number))

    assert len(seen) == 10


def test_a_timeout_counts_for_connections_that_are_open(tmp_path):
    """The caller's own, for the requests of the block that it is for."""
    slow, answered = threading.Event(), threading.Event()

    def answer(*_):
        if slow.is_set():
            answered.wait(3)  # less than the patience of the first request
        return 200, CONTENT

    with session_of(answer) as (session, _):
        get(session, tmp_path / "x")
        slow.set()
        try:
            with session.client.timeouts((2, 0.05)):
                found = session.client.get_small("/hatrac/x", len(CONTENT))
        finally:
            answered.set()

    assert found is None


def test_a_store_elsewhere_is_found_by_the_long_way(tmp_path):
    """Redirects are followed without the login; after some of them nobody asks twice for each object."""
    with failing_server(lambda *_: (200, CONTENT)) as (elsewhere, there):
        url = elsewhere.replace("127.0.0.1", "localhost")
        with failing_server(lambda *_: (303, b"", {"Location": f"{url}/signed"})) as (here, seen):
            session = CatalogSession(HttpClient(here, credential={"bearer-token": "t0ken"}), "1")
            for number in range(20):
                get(session, tmp_path / str(number))
            session.close()

    # The long way asks twice itself: once to hear of the redirect, once to follow it.
    assert len(seen) == 20 * 2 + 8
    assert [headers for _, _, headers in there if "Authorization" in headers] == []


def test_a_disk_that_fills_up_is_told(tmp_path, small_disk):
    """By the folder; no half file stays, and what has come stays."""
    disk = small_disk(64_000)
    contents = {f"/hatrac/{number}": bytes([number]) * 5_000 for number in range(20)}
    with session_of(lambda _method, path, *_: (200, contents[path])) as (session, _):
        cache = ObjectCache(disk)

        def fetch(path):
            return cache.fetch_alone(session, path, hashlib.md5(contents[path]).hexdigest(), 5_000)

        first = fetch("/hatrac/0")
        with pytest.raises(WorkingFolderError, match=f"can't write in {disk}/objects/..: No space left"):
            list(map(fetch, contents))

    assert first.read_bytes() == contents["/hatrac/0"]
    assert not list(disk.rglob("*.part"))

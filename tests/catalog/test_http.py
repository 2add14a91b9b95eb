"""What is asked again and what is not, against a server that fails on purpose (the embedded one doesn't)."""

import hashlib
import json

import pytest
from failing_server import QUICK, Cut, client_of, failing_server, session_of

from deriva_ml_core.catalog import arriving, objects, rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import (
    CatalogError,
    CatalogUnreachable,
    ChecksumMismatch,
    DerivaMLAuthenticationError,
    DerivaMLNotFoundError,
)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_says_the_same_twice_is_asked_again(method, status):
    """A server that is restarted or overloaded for a moment does not fail a run."""
    with client_of(lambda _m, _p, _h, count: (status, b"later") if count < 3 else (200, b"now")) as (client, seen):
        answer = client.request(method, "/x", body=None if method == "GET" else b"content")

    assert answer.data == b"now"
    assert len(seen) == 3


def test_a_server_that_stays_broken_is_an_error_in_the_end():
    """Repeats are bounded, and the last answer is told, with its status once."""
    with (
        client_of(lambda *_: (503, b"503 down for maintenance")) as (client, seen),
        pytest.raises(CatalogError, match=r"host\.example refused GET /x: 503 down for maintenance") as caught,
    ):
        client.request("GET", "/x")

    assert caught.value.status == 503
    assert len(seen) == 3


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_post_that_may_have_been_done_is_not_repeated(status):
    """Rows could be inserted twice."""
    with client_of(lambda *_: (status, b"broken")) as (client, seen), pytest.raises(CatalogError, match=str(status)):
        client.request("POST", "/entity", body=b"[]")

    assert len(seen) == 1


def test_a_post_whose_answer_was_lost_says_so():
    """The rows may be there or not: the message does not pretend to know."""
    with (
        client_of(lambda *_: Cut()) as (client, seen),
        pytest.raises(CatalogUnreachable, match=r"gave no answer to POST /entity; .* may or may not have been done"),
    ):
        client.request("POST", "/entity", body=b"[]")

    assert len(seen) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_post_that_was_turned_away_is_repeated(status):
    """By these answers a server says that it has done nothing."""
    with client_of(lambda _m, _p, _h, count: (status, b"") if count == 1 else (200, b"[]")) as (client, seen):
        assert client.request("POST", "/entity", body=b"[]").data == b"[]"

    assert len(seen) == 2


def test_a_get_whose_connection_broke_is_asked_again():
    """A connection that was idle for too long is often closed by a machine between."""
    with client_of(lambda _m, _p, _h, count: Cut() if count == 1 else (200, b"ok")) as (client, seen):
        assert client.request("GET", "/x").data == b"ok"

    assert len(seen) == 2


def test_refusals_of_access_name_what_to_do():
    """401 says how to log in, 403 what was not allowed; the server's page is reduced to its words."""
    with (
        client_of(lambda *_: (401, b"")) as (client, _),
        pytest.raises(DerivaMLAuthenticationError, match="--host host"),
    ):
        client.request("GET", "/x")
    page = b"<html><h1>403 Forbidden</h1>\n<p>insert on Workflow</p></html>"
    with (
        client_of(lambda *_: (403, page)) as (client, _),
        pytest.raises(DerivaMLAuthenticationError, match="allow you to POST /x: 403 Forbidden insert on Workflow"),
    ):
        client.request("POST", "/x", body=b"")


def test_the_login_is_sent_and_never_shown():
    """Bearer token or cookie, as deriva stores them; an error's text and fields have neither."""
    for credential, header in (
        ({"bearer-token": "t0ken"}, ("Authorization", "Bearer t0ken")),
        ({"cookie": "webauthn=c00kie"}, ("Cookie", "webauthn=c00kie")),
    ):
        with (
            client_of(lambda *_: (409, b"no"), credential=credential) as (client, seen),
            pytest.raises(CatalogError) as caught,
        ):
            client.request("GET", "/x")

        assert seen[0][2][header[0]] == header[1]
        assert "t0ken" not in repr(vars(caught.value)) + str(caught.value)
        assert "c00kie" not in repr(vars(caught.value)) + str(caught.value)


def test_a_redirect_to_another_host_does_not_carry_the_login():
    """A store may send us to another host for the bytes; our token stays at home."""
    with (
        failing_server(lambda *_: (200, b"bytes")) as (elsewhere, there),
        client_of(
            lambda *_: (303, b"", {"Location": elsewhere.replace("127.0.0.1", "localhost") + "/signed"}),
            credential={"bearer-token": "t0ken"},
        ) as (client, _),
    ):
        assert client.request("GET", "/hatrac/x").data == b"bytes"

    assert "Authorization" not in there[0][2]


def test_the_machines_proxy_is_used_and_its_exceptions_too(monkeypatch):
    """Where the network allows no other way, HTTPS_PROXY is the way, but not to the hosts of NO_PROXY."""
    with failing_server(lambda *_: (403, b"")) as (proxy, seen):
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.setenv("no_proxy", "near.invalid")
        for host in ("far.invalid", "near.invalid"):
            client = HttpClient(f"https://{host}", patience=QUICK)
            with pytest.raises((CatalogUnreachable, DerivaMLNotFoundError), match=r"the proxy|no host"):
                client.request("GET", "/x")
            client.close()

    assert {path for _, path, _ in seen} == {"far.invalid:443"}


def test_an_insert_with_leased_rids_is_sent_again():
    """When its answer was lost, the same rows are sent once more: those that are there are left as they are."""
    column = {"name": "Name", "type": {"typename": "text"}, "nullok": True, "default": None}
    rid = {"name": "RID", "type": {"typename": "ermrest_rid"}, "nullok": False, "default": None}
    table = {"column_definitions": [rid, column], "keys": [{"unique_columns": ["RID"]}], "foreign_keys": []}
    schema = json.dumps({"schemas": {"demo": {"tables": {"T": table}}}}).encode()

    def answer(method, _path, _headers, _count):
        posts = [one for one in seen if one[0] == "POST"]
        if method == "GET":
            return 200, schema
        return Cut() if len(posts) == 1 else (200, b"[]")

    with failing_server(answer) as (url, seen):
        session = CatalogSession(HttpClient(url, hostname="local", patience=QUICK), "1")
        rows.insert(session, "T", [{"RID": "1-ABCD", "Name": "a"}], leased=True)
        session.close()

    sent = [path for method, path, _ in seen if method == "POST"]
    assert sent == ["/ermrest/catalog/1/entity/demo:T?nondefaults=RID&onconflict=skip"] * 2


def test_a_host_without_ermrest_is_said_to_be_no_deriva_server():
    """A web server that is not Deriva's answers, too; the user hears which it is."""
    with (
        failing_server(lambda *_: (404, b"<html>Not here</html>")) as (url, _),
        pytest.raises(DerivaMLNotFoundError, match="it is no Deriva server"),
    ):
        CatalogSession.connect("local", "1", base_url=url, patience=QUICK)


CONTENT = bytes(i % 251 for i in range(700_000))


def ranged(headers):
    """An honest answer to a request that may ask for a range."""
    start = int(headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    digest = hashlib.md5(CONTENT).hexdigest()
    return CONTENT[start:], {"ETag": f'"{digest}"', "status": 206 if start else 200}


def test_a_broken_download_is_taken_up_where_it_broke(tmp_path):
    """Bytes that have come are not asked for again, and the whole is still checked."""

    def answer(_method, _path, headers, count):
        rest, extra = ranged(headers)
        if count < 3:
            return Cut(rest[:300_000], len(rest), extra)
        return extra.pop("status"), rest, extra

    moved = []
    with session_of(answer) as (session, seen):
        fetched = objects.get_file(
            session,
            "/hatrac/x",
            tmp_path / "x",
            md5=hashlib.md5(CONTENT).hexdigest(),
            length=len(CONTENT),
            progress=moved.append,
        )

    assert fetched.read_bytes() == CONTENT
    # What came of a block that was not complete is asked for again: blocks are 256 kB.
    assert [headers.get("Range") for _, _, headers in seen] == [None, "bytes=262144-", "bytes=524288-"]
    assert sum(moved) == len(CONTENT)


def test_a_server_that_sends_all_again_is_believed(tmp_path):
    """A server may ignore the range: what came before is forgotten, not doubled."""

    def answer(_method, _path, _headers, count):
        return Cut(CONTENT[:300_000], len(CONTENT)) if count == 1 else (200, CONTENT)

    moved = []
    with session_of(answer) as (session, _):
        objects.get_file(session, "/hatrac/x", tmp_path / "x", progress=moved.append)

    assert (tmp_path / "x").read_bytes() == CONTENT
    assert sum(moved) == len(CONTENT)


def test_a_download_that_breaks_every_time_is_an_error(tmp_path):
    """After some attempts the user hears it, and no half file is left."""
    with (
        session_of(lambda _m, _p, h, _c: Cut(ranged(h)[0][:1000], len(ranged(h)[0]), ranged(h)[1])) as (session, _),
        pytest.raises(CatalogUnreachable, match="connection broke"),
    ):
        objects.get_file(session, "/hatrac/x", tmp_path / "x")

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_fetch_of_a_large_file_goes_on_with_the_next_call(tmp_path, monkeypatch):
    """Whatever ended the first attempt, its bytes are not fetched again; a finished file leaves nothing beside it."""
    monkeypatch.setattr(arriving, "KEEP_FROM_BYTES", 1000)
    given = {"md5": hashlib.md5(CONTENT).hexdigest(), "length": len(CONTENT)}

    def answer(_method, _path, headers, _count):
        rest, extra = ranged(headers)
        return extra.pop("status"), rest, extra

    class Killed(BaseException):
        pass

    def kill(_size):
        raise Killed

    moved = []
    with session_of(answer) as (session, seen):
        with pytest.raises(Killed):
            objects.get_file(session, "/hatrac/x", tmp_path / "x", progress=kill, **given)
        assert not (tmp_path / "x").exists()
        objects.get_file(session, "/hatrac/x", tmp_path / "x", progress=moved.append, **given)

    assert (tmp_path / "x").read_bytes() == CONTENT
    assert seen[1][2]["Range"] == "bytes=262144-"
    assert sum(moved) == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_part_that_is_complete_is_only_checked(tmp_path, monkeypatch):
    """A process that died between the last byte and the renaming costs no request; a wrong part is thrown away."""
    monkeypatch.setattr(arriving, "KEEP_FROM_BYTES", 1000)
    checksum = hashlib.md5(CONTENT).hexdigest()
    part = tmp_path / f".{checksum}.part"

    with session_of(lambda *_: (200, CONTENT)) as (session, seen):
        part.write_bytes(CONTENT)
        objects.get_file(session, "/hatrac/x", tmp_path / "x", md5=checksum, length=len(CONTENT))
        assert seen == []
        part.write_bytes(b"0" * len(CONTENT))
        with pytest.raises(ChecksumMismatch):
            objects.get_file(session, "/hatrac/x", tmp_path / "y", md5=checksum, length=len(CONTENT))
        objects.get_file(session, "/hatrac/x", tmp_path / "y", md5=checksum, length=len(CONTENT))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


def test_two_fetches_of_one_file_do_not_share_a_part(tmp_path, monkeypatch):
    """The second process fetches for itself instead of writing between the first one's bytes."""
    monkeypatch.setattr(arriving, "KEEP_FROM_BYTES", 1000)
    given = {"md5": hashlib.md5(CONTENT).hexdigest(), "length": len(CONTENT)}
    inner = []

    def fetch_again(_size):
        if not inner:
            inner.append(objects.get_file(session, "/hatrac/x", tmp_path / "x", **given).read_bytes())

    with session_of(lambda *_: (200, CONTENT)) as (session, _):
        objects.get_file(session, "/hatrac/x", tmp_path / "x", progress=fetch_again, **given)

    assert inner == [CONTENT]
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_corrupted_download_is_refused(tmp_path):
    """The server's own checksum is checked, also when the caller knows none."""
    with (
        session_of(lambda *_: (200, b"corrupted", {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="})) as (session, _),
        pytest.raises(ChecksumMismatch, match="the server says 5eb63bbbe01eeed093cb22bb8f5acdc3"),
    ):
        objects.get_file(session, "/hatrac/x", tmp_path / "x")


def test_an_upload_is_sent_again_from_its_beginning(tmp_path):
    """A PUT that met a busy server is repeated with the whole file, and its progress counts each byte once."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    sizes, moved = [], []

    def answer(_method, _path, headers, count):
        sizes.append(int(headers["Content-Length"]))
        return (503, b"") if count == 1 else (201, b"/hatrac/x:1\n", {"Location": "/hatrac/x:1"})

    with session_of(answer) as (session, _):
        url = objects.put_file(session, path, "/hatrac/x", progress=moved.append)

    assert url == "/hatrac/x:1"
    assert sizes == [len(CONTENT)] * 2
    assert sum(moved) == len(CONTENT)

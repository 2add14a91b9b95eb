"""/content: large content that comes before its name."""

import hashlib
import json
import os

import pytest

from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users

NAME = {"content_type": "text/plain", "disposition": "filename*=UTF-8''a"}


@pytest.fixture
def place(request):
    """Where this test's content goes."""
    return "/content/" + hashlib.sha256(request.node.name.encode()).hexdigest()


def ask(client, method, path, document=None, body=None):
    body = json.dumps(document).encode() if document is not None else body
    headers = {"Content-Type": "application/json"} if document is not None else {}
    return client.request(method, path, body=body, headers=headers, accept=range(300, 600))


def named(place, content, **other):
    path = f"/hatrac/content{place.replace('/content/', '/')}"
    return {"path": path, "md5": hashlib.md5(content).hexdigest(), **NAME, **other}


def test_content_comes_in_parts_and_gets_its_name_at_the_end(client, place):
    """The checksums are of the whole, those of the part that was there included."""
    content = os.urandom(200_000)
    first = json.loads(ask(client, "POST", f"{place}?offset=0", body=content[:150_000]).data)
    there = json.loads(ask(client, "GET", place).data)
    whole = json.loads(ask(client, "POST", f"{place}?offset=150000", body=content[150_000:]).data)
    url = ask(client, "PUT", place, named(place, content)).headers["Location"]

    assert (first["size"], there) == (150_000, 150_000)
    assert whole["sha256"] == hashlib.sha256(content).hexdigest()
    assert whole["md5"] == hashlib.md5(content).hexdigest()
    assert client.request("GET", url).data == content
    assert json.loads(ask(client, "GET", place).data) == 0


def test_content_that_does_not_follow_is_refused(client, place):
    """A gap would be read as zeros, and what overlaps would be there twice."""
    ask(client, "POST", f"{place}?offset=0", body=b"12345")
    statuses = [ask(client, "POST", f"{place}?offset={offset}", body=b"6").status for offset in (4, 6, "x", -1)]

    assert statuses == [409, 409, 400, 400]
    assert json.loads(ask(client, "GET", place).data) == 5
    assert ask(client, "DELETE", place).status == 204
    assert json.loads(ask(client, "GET", place).data) == 0


def test_a_name_that_is_refused_leaves_the_content_for_another(client, place):
    """A wrong checksum, no object's name, a malformed type."""
    ask(client, "POST", f"{place}?offset=0", body=b"12345")
    wrong = [{"md5": "0" * 32}, {"path": "/hatrac/a:B"}, {"content_type": "text"}]
    statuses = [ask(client, "PUT", place, named(place, b"12345", **other)).status for other in wrong]

    assert statuses == [400, 400, 400]
    assert ask(client, "PUT", place, named(place, b"12345")).status == 201
    assert ask(client, "PUT", place, named(place, b"12345")).status == 404


@pytest.mark.parametrize("document", [[], {}, {"path": "/hatrac/a"}, {"path": 1, "md5": "0" * 32, **NAME}])
def test_another_document_is_refused(client, place, document):
    """It says what a PUT says in its headers, all of it."""
    assert ask(client, "PUT", place, document).status == 400


@pytest.mark.parametrize("path", ["/content", "/content/a", "/content/../objects", f"/content/{'A' * 64}"])
def test_a_key_is_a_hash(client, path):
    """It never becomes a path."""
    assert ask(client, "GET", path).status == 404


def test_the_methods_are_named(client, place):
    """As everywhere."""
    answer = ask(client, "PATCH", place)

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, PUT, DELETE")


def test_only_who_may_make_something_sends_content(tmp_path):
    """Nobody knows yet where it will go; a stranger, or a reader, could fill the disk. And each has their own."""
    with Root(tmp_path / "root") as root:
        tokens = {name: Users(root.registry).add(name, admin=name != "reader") for name in ("ada", "bob", "reader")}
    with LocalServer(tmp_path / "root") as server:
        clients = [HttpClient(server.url, credential={"bearer-token": token}) for token in tokens.values()]
        clients.append(HttpClient(server.url))
        ada, bob, *_ = clients
        place = f"/content/{'a' * 64}"
        statuses = [ask(one, "POST", f"{place}?offset=0", body=b"1").status for one in clients]
        sizes = [json.loads(ask(one, "GET", place).data) for one in (ada, bob)]
        ask(bob, "DELETE", place)
        sizes.append(json.loads(ask(ada, "GET", place).data))
        for one in clients:
            one.close()

    assert statuses == [200, 200, 403, 401]
    assert sizes == [1, 1, 1]

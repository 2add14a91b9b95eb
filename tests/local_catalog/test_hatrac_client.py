"""Hatrac as deriva's own client uses it, and what the recorded scenarios leave open."""

import base64
import hashlib
import os

import pytest
import requests
from deriva.core import DerivaServer, HatracHashMismatch, HatracStore, NotModified
from deriva.core.utils import hash_utils

from deriva_ml_core.local_catalog import LocalServer

NAMESPACE = {"Content-Type": "application/x-hatrac-namespace"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalServer(tmp_path_factory.mktemp("hatrac-client")) as running:
        yield running


@pytest.fixture
def space(request):
    """A namespace for one test."""
    return "/hatrac/" + "".join(symbol if symbol.isalnum() else "-" for symbol in request.node.name)


@pytest.fixture
def store(server):
    return HatracStore("http", server.netloc, server.credential)


@pytest.fixture
def ask(server):
    """Send a request as the owner."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        yield lambda method, path, **options: session.request(method, server.url + path, timeout=60, **options)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a file.bin"
    path.write_bytes(os.urandom(300_000))
    return path


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


# deriva's client


def test_namespaces_are_made_listed_and_removed(store, space):
    """create, retrieve, is_valid, delete."""
    store.create_namespace(space + "/a/b")

    assert store.retrieve_namespace(space + "/a") == [space + "/a/b"]
    assert store.is_valid_namespace(space)
    store.delete_namespace(space)
    with pytest.raises(requests.HTTPError):
        store.retrieve_namespace(space)


def test_a_file_comes_back_as_it_went(store, space, file, tmp_path):
    """put_loc and get_obj check the content by its hashes on both sides."""
    location = store.put_loc(f"{space}/o", file)
    store.get_obj(location, destfilename=str(tmp_path / "back"))

    assert location.startswith(f"{space}/o:")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert store.content_equals(f"{space}/o", filename=file)


def test_a_file_comes_back_from_chunks(store, space, file, tmp_path):
    """put_loc in chunks: job, chunks, finalize; with a callback that sees every chunk."""
    seen = []
    location = store.put_loc(
        f"{space}/o", file, chunked=True, chunk_size=65_536, callback=lambda **seen_now: seen.append(seen_now) or 1
    )
    store.get_obj(location, destfilename=str(tmp_path / "back"))

    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert store.get(f"{space}/o;upload").json() == []


def test_an_upload_goes_on_where_it_stopped(store, space, file, tmp_path):
    """A job whose sender died takes the chunks that are missing, from any process."""
    md5 = hash_utils.compute_file_hashes(file, hashes=["md5"])["md5"][1]
    job = store.create_upload_job(f"{space}/o", file, md5, None, chunk_size=100_000)
    content = file.read_bytes()
    for number in (2, 0):
        chunk = content[number * 100_000 : (number + 1) * 100_000]
        store.put(f"{space}/o;upload/{job}/{number}", data=chunk, headers={"Content-Type": "application/octet-stream"})

    store.put_obj_chunked(f"{space}/o", file, job, chunk_size=100_000, start_chunk=1)
    location = store.finalize_upload_job(f"{space}/o", job)
    store.get_obj(location, destfilename=str(tmp_path / "back"))

    assert (tmp_path / "back").read_bytes() == content


def test_the_same_content_is_sent_once(store, space, file):
    """put_loc asks first and keeps the version that is there."""
    assert store.put_loc(f"{space}/o", file) == store.put_loc(f"{space}/o", file)


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # deriva's own leak
def test_versions_may_be_forbidden_by_the_client(store, space, file, tmp_path):
    """allow_versioning=False refuses other content under a name that is taken."""
    store.put_loc(f"{space}/o", file)
    (tmp_path / "other").write_bytes(b"other")

    with pytest.raises(NotModified):
        store.put_loc(f"{space}/o", tmp_path / "other", allow_versioning=False)


def test_a_wrong_hash_is_refused(store, space, file):
    """The client's MD5 is held against what came."""
    with pytest.raises((requests.HTTPError, HatracHashMismatch)):
        store.put_obj(f"{space}/o", file, md5=_md5(b"something else"))


def test_acls_are_set_and_read(store, space, file):
    """get_acl, set_acl, del_acl."""
    store.put_loc(f"{space}/o", file)
    store.set_acl(f"{space}/o", "read", ["ann", "bob"])
    store.set_acl(f"{space}/o", "read", ["cy"], add_role=True)

    assert sorted(store.get_acl(f"{space}/o", "read")["read"]) == ["ann", "bob", "cy"]
    store.del_acl(f"{space}/o", "read", "bob")
    assert sorted(store.get_acl(f"{space}/o", "read")["read"]) == ["ann", "cy"]


def test_the_root_namespace_has_acls_too(store):
    """Deriva's client asks for `/hatrac;acl`: who shares a folder gives rights for all of it there."""
    store.set_acl("/hatrac", "subtree-read", ["curators"])

    assert store.get_acl("/hatrac", "subtree-read") == {"subtree-read": ["curators"]}


def test_the_server_handle_gives_a_store(server, space):
    """DerivaServer finds its services."""
    found = DerivaServer("http", server.netloc, credentials=server.credential).get("/hatrac/")

    assert found.status_code == 200


# What the scenarios leave open


def test_content_is_stored_once(ask, space, server):
    """Two objects of the same content share a file; it stays until the last of them goes."""
    content = os.urandom(5000)
    path = server.path / "objects" / (name := hashlib.sha256(content).hexdigest())[:2] / name[2:]
    ask("PUT", f"{space}/a?parents=true", data=content)
    ask("PUT", f"{space}/b", data=content)

    ask("DELETE", f"{space}/a")
    with_one = path.exists()
    ask("DELETE", f"{space}/b")

    assert (with_one, path.exists()) == (True, False)


def test_what_a_power_cut_left_is_replaced(ask, space, server):
    """A broken file that no version has does not stand for the content of its name."""
    content = os.urandom(5000)
    path = server.path / "objects" / (name := hashlib.sha256(content).hexdigest())[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half of it")

    made = ask("PUT", f"{space}/o?parents=true", data=content)

    assert made.status_code == 201
    assert ask("GET", f"{space}/o").content == content


def test_a_wrong_sha256_is_refused(ask, space):
    """Both checksums are verified."""
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()

    refused = ask("PUT", f"{space}/o?parents=true", data=b"content", headers={"Content-SHA256": wrong})

    assert refused.status_code == 400
    assert ask("GET", f"{space}/o").status_code == 409


def test_a_body_without_length_is_taken(ask, space):
    """Chunked transfer encoding."""
    made = ask("PUT", f"{space}/o?parents=true", data=iter([b"one, ", b"two, ", b"three"]))

    assert made.status_code == 201
    assert ask("GET", f"{space}/o").content == b"one, two, three"


@pytest.mark.parametrize(("condition", "status"), [("current", 206), ("other", 200)])
def test_if_range_sends_a_part_only_of_what_the_caller_knows(ask, space, condition, status):
    """A download that goes on gets the whole when the content has changed."""
    ask("PUT", f"{space}/o?parents=true", data=b"0123456789")
    etag = ask("HEAD", f"{space}/o").headers["ETag"] if condition == "current" else '"other"'

    answer = ask("GET", f"{space}/o", headers={"Range": "bytes=5-", "If-Range": etag})

    assert answer.status_code == status


def test_several_ranges_are_not_provided(ask, space):
    """501, as the real service says."""
    ask("PUT", f"{space}/o?parents=true", data=b"0123456789")

    assert ask("GET", f"{space}/o", headers={"Range": "bytes=0-1,4-5"}).status_code == 501


def test_rename_takes_chosen_versions(ask, space):
    """rename_from with source_versions mirrors these; the others stay."""
    urls = [ask("PUT", f"{space}/old?parents=true", data=data).text.strip() for data in (b"one", b"two")]
    first = urls[0].rpartition(":")[2]
    command = {"command": "rename_from", "source_name": f"{space[7:]}/old", "source_versions": [first]}

    made = ask("POST", f"{space}/new", json=command)

    assert (made.status_code, made.text) == (201, f"{space}/new:{first}\n")
    assert ask("GET", urls[0]).headers["Content-Location"] == f"{space}/new:{first}"
    assert ask("GET", f"{space}/old").content == b"two"
    assert ask("POST", f"{space}/new", json={**command, "versions": []}).status_code == 400


@pytest.mark.parametrize("copied", [True, False])
def test_rename_takes_access_along_if_asked(ask, space, copied):
    """Source: deriva-py, `HatracStore.rename_obj`: copy_acls is about the lists of the object too."""
    ask("PUT", f"{space}/old?parents=true", data=b"one")
    ask("PUT", f"{space}/old;acl/update/curators")
    command = {"command": "rename_from", "source_name": f"{space[7:]}/old", "copy_acls": copied}

    made = ask("POST", f"{space}/new", json=command)

    assert made.status_code == 201
    assert ask("GET", f"{space}/new;acl/update").json() == (["curators"] if copied else [])


@pytest.mark.parametrize(
    "name",
    ["..%2F..%2Fetc%2Fpasswd", "%2E%2E", "a%00b", "%FF", "a%2", "x" * 5000, "a//b", "a b", "'; DROP TABLE user; --"],
)
def test_a_hostile_name_makes_nothing_outside_the_store(ask, server, space, name):
    """Names never become paths; each is refused, or stored under its hash like any other."""
    ask("PUT", space, headers=NAMESPACE)
    before = sorted(path.name for path in server.path.iterdir())

    status = ask("PUT", f"{space}/{name}", data=b"x").status_code

    assert status in {201, 400, 404, 409}
    assert sorted(path.name for path in server.path.iterdir()) == before


@pytest.mark.parametrize(
    "job",
    [
        {"chunk-length": 0, "content-length": 1},
        {"chunk-length": -1, "content-length": 1},
        {"chunk-length": 1, "content-length": -1},
        {"chunk-length": 1, "content-length": 10**30},
        {"chunk-length": 1.5, "content-length": 1},
        {"chunk-length": True, "content-length": 1},
        {"chunk-length": [1], "content-length": 1},
        {"chunk-length": 1, "content-length": 1, "content-type": 5},
        {"chunk-length": 1, "content-length": 1, "content-type": "a\r\nX: y"},
        {},
        "job",
        None,
    ],
)
def test_a_malformed_job_is_refused(ask, space, job):
    """400, whatever the document holds."""
    ask("PUT", space, headers=NAMESPACE)

    assert ask("POST", f"{space}/o;upload", json=job, headers={"Content-Type": "application/json"}).status_code == 400


def test_a_huge_job_without_chunks_is_not_read_as_zeros(ask, space):
    """A petabyte of nothing must not keep the server busy."""
    made = ask("POST", f"{space}/o;upload?parents=true", json={"chunk-length": 1000, "content-length": 2**50})

    assert ask("POST", made.text.strip()).status_code == 409


def test_a_json_body_nested_too_deep_is_refused(ask, space):
    """400 instead of a recursion error."""
    ask("PUT", space, headers=NAMESPACE)
    deep = "[" * 200_000 + "]" * 200_000
    headers = {"Content-Type": "application/json"}

    assert ask("PUT", f"{space};acl/read", data=deep, headers=headers).status_code == 400

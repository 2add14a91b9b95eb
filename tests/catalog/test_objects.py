"""Files to Hatrac and back, over real HTTP."""

import hashlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import CatalogError, ChecksumMismatch, DerivaMLReadOnlyError

CHUNK = 1000


@pytest.fixture
def session(catalog_session):
    return catalog_session


def md5(content):
    return hashlib.md5(content).hexdigest()


def unique_path(request, name="object"):
    """Objects of the test process's server live as long as it does."""
    return objects.object_path("tests", request.node.name, name)


def sent_during(session, action):
    before = session.client.requests_sent
    return action(), session.client.requests_sent - before


@pytest.mark.parametrize("size", [0, 1, 999, 300_000])
def test_a_file_comes_back_as_it_went(session, make_file, tmp_path, request, size):
    """What is stored is what is fetched, whatever its size, an empty file included."""
    content = bytes(i % 251 for i in range(size))
    url = objects.put_file(session, make_file(content), unique_path(request))

    fetched = objects.get_file(session, url, tmp_path / "back" / "file", md5=md5(content), length=size)

    assert fetched.read_bytes() == content


def test_a_new_small_file_is_one_request(session, make_file, request):
    """No question is asked before a new object is stored."""
    path = make_file(b"new")

    url, sent = sent_during(session, lambda: objects.put_file(session, path, unique_path(request)))

    assert sent == 1
    assert url.startswith(unique_path(request) + ":")


def test_content_that_is_there_is_not_stored_twice(session, make_file, request):
    """Repeating an upload changes nothing and gives the same version."""
    path = make_file(b"same")
    first = objects.put_file(session, path, unique_path(request))

    again, sent = sent_during(session, lambda: objects.put_file(session, path, unique_path(request)))

    assert again == first
    assert sent == 2


def test_a_large_file_that_is_there_is_not_sent(session, make_file, request):
    """From some megabytes on it is asked first: sending in vain would cost more than the question."""
    path = make_file(b"l" * (5 * 2**20))
    first = objects.put_file(session, path, unique_path(request))

    again, sent = sent_during(session, lambda: objects.put_file(session, path, unique_path(request)))

    assert (again, sent) == (first, 1)


def test_other_content_under_the_same_name_is_a_new_version(session, make_file, tmp_path, request):
    """A name may be used again; each version stays what it was."""
    first = objects.put_file(session, make_file(b"one"), unique_path(request))
    second = objects.put_file(session, make_file(b"two"), unique_path(request))

    assert first != second
    assert objects.get_file(session, first, tmp_path / "a").read_bytes() == b"one"
    assert objects.get_file(session, second, tmp_path / "b").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["a b.png", "ünïcode.txt", "per%cent", "semi;colon:2", "q?x=1#y"])
def test_names_of_any_kind_are_stored(session, make_file, tmp_path, request, name):
    """File names come from users; none of them may change what a URL means."""
    path = objects.object_path("tests", request.node.name, name)

    url = objects.put_file(session, make_file(b"content"), path, filename=name)

    assert objects.get_file(session, url, tmp_path / "back").read_bytes() == b"content"


def test_a_large_file_goes_in_chunks(session, make_file, tmp_path, request):
    """Above the chunk size a file is sent piece by piece, the last one shorter."""
    content = bytes(range(256)) * 10
    state = tmp_path / "upload.json"

    url = objects.put_file(session, make_file(content), unique_path(request), chunk_size=CHUNK, resume_file=state)

    assert objects.get_file(session, url, tmp_path / "back", md5=md5(content)).read_bytes() == content
    assert not state.exists()


def test_an_interrupted_upload_goes_on_where_it_stopped(session, make_file, tmp_path, request):
    """Chunks that arrived are not sent again, also by another process that finds the state file."""
    content = bytes(range(256)) * 20
    path, state = make_file(content), tmp_path / "upload.json"

    class Interrupted(Exception):
        pass

    def stop_after_two(_size):
        if len(json.loads(state.read_text())["done"]) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        objects.put_file(
            session, path, unique_path(request), chunk_size=CHUNK, resume_file=state, progress=stop_after_two
        )
    url, sent = sent_during(
        session,
        lambda: objects.put_file(session, path, unique_path(request), chunk_size=CHUNK, resume_file=state),
    )

    # Look (1), ask for the job (1), the 4 chunks that are not known to be there, look once more (1), finalize (1).
    assert sent == 8
    assert objects.get_file(session, url, tmp_path / "back").read_bytes() == content


def test_a_forgotten_upload_starts_anew(session, make_file, tmp_path, request):
    """A state file of a job that the server no longer knows, or one that is damaged, is no obstacle."""
    content = b"x" * 2500
    state = tmp_path / "upload.json"
    state.write_text("{ damaged")
    url = objects.put_file(session, make_file(content), unique_path(request), chunk_size=CHUNK, resume_file=state)
    gone = {"job": f"{unique_path(request)};upload/NOSUCH", "target": unique_path(request, "2")}
    state.write_text(json.dumps({**gone, "md5": md5(content), "chunk": CHUNK, "done": [0]}))
    objects.put_file(session, make_file(content), unique_path(request, "2"), chunk_size=CHUNK, resume_file=state)

    assert objects.exists(session, url)
    assert objects.exists(session, unique_path(request, "2"))


def test_progress_adds_up_to_the_size(session, make_file, tmp_path, request):
    """Whoever draws a bar gets each byte once, in both directions, chunked or not, stored already or not."""
    content = b"p" * 600_000
    path = make_file(content)
    moved = {"small": [], "there": [], "other": [], "chunks": [], "again": [], "back": []}

    url = objects.put_file(session, path, unique_path(request), progress=moved["small"].append)
    objects.put_file(session, path, unique_path(request), progress=moved["there"].append)
    path.write_bytes(b"q" * len(content))
    objects.put_file(session, path, unique_path(request), progress=moved["other"].append)
    chunked = unique_path(request, "2")
    objects.put_file(session, path, chunked, chunk_size=100_000, progress=moved["chunks"].append)
    objects.put_file(session, path, chunked, chunk_size=100_000, progress=moved["again"].append)
    objects.get_file(session, url, tmp_path / "back", progress=moved["back"].append)

    assert {name: sum(sizes) for name, sizes in moved.items()} == dict.fromkeys(moved, len(content))


def test_wrong_content_never_appears(session, make_file, tmp_path, request):
    """A file whose checksum or length is not as recorded is refused, and nothing is left behind."""
    url = objects.put_file(session, make_file(b"content"), unique_path(request))
    folder = tmp_path / "inputs"

    with pytest.raises(ChecksumMismatch, match="its record says"):
        objects.get_file(session, url, folder / "a", md5=md5(b"other"))
    with pytest.raises(ChecksumMismatch, match="has 7 bytes, its record says 8"):
        objects.get_file(session, url, folder / "a", length=8)

    assert list(folder.iterdir()) == []


def test_a_failed_fetch_keeps_the_file_that_was_there(session, make_file, tmp_path, request):
    """The destination changes only by a complete, checked file."""
    url = objects.put_file(session, make_file(b"content"), unique_path(request))
    dest = tmp_path / "kept"
    dest.write_bytes(b"before")

    with pytest.raises(ChecksumMismatch):
        objects.get_file(session, url, dest, md5=md5(b"other"))

    assert dest.read_bytes() == b"before"


def test_a_file_that_changed_since_it_was_hashed_is_not_stored(session, make_file, request):
    """The record would promise other bytes than those that are stored."""
    with pytest.raises(ChecksumMismatch, match="changed while it was being sent"):
        objects.put_file(session, make_file(b"now"), unique_path(request), md5=md5(b"then"))
    with pytest.raises(ChecksumMismatch, match="changed while it was being sent"):
        objects.put_file(session, make_file(b"n" * 2500), unique_path(request), md5=md5(b"then"), chunk_size=CHUNK)

    assert not objects.exists(session, unique_path(request))


def test_a_fetched_file_has_ordinary_rights(session, make_file, tmp_path, request):
    """Colleagues may read what the umask lets them read, as with any new file."""
    url = objects.put_file(session, make_file(b"content"), unique_path(request))
    ordinary = tmp_path / "ordinary"
    ordinary.touch()

    fetched = objects.get_file(session, url, tmp_path / "fetched")

    assert stat.S_IMODE(fetched.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


@pytest.mark.parametrize("url", ["https://elsewhere.example/hatrac/a", "/ermrest/catalog/1", "file:///etc/passwd"])
def test_our_login_goes_to_no_other_place(session, tmp_path, url):
    """An asset's URL is data: it can't send our token to another host or path."""
    with pytest.raises(CatalogError, match="is not an object of local"):
        objects.get_file(session, url, tmp_path / "x")


def test_a_missing_object_is_an_error_with_its_status(session, tmp_path, request):
    """404 is told from other failures by the error's field."""
    with pytest.raises(CatalogError) as caught:
        objects.get_file(session, unique_path(request), tmp_path / "x")

    assert caught.value.status == 404
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_stores_nothing(session, make_file, request):
    """Whoever reads the past does not write."""
    past = session.at(session.latest_snaptime())

    with pytest.raises(DerivaMLReadOnlyError):
        objects.put_file(past, make_file(b"x"), unique_path(request))


def test_files_travel_side_by_side(session, tmp_path, request):
    """One session serves many threads; each file is whole."""
    contents = {f"f{i}": bytes([i]) * (i * 10_000) for i in range(24)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    barrier = threading.Barrier(8)

    def there_and_back(name):
        if int(name[1:]) < 8:
            barrier.wait(timeout=30)
        url = objects.put_file(session, tmp_path / name, unique_path(request, name))
        return name, objects.get_file(session, url, tmp_path / f"back-{name}").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        fetched = dict(pool.map(there_and_back, contents))

    assert fetched == contents


def test_an_object_on_this_disk_is_read_if_it_is_the_right_one(tmp_path):
    """A path is only a hint: it may lead to something else by now, to nothing, or to a pipe that nobody writes to."""
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"content")
    os.mkfifo(pipe)
    md5 = hashlib.md5(b"content").hexdigest()

    assert objects.read_near(file, md5, 7) == b"content"
    assert objects.read_near(file, md5, 6) is None
    assert objects.read_near(file, hashlib.md5(b"other").hexdigest(), 7) is None
    assert objects.read_near(pipe, md5, 7) is None
    assert objects.read_near(tmp_path / "absent", md5, 7) is None


def test_a_copy_is_sealed_before_it_has_its_name(tmp_path):
    """So no other process sees a file of the cache without its mark; a wrong one is not made, small or large."""
    for size in (7, 3 * 2**20):
        near, dest, seen = tmp_path / f"near-{size}", tmp_path / f"dest-{size}", []
        near.write_bytes(bytes(size))
        md5 = hashlib.md5(bytes(size), usedforsecurity=False).hexdigest()

        def seal(descriptor: int, dest=dest, seen=seen) -> None:
            seen.append((dest.exists(), os.fstat(descriptor).st_size))

        wrong = hashlib.md5(b"other", usedforsecurity=False).hexdigest()
        for other, length in ((wrong, size), (md5, size + 1)):
            assert not objects.copy_near(near, dest, other, length, None, seal=seal)
        assert objects.copy_near(near, dest, md5, size, None, seal=seal)
        assert seen == [(False, size)]
        assert dest.read_bytes() == bytes(size)
    assert not list(tmp_path.glob(".*"))

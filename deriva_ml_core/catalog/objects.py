"""
Objects of Hatrac: files to the server and back, streamed, each byte checked.

Both directions are safe in threads: several files travel at once over one session's connections.

Source: Hatrac's REST API ("Object creation", "Chunked upload resources"); NOTES, "Hatrac".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from deriva_ml_core.catalog import checksums
from deriva_ml_core.catalog.arriving import arriving, put_in_place
from deriva_ml_core.catalog.checksums import file_md5
from deriva_ml_core.catalog.fetching import Download
from deriva_ml_core.catalog.nearby import copy_near, near_files, read_near
from deriva_ml_core.catalog.object_store import Progress, SmallObject
from deriva_ml_core.catalog.sending import Upload, disposition
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, DerivaMLReadOnlyError

__all__ = [
    "Progress",
    "SmallObject",
    "copy_near",
    "disposition",
    "exists",
    "file_md5",
    "get_file",
    "is_own",
    "near_files",
    "object_path",
    "put_file",
    "put_small",
    "read_near",
    "take_in",
]

# A larger file goes in chunks: few enough that each is worth a request, small enough that a broken connection costs
# a few percent of the file.
CHUNKED_FROM_BYTES = 25 * 2**20
_CHUNKS = 100
_SMALLEST_CHUNK_BYTES, _LARGEST_CHUNK_BYTES = 4 * 2**20, 25 * 2**20
# Hatrac on S3 takes at most so many chunks of one object: a larger file gets larger chunks.
MAX_CHUNKS = 10_000
# From this size on, a question whether the content is there costs little beside sending it in vain.
_ASK_FIRST_BYTES = 4 * 2**20
# Up to this size an object is fetched into memory, and checked there.
_SMALL_BYTES = 2**18


def object_path(*parts: str) -> str:
    """The Hatrac path made of these names, each escaped: Image and "a b.png" give "/hatrac/Image/a%20b.png"."""
    return "/hatrac/" + "/".join(quote(part, safe="") for part in parts)


def put_file(
    session: CatalogSession,
    path: Path,
    hatrac_path: str,
    *,
    md5: str | None = None,
    content_type: str = "application/octet-stream",
    filename: str | None = None,
    chunk_size: int | None = None,
    lanes: int = 1,
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> str:
    """
    Store a file as an object. A file whose content is there already is not sent again.

    A small file is one request where the object is new, two where it is there. A large one is asked for first. A file
    above 25 MiB, or `chunk_size`, goes in chunks, and goes on where it stopped when `resume_file` is kept between the
    calls.

    Args:
        hatrac_path: as `object_path` gives it; its folders are made.
        md5: lower-case hex, where the caller knows it.
        chunk_size: bytes of each chunk, and of the largest file that goes without; by the file's size where None.
        lanes: chunks on their way at a time.
        filename: the name that a browser shall save it under; the file's own by default.
        resume_file: remembers an unfinished upload; gone when it is finished.

    Returns:
        The URL of the stored version: "/hatrac/…:VERSION".

    Raises:
        ChecksumMismatch: the file is not (any more) what `md5` says.
        CatalogError, CatalogUnreachable, DerivaMLAuthenticationError: as of every request.
    """
    if session.snapshot_id:
        raise DerivaMLReadOnlyError("objects can't be stored through a snapshot; connect to the living catalog")
    md5 = md5 or file_md5(path)
    upload = Upload(session.client, path, hatrac_path, md5, content_type, filename or path.name, progress)
    if session.object_store is not None and (stored := upload.by_call(session.object_store)):
        return stored
    size = path.stat().st_size
    if size > (chunk_size or CHUNKED_FROM_BYTES):
        return upload.in_chunks(_chunk_bytes(size, chunk_size), resume_file, lanes=lanes)
    return (upload.there() if size >= _ASK_FIRST_BYTES else None) or upload.at_once()


def put_small(session: CatalogSession, batches: Iterable[Sequence[SmallObject]]) -> Iterator[Sequence[str | None]]:
    """
    Store small objects, many at a time, in an embedded catalog; one whose content is there stays as it is.

    Args:
        batches: of at most a few MiB each; the next is asked for before the answer to the one before.

    Returns:
        For each batch, in order, the URLs of the stored versions; None where `put_file` has to say what is wrong. It
        ends early, perhaps at once, where the server is another or can't store anything.

    Raises:
        CatalogUnreachable: no answer.
    """
    if session.object_store is None or session.snapshot_id:
        return iter(())
    return session.object_store.store_small(batches)


def take_in(session: CatalogSession, path: Path, progress: Progress | None = None) -> str | None:
    """
    Begin to store a file whose MD5 nobody knows yet, which names the object: `put_file` of it then has little to do.

    Returns:
        The MD5 as lower-case hex; None where the server is no embedded catalog on this machine, or can't take it.

    Raises:
        CatalogUnreachable: no answer.
    """
    return session.object_store.take_in(path, progress or (lambda _: None)) if session.object_store else None


def _chunk_bytes(size: int, wanted: int | None) -> int:
    chosen = wanted or min(max(size // _CHUNKS, _SMALLEST_CHUNK_BYTES), _LARGEST_CHUNK_BYTES)
    return max(chosen, -(-size // MAX_CHUNKS))


def get_file(
    session: CatalogSession,
    url: str,
    dest: Path,
    *,
    md5: str | None = None,
    length: int | None = None,
    progress: Progress | None = None,
    near: Path | None = None,
) -> Path:
    """
    Fetch an object to `dest`, which appears complete and checked or not at all.

    A connection that breaks is taken up again where it broke, and so is the fetching of a large file by the next call
    where this one was interrupted (`md5` and `length` given).

    Args:
        url: "/hatrac/…", or the same with this session's host before it.
        md5: lower-case hex that the content must have; the server's own word is checked too.
        length: bytes that it must have.
        near: where it lies on this disk, as `near_files` says: then no request is made, unless its content is wrong.

    Raises:
        ChecksumMismatch: the content is not what `md5`, `length` or the server promise.
        CatalogError: not there (404), or a URL of another host.
    """
    path = _own_path(session, url)
    if near is not None and copy_near(near, dest, md5, length, progress):
        return dest
    if md5 is not None and length is not None and _get_small(session, path, dest, md5, length, progress):
        return dest
    with arriving(dest, md5, length) as file:
        Download(session.client, path, file, progress).run(md5, length)
    return dest


def _get_small(  # noqa: PLR0917  # get_file's own
    session: CatalogSession, path: str, dest: Path, md5: str, length: int, progress: Progress | None
) -> bool:
    """Fetch a small object by the short way; False where the long one has to say what is wrong."""
    found = session.client.get_small(path, length) if length <= _SMALL_BYTES else None
    if found is None:
        return False
    if checksums.md5(found.content).hexdigest() != md5 or found.promised not in (None, checksums.as_base64(md5)):
        return False
    if progress:
        progress(length)
    put_in_place(found.content, dest)
    return True


def exists(session: CatalogSession, url: str) -> bool:
    """Whether Hatrac has content under this path."""
    return session.client.request("HEAD", _own_path(session, url), accept=(404, 409)).status == 200


def is_own(session: CatalogSession, url: str) -> bool:
    """Whether a URL is of an object of this server; our login is sent to no other."""
    parts = urlsplit(url)
    here = {"", urlsplit(session.base_url).netloc, session.hostname}
    return parts.scheme in ("", "http", "https") and parts.netloc in here and parts.path.startswith("/hatrac/")


def _own_path(session: CatalogSession, url: str) -> str:
    """
    The path of a URL of this server.

    Raises:
        CatalogError: another server's.
    """
    if not is_own(session, url):
        raise CatalogError(f"{url} is not an object of {session.hostname}", url=url)
    return quote(urlsplit(url).path, safe="/:;%-._~")

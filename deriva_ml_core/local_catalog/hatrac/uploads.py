"""
;upload: objects that come in chunks, in any order, and go on where they stopped.

The chunks are written into one file at their offsets. A chunk that was acknowledged is on the disk. Writers of chunks
share a lock on that file and finalizing takes it alone, so that no chunk changes content that has been hashed. Source:
Hatrac docs/REST-API.md, "Chunked Upload Resources"; that a missing chunk shows only in the checksum was observed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import apsw
from werkzeug.wrappers import Response

from ..errors import BadRequest, Conflict, NotFound
from ..http import Request, json_response, no_content
from . import directory, metadata
from .directory import Upload
from .metadata import Metadata
from .names import Target, url
from .objects import parents_wanted
from .resources import Found, Resources, bind, created, find_object, listing, owners
from .rights import may, require
from .store import hash_file, write_at

MAX_OBJECT_BYTES = 2**50
MAX_JOB_BYTES = 64 * 1024
MAX_HOLE_BYTES = 1024**3
"""So much may be missing of content without a checksum; more would be read as zeros for hours."""
_ALIASES = {
    "chunk-length": ("chunk_bytes",),
    "content-length": ("total_bytes",),
    **{field: (field.replace("-", "_"),) for field in metadata.FIELDS},
}


class Uploads:
    """Handlers of ;upload."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._registry = resources.registry
        self._store = resources.store

    # Jobs

    def list(self, request: Request, target: Target) -> Response:
        """The jobs of an object, oldest first."""
        with self._registry.reading() as db:
            found = find_object(db, target.path)
            require(request.client, "update", found.lineage)
            jobs = directory.uploads(db, found.name)
        return listing(request, [_job_url(target.path, job) for job in jobs])

    def create(self, request: Request, target: Target) -> Response:
        """Open a job; its object is bound at once, even if the job is refused (observed: "bad-jobs")."""
        with self._registry.writing() as db:
            found = _target_object(db, request, target.path)
        shape, described = _parse_job(request)
        with self._registry.writing() as db:
            job = directory.add_upload(
                db,
                found.name,
                owner=owners(request.client),
                chunk_bytes=shape[0],
                size_bytes=shape[1],
                metadata=described,
            )
        return created(_job_url(target.path, job))

    def get(self, request: Request, target: Target) -> Response:
        """What a job was opened with."""
        with self._registry.reading() as db:
            _, upload = _find_job(db, request, target)
        document: dict[str, Any] = {
            "url": _job_url(target.path, upload.job),
            "target": url(target.path),
            "owner": upload.owner,
            "chunk-length": upload.chunk_bytes,
            "content-length": upload.size_bytes,
            **upload.metadata,
        }
        return json_response(document)

    def cancel(self, request: Request, target: Target) -> Response:
        """Close a job without content."""
        with self._registry.writing() as db:
            _, upload = _find_job(db, request, target)
            directory.delete_upload(db, upload)
        self._resources.discard((), [upload.job])
        return no_content()

    # Content

    def put_chunk(self, request: Request, target: Target) -> Response:
        """Take in one chunk; acknowledged, it is on the disk."""
        with self._registry.reading() as db:
            _, upload = _find_job(db, request, target)
        number = _chunk_number(upload, target.arguments[1])
        length = _chunk_length(request, upload, number)
        told = metadata.from_mapping({metadata.MD5: request.headers.get("Content-MD5")}).get(metadata.MD5)
        with _locked(self._store.upload_path(upload.job), fcntl.LOCK_SH) as file:
            digest = write_at(request.incoming[0], file, number * upload.chunk_bytes, length, md5=told is not None)
            if told and digest != metadata.decode_hash(told):
                raise BadRequest(f"Content-MD5 {told} does not match the chunk.")
            with self._registry.writing() as db:
                _find_job(db, request, target)  # it may have been closed while the chunk came
                directory.note_chunk(db, upload, number)
        return no_content()

    def finalize(self, request: Request, target: Target) -> Response:
        """Make the chunks a version of the object."""
        with self._registry.reading() as db:
            _find_job(db, request, target)
        path = self._store.upload_path(target.arguments[0])
        with _locked(path, fcntl.LOCK_EX) as file:
            with self._registry.reading() as db:
                _, upload = _find_job(db, request, target)
                _check_holes(upload, directory.chunks_noted(db, upload))
            os.ftruncate(file.fileno(), upload.size_bytes)
            os.fsync(file.fileno())
            version = self._add(request, target, upload, path)
            path.unlink(missing_ok=True)
        return created(url(target.path, version))

    def _add(self, request: Request, target: Target, upload: Upload, path: Path) -> str:
        sha256, md5, size = hash_file(path, md5=metadata.MD5 in upload.metadata)
        for field, digest in ((metadata.MD5, md5), (metadata.SHA256, sha256)):
            told = upload.metadata.get(field)
            if told and digest != metadata.decode_hash(told):
                raise Conflict(f"{field} {told} does not match the content that was uploaded: is a chunk missing?")
        self._store.keep(path, sha256, self._resources.is_known)
        with self._registry.writing() as db:
            found, _ = _find_job(db, request, target)
            if not self._store.is_kept(sha256):  # its last version was deleted in between
                self._store.keep(path, sha256, self._resources.is_known)
            version = directory.add_version(
                db, found.name, sha256=sha256, size_bytes=size, metadata=upload.metadata, acls={"owner": upload.owner}
            )
            directory.delete_upload(db, upload)
        return version


def _job_url(path: str, job: str) -> str:
    return f"{url(path)};upload/{job}"


def _target_object(db: apsw.Connection, request: Request, path: str) -> Found:
    lineage = directory.lineage(db, path)
    if lineage[-1].path != path or lineage[-1].deleted:
        return bind(db, path, request.client, parents=parents_wanted(request), namespace=False)
    if lineage[-1].is_namespace:
        raise Conflict(f"{url(path)} is a namespace.")
    require(request.client, "update", lineage)
    return Found(lineage)


def _parse_job(request: Request) -> tuple[tuple[int, int], Metadata]:
    """(chunk length, content length) in bytes, and the metadata."""
    if request.content_kind != "application/json":
        raise BadRequest("Send the job in JSON.")
    document = request.document(limit_bytes=MAX_JOB_BYTES)
    if not isinstance(document, dict):
        raise BadRequest("A job is a JSON object.")
    fields = {name: _member(document, name) for name in _ALIASES}
    chunk, size = fields.pop("chunk-length"), fields.pop("content-length")
    if not (_is_count(chunk) and chunk > 0 and _is_count(size)):
        raise BadRequest("A job needs chunk-length, a positive number of bytes, and content-length, a number of bytes.")
    return (chunk, size), metadata.from_mapping(fields)


def _member(document: dict[str, Any], name: str) -> Any:
    return next((document[key] for key in (name, *_ALIASES[name]) if document.get(key) is not None), None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_OBJECT_BYTES


def _find_job(db: apsw.Connection, request: Request, target: Target) -> tuple[Found, Upload]:
    """
    A job that the client may use: its own, or one on an object that it owns.

    Raises:
        NotFound: no such object or job.
        Unauthorized, Forbidden: somebody else's.
    """
    found = find_object(db, target.path)
    upload = directory.find_upload(db, found.name, target.arguments[0])
    if upload is None:
        raise NotFound(f"There is no upload job {target.arguments[0]!r} on {url(target.path)}.")
    if not request.client.named_in(upload.owner) and not may(request.client, "owner", found.lineage):
        raise request.client.refusal("The upload job belongs to somebody else.")
    return found, upload


def _chunk_number(upload: Upload, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(f"{text!r} is no chunk number.")
    number = int(text)
    if number >= upload.chunks:
        raise Conflict(f"The job has {upload.chunks} chunks, counted from 0; there is no chunk {number}.")
    return number


def _chunk_length(request: Request, upload: Upload, number: int) -> int:
    wanted = min(upload.chunk_bytes, upload.size_bytes - number * upload.chunk_bytes)
    sent = request.content_length
    if sent is None and request.environ.get("wsgi.input_terminated"):
        return wanted
    if sent != wanted:
        raise Conflict(f"Chunk {number} has {wanted} bytes, not {sent or 0}.")
    return wanted


def _check_holes(upload: Upload, noted: int) -> None:
    told = metadata.MD5 in upload.metadata or metadata.SHA256 in upload.metadata
    missing = upload.chunks - noted
    if missing and missing * upload.chunk_bytes > MAX_HOLE_BYTES:
        raise Conflict(
            f"{missing} of {upload.chunks} chunks are missing{', the checksum cannot match' if told else ''}."
        )


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[BinaryIO]:
    """The file of a job, made if it is missing, under a lock; it is the job's as long as the lock is held."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+b", buffering=0) as file:
        fcntl.flock(file, kind)
        yield file

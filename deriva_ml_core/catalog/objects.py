"""
Objects of Hatrac: files to the server and back, streamed, each byte checked.

Both directions are safe in threads: several files travel at once over one session's connections.

Source: Hatrac's REST API ("Object creation", "Chunked upload resources"); NOTES, "Hatrac".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from urllib3.exceptions import HTTPError

from deriva_ml_core.catalog.http import HttpClient, json_body
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, CatalogUnreachable, ChecksumMismatch, DerivaMLReadOnlyError

# Called with the number of bytes that have moved since the last call; negative where they must move again.
Progress = Callable[[int], None]

DEFAULT_CHUNK_BYTES = 25 * 2**20
# Hatrac on S3 takes at most so many chunks of one object: a larger file gets larger chunks.
MAX_CHUNKS = 10_000
# From this size on, a question whether the content is there costs little beside sending it in vain.
_ASK_FIRST_BYTES = 4 * 2**20
_BLOCK_BYTES = 2**18
_DOWNLOAD_ATTEMPTS = 5


def file_md5(path: Path) -> str:
    """The MD5 of a file as lower-case hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


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
    chunk_size: int = DEFAULT_CHUNK_BYTES,
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> str:
    """
    Store a file as an object. A file whose content is there already is not sent again.

    A small file is one request where the object is new, two where it is there. A large one is asked for first. A file
    above `chunk_size` goes in chunks, and goes on where it stopped when `resume_file` is kept between the calls.

    Args:
        hatrac_path: as `object_path` gives it; its folders are made.
        md5: lower-case hex, where the caller knows it.
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
    upload = _Upload(session.client, path, hatrac_path, md5, content_type, filename or path.name, progress)
    size = path.stat().st_size
    if size > chunk_size:
        return upload.in_chunks(max(chunk_size, -(-size // MAX_CHUNKS)), resume_file)
    return (upload.there() if size >= _ASK_FIRST_BYTES else None) or upload.at_once()


def get_file(
    session: CatalogSession,
    url: str,
    dest: Path,
    *,
    md5: str | None = None,
    length: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """
    Fetch an object to `dest`, which appears complete and checked or not at all.

    A connection that breaks is taken up again where it broke.

    Args:
        url: "/hatrac/…", or the same with this session's host before it.
        md5: lower-case hex that the content must have; the server's own word is checked too.
        length: bytes that it must have.

    Raises:
        ChecksumMismatch: the content is not what `md5`, `length` or the server promise.
        CatalogError: not there (404), or a URL of another host.
    """
    path = _own_path(session, url)
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = dest.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # Not synced: whoever loses power loses bytes that the server still has, and a short file is seen by its length.
        with part.open("x+b") as file:
            _Download(session.client, path, file, progress).run(md5, length)
        part.replace(dest)
    finally:
        part.unlink(missing_ok=True)
    return dest


def exists(session: CatalogSession, url: str) -> bool:
    """Whether Hatrac has content under this path."""
    return session.client.request("HEAD", _own_path(session, url), accept=(404, 409)).status == 200


# --- sending ---


class _Reader:
    """A file that reports and hashes what is read; urllib3 may rewind it to send it again."""

    def __init__(self, file: IO[bytes], progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self.reported = 0
        self.hash = _md5()

    def read(self, size: int = -1) -> bytes:
        # urllib3 asks for 16 kB; larger blocks cost fewer calls, and it sends whatever it gets.
        block = self._file.read(max(size, _BLOCK_BYTES) if size >= 0 else size)
        self.hash.update(block)
        done = self._file.tell()
        if self._progress and done > self.reported:
            self._progress(done - self.reported)
            self.reported = done
        return block

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        self.hash = _md5()
        return self._file.seek(offset, whence)


@dataclass(frozen=True, slots=True)
class _Upload:
    client: HttpClient
    file: Path
    target: str
    md5: str
    content_type: str
    filename: str
    progress: Progress | None

    def at_once(self) -> str:
        """One PUT that only makes a new object; where there is one, its content decides."""
        answer = self._put({"If-None-Match": "*"})
        answer = answer or self.there() or self._put({})
        assert answer is not None
        return answer

    def there(self) -> str | None:
        """The URL of the version that is there, if it has our content; nothing is left to send then."""
        stored = self._stored_version()
        if stored:
            self._report(self.file.stat().st_size)
        return stored

    def _put(self, precondition: dict[str, str]) -> str | None:
        """The new version's URL; None where the precondition fails."""
        headers = {
            "Content-Type": self.content_type,
            "Content-Length": str(self.file.stat().st_size),
            "Content-MD5": _base64(self.md5),
            "Content-Disposition": self._disposition,
            **precondition,
        }
        with self.file.open("rb") as file:
            reader = _Reader(file, self.progress)
            try:
                answer = self.client.request(
                    "PUT",
                    f"{self.target}?parents=true",
                    body=reader,  # type: ignore[arg-type]  # has what urllib3 uses of a file: read, tell, seek
                    headers=headers,
                    accept=(412,),
                )
            except CatalogError as err:
                if err.status == 400 and reader.hash.hexdigest() != self.md5:
                    raise ChecksumMismatch(f"{self.file} changed while it was being sent") from err
                raise
        if answer.status == 412:
            # These bytes went in vain; whoever draws a bar sees them go again, or be there.
            self._report(-reader.reported)
            return None
        return _location(answer)

    def _stored_version(self) -> str | None:
        answer = self.client.request("HEAD", self.target, accept=(404, 409))
        if answer.status != 200 or answer.headers.get("Content-MD5") != _base64(self.md5):
            return None
        return answer.headers.get("Content-Location")

    def in_chunks(self, chunk_size: int, resume_file: Path | None) -> str:
        """Create or go on with an upload job, send what is missing, finalize."""
        stored = self.there()
        if stored:
            _forget(resume_file)
            return stored
        job, done = self._job(chunk_size, resume_file)
        for number, offset, size in self._chunks(chunk_size):
            if number in done:
                self._report(size)
                continue
            self._send_chunk(job, number, offset, size)
            done.add(number)
            self._remember(resume_file, job, chunk_size, done)
        return self._finalize(job, resume_file)

    def _finalize(self, job: str, resume_file: Path | None) -> str:
        try:
            answer = self.client.request("POST", job)
        except CatalogError as err:
            if err.status == 409:
                # The job stays and would fail again: the next call starts anew.
                self.client.request("DELETE", job, accept=range(400, 600))
                _forget(resume_file)
                raise ChecksumMismatch(f"{self.file} changed while it was being sent") from err
            if (err.status is None or err.status >= 500) and (stored := self._stored_version()):
                _forget(resume_file)
                return stored
            raise
        _forget(resume_file)
        return _location(answer)

    def _job(self, chunk_size: int, resume_file: Path | None) -> tuple[str, set[int]]:
        """The job's path and the chunks that it has; a remembered one if it is still ours and still there."""
        state = _read_state(resume_file)
        if state and (state["target"], state["md5"], state["chunk"]) == (self.target, self.md5, chunk_size):
            answer = self.client.request("GET", state["job"], headers={"Accept": "application/json"}, accept=(404,))
            if answer.status == 200:
                return str(state["job"]), set(state["done"])
        document = {
            "chunk-length": chunk_size,
            "content-length": self.file.stat().st_size,
            "content-type": self.content_type,
            "content-md5": _base64(self.md5),
            "content-disposition": self._disposition,
        }
        answer = self.client.request(
            "POST",
            f"{self.target};upload?parents=true",
            body=json_body(document),
            headers={"Content-Type": "application/json"},
        )
        job = _location(answer)
        self._remember(resume_file, job, chunk_size, set())
        return job, set()

    def _chunks(self, chunk_size: int) -> Iterator[tuple[int, int, int]]:
        """Number, offset and size of each chunk."""
        total = self.file.stat().st_size
        for number, offset in enumerate(range(0, total, chunk_size)):
            yield number, offset, min(chunk_size, total - offset)

    def _send_chunk(self, job: str, number: int, offset: int, size: int) -> None:
        with self.file.open("rb") as file:
            file.seek(offset)
            content = file.read(size)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-MD5": base64.b64encode(_md5(content).digest()).decode(),
        }
        self.client.request("PUT", f"{job}/{number}", body=content, headers=headers)
        self._report(size)

    def _remember(self, resume_file: Path | None, job: str, chunk_size: int, done: set[int]) -> None:
        if resume_file is None:
            return
        state = {"job": job, "target": self.target, "md5": self.md5, "chunk": chunk_size, "done": sorted(done)}
        # Written beside and renamed: a crash leaves the old state or the new one.
        beside = resume_file.with_name(f"{resume_file.name}.{os.getpid()}.new")
        beside.write_text(json.dumps(state))
        beside.replace(resume_file)

    def _report(self, size: int) -> None:
        if self.progress:
            self.progress(size)

    @property
    def _disposition(self) -> str:
        return f"filename*=UTF-8''{quote(os.path.basename(self.filename), safe='')}"  # noqa: PTH119 - a name, no path


# --- fetching ---


class _Download:
    """The bytes of one object into an open file, hashed on the way."""

    def __init__(self, client: HttpClient, path: str, file: IO[bytes], progress: Progress | None) -> None:
        self._client, self._path, self._file, self._progress = client, path, file, progress
        self._hash = _md5()
        self._done = 0
        self._version: str | None = None
        self._promised: str | None = None

    def run(self, md5: str | None, length: int | None) -> None:
        """Fetch all of it, taking up broken connections, and check it."""
        for attempt in range(_DOWNLOAD_ATTEMPTS):
            before = self._done
            try:
                if self._attempt():
                    break
            except HTTPError as err:
                # A broken connection is taken up at once where bytes came; without any, the pool has waited already.
                if attempt == _DOWNLOAD_ATTEMPTS - 1 or self._done == before:
                    raise CatalogUnreachable(
                        f"the connection broke {_DOWNLOAD_ATTEMPTS} times while fetching {self._path}", url=self._path
                    ) from err
        self._check(md5, length)

    def _attempt(self) -> bool:
        """One GET from where we are."""
        headers = {"Range": f"bytes={self._done}-"} if self._done else {}
        if self._version and self._done:
            headers["If-Match"] = self._version
        answer = self._client.request("GET", self._path, headers=headers, stream=True)
        try:
            if answer.status == 200:
                self._restart(answer.headers.get("ETag"), answer.headers.get("Content-MD5"))
            for block in answer.stream(_BLOCK_BYTES):
                self._take(block)
        finally:
            answer.close()
            answer.release_conn()
        return True

    def _restart(self, version: str | None, promised: str | None) -> None:
        """The server sends all of it: forget what came before."""
        if self._progress and self._done:
            self._progress(-self._done)
        self._file.seek(0)
        self._file.truncate()
        self._hash, self._done = _md5(), 0
        self._version, self._promised = version, promised

    def _take(self, block: bytes) -> None:
        self._file.write(block)
        self._hash.update(block)
        self._done += len(block)
        if self._progress:
            self._progress(len(block))

    def _check(self, md5: str | None, length: int | None) -> None:
        if length is not None and length != self._done:
            raise ChecksumMismatch(f"{self._path} has {self._done} bytes, its record says {length}")
        found = self._hash.hexdigest()
        for promise, whose in ((md5, "its record"), (_hex(self._promised), "the server")):
            if promise and promise.lower() != found:
                raise ChecksumMismatch(f"{self._path} has MD5 {found}, {whose} says {promise}")


# --- inside ---


def _md5(data: bytes = b"") -> Any:
    """Hatrac and the asset tables name contents by MD5; it guards against accidents, not against attackers."""
    return hashlib.md5(data, usedforsecurity=False)


def _base64(hex_digest: str) -> str:
    return base64.b64encode(binascii.unhexlify(hex_digest)).decode()


def _hex(base64_digest: str | None) -> str | None:
    return base64.b64decode(base64_digest).hex() if base64_digest else None


def _location(answer: Any) -> str:
    """The path of what was made, without a host."""
    text = answer.headers.get("Location") or answer.data.decode().strip()
    parts = urlsplit(text)
    return str(parts.path)


def _own_path(session: CatalogSession, url: str) -> str:
    """
    The path of a URL of this server; our login is sent to no other.

    Raises:
        CatalogError: another server's.
    """
    parts = urlsplit(url)
    here = {urlsplit(session.base_url).netloc, session.hostname}
    if (parts.netloc and parts.netloc not in here) or not parts.path.startswith("/hatrac/"):
        raise CatalogError(f"{url} is not an object of {session.hostname}", url=url)
    return quote(parts.path, safe="/:;%-._~")


def _read_state(resume_file: Path | None) -> dict[str, Any] | None:
    """The remembered upload; None where there is none or it can't be read (then the upload starts anew)."""
    try:
        state = json.loads(resume_file.read_text()) if resume_file else None
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and state.keys() >= {"job", "target", "md5", "chunk", "done"} else None


def _forget(resume_file: Path | None) -> None:
    if resume_file is not None:
        resume_file.unlink(missing_ok=True)

"""One file on its way to Hatrac: at once, or in chunks that can be taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from urllib3.response import BaseHTTPResponse

from deriva_ml_core.catalog import checksums
from deriva_ml_core.catalog.http import Body, HttpClient, json_body
from deriva_ml_core.catalog.object_store import ObjectStore, Progress
from deriva_ml_core.catalog.threads import threads_start
from deriva_ml_core.errors import CatalogError, ChecksumMismatch

Chunk = tuple[int, int, int]  # number, offset, size

_BLOCK_BYTES = 2**18


class Reader:
    """A file that reports and hashes what is read; urllib3 may rewind it to send it again."""

    def __init__(self, file: IO[bytes], progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self.reported = 0
        self.hash = checksums.md5()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at least as many as asked for where there are."""
        # urllib3 asks for 16 kB; larger blocks cost fewer calls, and it sends whatever it gets.
        block = self._file.read(max(size, _BLOCK_BYTES) if size >= 0 else size)
        self.hash.update(block)
        done = self._file.tell()
        if self._progress and done > self.reported:
            self._progress(done - self.reported)
            self.reported = done
        return block

    def tell(self) -> int:
        """Where the next read begins."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to send again; what was hashed before is forgotten."""
        self.hash = checksums.md5()
        return self._file.seek(offset, whence)


class Part:
    """A part of a file, as urllib3 reads one: it sees its beginning at 0 and its end, and may rewind it."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, in blocks larger than urllib3 asks for."""
        left = self._size - self._done
        self._file.seek(self._offset + self._done)
        block = self._file.read(min(left, max(size, _BLOCK_BYTES)) if size >= 0 else left)
        self._done += len(block)
        return block

    def tell(self) -> int:
        """Where the next read begins."""
        return self._done

    def md5(self) -> str:
        """Its checksum in hex; the next read begins at its beginning."""
        found, self._done = checksums.md5(), 0
        for block in iter(lambda: self.read(_BLOCK_BYTES), b""):
            found.update(block)
        self._done = 0
        return str(found.hexdigest())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to send again."""
        self._done = offset if whence == 0 else self._size + offset if whence == 2 else self._done + offset
        return self._done


@dataclass(frozen=True, slots=True)
class Upload:
    """The sending of one file; `md5` is its checksum in hex, `target` the object's path."""

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

    def by_call(self, store: ObjectStore) -> str | None:
        """By the ways that an embedded catalog has besides PUT; None where a PUT would say why not."""
        return store.store_object(
            self.target,
            self.file,
            md5=self.md5,
            content_type=self.content_type,
            disposition=self._disposition,
            progress=self._report,
        )

    def there(self) -> str | None:
        """The URL of the version that is there, if it has our content; nothing is left to send then."""
        stored = self._stored_version()
        if stored:
            self._report(self.file.stat().st_size)
        return stored

    def _put(self, precondition: dict[str, str]) -> str | None:
        """The new version's URL; None where the precondition fails."""
        size = self.file.stat().st_size
        headers = {
            "Content-Type": self.content_type,
            "Content-Length": str(size),
            "Content-MD5": checksums.as_base64(self.md5),
            "Content-Disposition": self._disposition,
            **precondition,
        }
        answer = self._put_bytes(headers) if size <= _BLOCK_BYTES else self._put_file(headers)
        if answer.status == 412:
            # These bytes went in vain; whoever draws a bar sees them go again, or be there.
            self._report(-size)
            return None
        return _location(answer)

    def _put_bytes(self, headers: dict[str, str]) -> BaseHTTPResponse:
        """A small file: in one piece, which was looked at before it goes."""
        data = self.file.read_bytes()
        if checksums.md5(data).hexdigest() != self.md5:
            raise self._changed()
        answer = self._ask_to_put(data, headers)
        self._report(len(data))
        return answer

    def _put_file(self, headers: dict[str, str]) -> BaseHTTPResponse:
        with self.file.open("rb") as file:
            reader = Reader(file, self.progress)
            try:
                return self._ask_to_put(reader, headers)  # type: ignore[arg-type]  # what urllib3 uses of a file: read, tell, seek
            except CatalogError as err:
                if err.status == 400 and reader.hash.hexdigest() != self.md5:
                    raise self._changed() from err
                raise

    def _ask_to_put(self, body: Body, headers: dict[str, str]) -> BaseHTTPResponse:
        return self.client.request("PUT", f"{self.target}?parents=true", body=body, headers=headers, accept=(412,))

    def _changed(self) -> ChecksumMismatch:
        return ChecksumMismatch(f"{self.file} changed while it was being sent")

    def _stored_version(self) -> str | None:
        answer = self.client.request("HEAD", self.target, accept=(404, 409))
        if answer.status != 200 or answer.headers.get("Content-MD5") != checksums.as_base64(self.md5):
            return None
        return answer.headers.get("Content-Location")

    def in_chunks(self, chunk_size: int, resume_file: Path | None, *, lanes: int = 1) -> str:
        """
        Create or go on with an upload job, send what is missing, finalize.

        The job has the whole content's checksum, which the server checks at the end. Each chunk has its own, too, so
        that what a network damages goes again at once; but not on this machine, where there is no network and the
        sums would take as long as the sending.

        Args:
            lanes: chunks on their way at a time.
        """
        stored = self.there()
        if stored:
            _forget(resume_file)
            return stored
        job, done = self._job(chunk_size, resume_file)
        chunks = list(self._chunks(chunk_size))
        self._report(sum(size for number, _, size in chunks if number in done))
        missing = [chunk for chunk in chunks if chunk[0] not in done]
        for number in _side_by_side(lambda chunk: self._send_chunk(job, *chunk), missing, lanes):
            done.add(number)
            self._remember(resume_file, job, chunk_size, done)
        if stored := self._stored_version():  # somebody else was faster with the same content
            self._drop(job, resume_file)
            return stored
        return self._finalize(job, resume_file)

    def _drop(self, job: str, resume_file: Path | None) -> None:
        """Close a job that is of no use, and forget it."""
        self.client.request("DELETE", job, accept=range(400, 600))
        _forget(resume_file)

    def _finalize(self, job: str, resume_file: Path | None) -> str:
        try:
            answer = self.client.request("POST", job)
        except CatalogError as err:
            if err.status == 409:
                # The job stays and would fail again: the next call starts anew.
                self._drop(job, resume_file)
                raise self._changed() from err
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
            "content-md5": checksums.as_base64(self.md5),
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

    def _chunks(self, chunk_size: int) -> Iterator[Chunk]:
        """Number, offset and size of each chunk."""
        total = self.file.stat().st_size
        for number, offset in enumerate(range(0, total, chunk_size)):
            yield number, offset, min(chunk_size, total - offset)

    def _send_chunk(self, job: str, number: int, offset: int, size: int) -> int:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self.file.open("rb", buffering=0) as file:
            part = Part(file, offset, size)
            if not self.client.is_near:
                headers["Content-MD5"] = checksums.as_base64(part.md5())
            self._put_chunk(f"{job}/{number}", part, headers)
        self._report(size)
        return number

    def _put_chunk(self, path: str, part: Part, headers: dict[str, str]) -> None:
        """Send a chunk; once more where the server says that other bytes have come than the checksum is of."""
        checked = "Content-MD5" in headers
        put = partial(self.client.request, "PUT", path, body=part, headers=headers)  # type: ignore[arg-type]  # as above
        answer = put(accept=(400,) if checked else ())
        if answer.status != 400:
            return
        if checksums.as_base64(part.md5()) != headers["Content-MD5"]:
            raise self._changed()
        put()

    def _remember(self, resume_file: Path | None, job: str, chunk_size: int, done: set[int]) -> None:
        if resume_file is None:
            return
        state = {"job": job, "target": self.target, "md5": self.md5, "chunk": chunk_size, "done": sorted(done)}
        # Written beside and renamed: a crash leaves the old state or the new one.
        resume_file.parent.mkdir(parents=True, exist_ok=True)
        beside = resume_file.with_name(f"{resume_file.name}.{os.getpid()}.new")
        beside.write_text(json.dumps(state))
        beside.replace(resume_file)

    def _report(self, size: int) -> None:
        if self.progress:
            self.progress(size)

    @property
    def _disposition(self) -> str:
        return disposition(self.filename)


def disposition(filename: str) -> str:
    """The header that says under which name a browser shall save an object."""
    return f"filename*=UTF-8''{quote(os.path.basename(filename), safe='')}"  # noqa: PTH119 - a name, no path


def _side_by_side(work: Callable[[Chunk], int], chunks: Sequence[Chunk], lanes: int) -> Iterator[int]:
    """What `work` returns, as it comes. After an error nothing new begins; what has begun is waited for and counted."""
    if not threads_start():
        yield from map(work, chunks)
        return
    pool = ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="deriva-ml-chunk")
    waiting, running = iter(chunks), set[Future[int]]()
    error: BaseException | None = None
    try:
        while True:
            if error is None:
                running |= {pool.submit(work, chunk) for chunk in islice(waiting, lanes - len(running))}
            if not running:
                break
            over, running = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                if (failure := future.exception()) is not None:
                    error = failure
                else:
                    yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if error is not None:
        raise error


def _location(answer: Any) -> str:
    """The path of what was made, without a host."""
    text = answer.headers.get("Location") or answer.data.decode().strip()
    parts = urlsplit(text)
    return str(parts.path)


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

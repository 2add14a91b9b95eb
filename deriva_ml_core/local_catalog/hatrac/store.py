"""
Content on disk, once, under its SHA-256: `objects/ab/cdef…`.

What comes in is written beside (`uploads/`), hashed on the way, given its name by a hard link and then made durable,
before the registry speaks of it. A synced file is durable under every name that it has (ext4, XFS, btrfs, ZFS and F2FS
log its links with it), so one wait for the disk is enough. A power cut between link and sync may leave a broken file
that no version has; whoever stores that content next finds and replaces it. Files in `uploads/` that nobody holds a
lock on were left by a process that died; they are swept when the next one starts.

Small content waits in memory until its hash is known, and is written under its name at once: making, linking and
removing a file beside costs more than 4 KiB do.

Hashing and writing release the GIL. Large content is hashed in a thread beside the one that receives and writes it.
"""

import fcntl
import hashlib
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import BadRequest
from ..http import Readable
from .streaming import PARALLEL_FROM_BYTES, Flushing, Hashes

PIECE_BYTES = 256 * 1024
_HASHED_BYTES = 1024 * 1024
"""Read at a time to be hashed in other threads: a smaller piece costs as much to hand over."""
SMALL_BYTES = 64 * 1024
"""Up to this size content is taken into memory."""
_GIVEN_UP_S = 7 * 24 * 3600
"""Who died so long ago is not taken up again."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Content that has arrived: in a file of its own, or in memory."""

    held: Path | bytes
    sha256: bytes
    md5: bytes | None
    size_bytes: int


class ContentStore:
    """The content of one root folder."""

    def __init__(self, objects: Path, incoming: Path) -> None:
        self._objects = objects
        self._incoming = incoming

    def path_of(self, sha256: bytes) -> Path:
        """Where content lies, if it does."""
        name = sha256.hex()
        return Path(f"{self._objects}/{name[:2]}/{name[2:]}")

    def upload_path(self, job: str) -> Path:
        """Where the chunks of an upload job lie."""
        return self._incoming / f"job-{job}"

    @contextmanager
    def receive(self, body: Readable, size_bytes: int | None, *, md5: bool) -> Iterator[Incoming]:
        """
        Take in a body; what the block does not `keep` is gone after it.

        Args:
            size_bytes: how many bytes must come; None: until the end.
            md5: whether to compute the MD5 too.

        Raises:
            BadRequest: the body ends early.
        """
        if size_bytes is not None and size_bytes <= SMALL_BYTES:
            yield _small(body, size_bytes, md5=md5)
            return
        path, opened = self.new_file()
        try:
            with opened as file:
                large = size_bytes is None or size_bytes >= PARALLEL_FROM_BYTES
                hashes = Hashes(md5=md5, parallel=large)
                with hashes, Flushing(file) as flushing:
                    received = _copy(body, file, hashes, size_bytes, flushing.written)
                yield Incoming(path, hashes.sha256, hashes.md5, received)
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def new_file(self) -> tuple[Path, BinaryIO]:
        """A new file under a lock. Between making and locking it, another process may take it for left behind."""
        while True:
            path = self._incoming / f"put-{secrets.token_hex(16)}"
            file = path.open("x+b", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return path, file
            file.close()

    def growing_file(self, name: str) -> tuple[Path, BinaryIO]:
        """
        A file that outlives its process, under a lock; the one of this name where it was left unfinished.

        A file that has become content is not among them: whatever is written to it would change the content.

        Raises:
            BlockingIOError: somebody else writes it.
        """
        path = self._incoming / f"grow-{name}"
        while True:
            path.touch()
            try:
                file = path.open("r+b", buffering=0)
            except FileNotFoundError:  # removed at this moment
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise
            found = os.fstat(file.fileno())
            if _is_at(found, path):  # else somebody removed it, under the lock that we have now
                if found.st_nlink == 1:
                    return path, file
                path.unlink()
            file.close()

    def grown_bytes(self, name: str) -> int:
        """
        How many bytes of a growing file are there.

        Raises:
            BlockingIOError: somebody writes it.
        """
        with suppress(FileNotFoundError), (self._incoming / f"grow-{name}").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            found = os.fstat(file.fileno())
            return found.st_size if found.st_nlink == 1 else 0
        return 0

    def keep(self, held: Path | bytes, sha256: bytes, is_known: Callable[[bytes], bool]) -> None:
        """
        Give content its name and make both durable; it may have it already.

        Args:
            held: a file of the same file system, or the content itself.
            is_known: whether a version has this content, so that what lies there was made durable before.

        Raises:
            OSError: the disk is full, say. What was written of small content lies under its name until it is dropped.
        """
        if isinstance(held, Path):
            self._keep_file(held, sha256, is_known)
            return
        file = self.create(held, sha256)
        if file is None:  # stored already, or being stored, or broken: the file beside tells
            with self.receive(io.BytesIO(held), None, md5=False) as again:
                self.keep(again.held, sha256, is_known)
            return
        with file:
            os.fsync(file.fileno())

    def create(self, content: bytes, sha256: bytes) -> BinaryIO | None:
        """
        Write content under its name; the file, which is not durable before it is synced. None: there is one already.

        Raises:
            OSError: the disk is full, say. What was written lies there until it is dropped.
        """
        try:
            file = self.path_of(sha256).open("xb", buffering=0)
        except FileExistsError:
            return None
        try:
            _write_all(file, content)
        except BaseException:  # Ctrl-C too
            file.close()
            raise
        return file

    def _keep_file(self, path: Path, sha256: bytes, is_known: Callable[[bytes], bool]) -> None:
        target = self.path_of(sha256)
        while True:
            try:
                os.link(path, target)
            except FileExistsError:
                with suppress(FileNotFoundError):  # its last version was deleted while we looked: name it once more
                    if not is_known(sha256):
                        self._settle(path, target, sha256)
                    return
            else:
                _sync(path)
                return

    @staticmethod
    def _settle(path: Path, target: Path, sha256: bytes) -> None:
        """What lies there is being stored by somebody else, or is what a power cut left of it."""
        if hash_file(target, md5=False)[0] == sha256:
            _sync(target)
        else:
            _sync(path)
            path.rename(target)
        _sync(target.parent)

    def is_kept(self, sha256: bytes) -> bool:
        """Whether content is there."""
        return self.path_of(sha256).exists()

    def drop(self, sha256: bytes) -> None:
        """Remove content."""
        with suppress(FileNotFoundError):
            self.path_of(sha256).unlink()

    def open(self, sha256: bytes) -> BinaryIO:
        """Open content for reading."""
        return self.path_of(sha256).open("rb", buffering=0)

    def prepare(self) -> None:
        """Make the folders for content, all at once, and remove what processes that died were taking in."""
        if not (self._objects / "ff").exists():
            for number in range(256):
                (self._objects / f"{number:02x}").mkdir(exist_ok=True)
            _sync(self._objects)
        self._sweep("put-*", older_than_s=0)
        self._sweep("grow-*", older_than_s=_GIVEN_UP_S)

    def _sweep(self, pattern: str, *, older_than_s: float) -> None:
        """Remove files that nobody holds a lock on."""
        for path in self._incoming.glob(pattern):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_mtime <= time.time() - older_than_s:
                    path.unlink()


def _small(body: Readable, size_bytes: int, *, md5: bool) -> Incoming:
    content = b""
    while len(content) < size_bytes and (piece := body.read(size_bytes - len(content))):
        content += piece
    if len(content) < size_bytes:
        raise BadRequest(f"The body ended after {len(content)} of {size_bytes} bytes.")
    digest = hashlib.md5(content, usedforsecurity=False).digest() if md5 else None
    return Incoming(content, hashlib.sha256(content).digest(), digest, size_bytes)


def hash_file(path: Path, *, md5: bool) -> tuple[bytes, bytes | None, int]:
    """The SHA-256, the MD5 if wanted, and the size of a file."""
    size = path.stat().st_size
    hashes = Hashes(md5=md5, parallel=size >= PARALLEL_FROM_BYTES)
    with path.open("rb", buffering=0) as file, hashes:
        for piece in iter(lambda: file.read(_HASHED_BYTES), b""):
            hashes.update(piece)
    return hashes.sha256, hashes.md5, size


def send(file: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    """A part of a file, piece by piece; closes it at the end."""
    with file:
        file.seek(start)
        while length > 0 and (piece := file.read(min(PIECE_BYTES, length))):
            length -= len(piece)
            yield piece


def write_at(body: Readable, file: BinaryIO, offset: int, size_bytes: int, *, md5: bool) -> bytes | None:
    """
    Write a body into a file at an offset and make it durable; returns its MD5 if wanted.

    Raises:
        BadRequest: the body ends early.
    """
    file.seek(offset)
    hashes = Hashes(md5=md5, sha256=False, parallel=False)
    with hashes:
        _copy(body, file, hashes, size_bytes)
    os.fdatasync(file.fileno())
    return hashes.md5


def grow(body: Readable, path: Path, file: BinaryIO, size_bytes: int) -> Incoming:
    """
    Append a body to a file; the hashes are of all that the file has then, so that nothing of it need be believed.

    Raises:
        BadRequest: the body ends early.
    """
    there = os.fstat(file.fileno()).st_size
    hashes = Hashes(md5=True, parallel=there + size_bytes >= PARALLEL_FROM_BYTES)
    with hashes, Flushing(file) as flushing:
        file.seek(0)
        for piece in iter(lambda: file.read(_HASHED_BYTES), b""):
            hashes.update(piece)
        _copy(body, file, hashes, size_bytes, flushing.written)
    return Incoming(path, hashes.sha256, hashes.md5, there + size_bytes)


def _copy(
    body: Readable,
    file: BinaryIO,
    hashes: Hashes,
    size_bytes: int | None,
    written: Callable[[int], object] | None = None,
) -> int:
    """Copy a body into a file and the hashes; returns how much there was, and tells `written` of each piece."""
    received = 0
    while size_bytes is None or received < size_bytes:
        left = PIECE_BYTES if size_bytes is None else size_bytes - received
        piece = body.read(min(PIECE_BYTES, left))
        if not piece:
            break
        hashes.update(piece)
        _write_all(file, piece)
        if written:
            written(len(piece))
        received += len(piece)
    if size_bytes is not None and received < size_bytes:
        raise BadRequest(f"The body ended after {received} of {size_bytes} bytes.")
    return received


def _write_all(file: BinaryIO, piece: bytes) -> None:
    """An unbuffered write may be short."""
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def _is_at(stat: os.stat_result, path: Path) -> bool:
    """Whether a file that is open is the one that has this name."""
    try:
        return os.path.samestat(stat, path.stat())
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    """Make a file or a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

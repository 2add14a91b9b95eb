"""
Files of this machine, from whoever is in this process: objects without HTTP.

    take_in(file)                the content beside, hashed while it is copied; its MD5
    store(name, file, MD5, …)    a version of an object, from what was taken in or from the file

What is acknowledged is as durable as after a PUT, by the same steps: first the content, then the row that speaks of it.

A large file is read once. Its copy grows under a name that says which file it is of (place, size, time), so that the
next process goes on where one died: it holds what lies there against the file, block by block, and copies what differs.
Nothing that lies there is believed, and what is hashed is what was written.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from ..auth import Client
from ..errors import BadRequest, NotFound
from . import directory, metadata
from .metadata import Metadata
from .names import parse_target, url
from .objects import SameContent, add_version, check_sums
from .resources import Resources, find_object
from .store import SMALL_BYTES, Incoming
from .streaming import PARALLEL_FROM_BYTES, Flushing, Hashes

_BLOCK_BYTES = 1024 * 1024

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Described:
    """What a PUT says in its headers: checksum in hex, content type, disposition."""

    md5: str
    content_type: str
    disposition: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Content that waits to be an object, in a file that is locked while it is open; `name` says of which file."""

    name: str
    path: Path
    file: BinaryIO
    incoming: Incoming

    def drop(self) -> None:
        """Content that was kept stays, under its own name."""
        with self.file:
            self.path.unlink(missing_ok=True)


class Intake:
    """Takes files into the store of one root folder."""

    def __init__(self, resources: Resources) -> None:
        self._resources, self._store = resources, resources.store
        self._taken: dict[Path, Taken] = {}
        self._lock = Lock()

    def take_in(self, source: Path, progress: Progress) -> str:
        """
        Copy a file's content into the store's folder, where `store` finds it.

        Args:
            progress: called with the number of bytes that are there, a block at a time; what it raises ends it.

        Returns:
            The MD5 of the copy, in hex.

        Raises:
            OSError: the file can't be read, or the copy not be written.
            BadRequest: the file became shorter.
        """
        taken = self._copied(source, progress)
        with self._lock:
            before = self._taken.pop(source, None)
            self._taken[source] = taken
        if before is not None:
            before.drop()
        assert taken.incoming.md5 is not None
        return taken.incoming.md5.hex()

    def store(self, client: Client, raw_path: str, source: Path, described: Described, progress: Progress) -> str:
        """
        Make a file's content the current version of an object, unless it is that already; its URL.

        Missing namespaces are made. `progress` is told of what was not told by `take_in`.

        Raises:
            OSError, BadRequest: see take_in; or the file is not what its MD5 says.
            Refusal: as PUT.
        """
        path, told = parse_described(raw_path, described)
        with self._content(source, progress) as incoming:
            return make_version(self._resources, client, path, told, incoming)

    @contextmanager
    def _content(self, source: Path, progress: Progress) -> Iterator[Incoming]:
        stat = source.stat()
        with self._lock:
            taken = self._taken.pop(source, None)
        if taken is not None and taken.name != _name_of(source, stat):  # the file has changed since
            taken.drop()
            taken = None
        if taken is None and stat.st_size <= SMALL_BYTES:
            yield _small(source)
            progress(stat.st_size)
            return
        if taken is None:
            taken = self._copied(source, progress)
        try:
            yield taken.incoming
        finally:
            taken.drop()

    def _copied(self, source: Path, progress: Progress) -> Taken:
        with source.open("rb", buffering=0) as content:
            name = _name_of(source, os.fstat(content.fileno()))
            try:
                path, copy = self._store.growing_file(name)
            except BlockingIOError:  # another process copies it
                path, copy = self._store.new_file()
            with kept_unless_disk_fails(path, copy):
                incoming = _copy(content, path, copy, progress)
        return Taken(name, path, copy, incoming)


@contextmanager
def kept_unless_disk_fails(path: Path, file: BinaryIO) -> Iterator[None]:
    """
    Leave a growing file for whoever comes back for it when the block ends badly, by Ctrl-C or a broken connection.

    Not where the disk failed, has no room, say: then nobody could use it, and it would take more of what is missing.
    """
    try:
        yield
    except BaseException as err:
        with file:
            if isinstance(err, OSError) and not isinstance(err, ConnectionError | TimeoutError):
                path.unlink(missing_ok=True)
        raise


def parse_described(raw_path: str, described: Described) -> tuple[str, Metadata]:
    """
    The name of an object, and what is told of it.

    Raises:
        BadRequest: it is no name, or what is told is malformed.
    """
    target = parse_target(raw_path)
    if target.version or target.sub or not target.path:
        raise BadRequest(f"{raw_path} is no name of an object.")
    told = {
        metadata.MD5: described.md5,
        metadata.TYPE: described.content_type,
        metadata.DISPOSITION: described.disposition,
    }
    return target.path, metadata.from_mapping(told)


def make_version(resources: Resources, client: Client, path: str, told: Metadata, incoming: Incoming) -> str:
    """
    Make content the current version of an object, unless it is that already; its URL.

    Raises:
        BadRequest: it is not what is told of it.
        Refusal: as PUT.
    """
    check_sums(told, incoming)
    same = SameContent(told[metadata.MD5])
    version = _there(resources, path, same) or add_version(
        resources, client, path, incoming, told, parents=True, check=same
    )
    return url(path, version)


def _there(resources: Resources, path: str, same: SameContent) -> str | None:
    """A look before anything is written; what counts is the look inside the transaction."""
    with resources.registry.reading() as db:
        try:
            return same(directory.current(db, find_object(db, path).name))
        except NotFound:
            return None


def _name_of(source: Path, stat: os.stat_result) -> str:
    """What the growing copy of a file is called: another name once the file has changed."""
    facts = (os.path.abspath(source), stat.st_size, stat.st_mtime_ns, stat.st_ino)  # noqa: PTH100  # a link keeps its name
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _small(source: Path) -> Incoming:
    content = source.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    return Incoming(content, hashlib.sha256(content).digest(), md5, len(content))


def _copy(content: BinaryIO, path: Path, copy: BinaryIO, progress: Progress) -> Incoming:
    """Complete a copy; the hashes are of what it holds."""
    size, there = os.fstat(content.fileno()).st_size, os.fstat(copy.fileno()).st_size
    hashes = Hashes(md5=True, parallel=size >= PARALLEL_FROM_BYTES)
    with hashes, Flushing(copy) as flushing:
        for start in range(0, size, _BLOCK_BYTES):
            count = min(_BLOCK_BYTES, size - start)
            block = os.pread(copy.fileno(), count, start) if start + count <= there else b""
            if not block or block != os.pread(content.fileno(), count, start):
                _copy_block(content.fileno(), copy.fileno(), start, count)
                block = os.pread(copy.fileno(), count, start)
                flushing.written(count)
            hashes.update(block)
            progress(count)
    os.ftruncate(copy.fileno(), size)
    return Incoming(path, hashes.sha256, hashes.md5, size)


def _copy_block(source: int, target: int, start: int, count: int) -> None:
    """Inside the kernel where it can; that may share the blocks of the disk, or spare two ways through our memory."""
    end = start + count
    while start < end:
        try:
            moved = os.copy_file_range(source, target, end - start, start, start)
        except (AttributeError, OSError):  # macOS has none; other file systems, or an old kernel between two of them
            moved = 0
        if not moved:
            piece = os.pread(source, end - start, start)
            if not piece:
                raise BadRequest("The file became shorter while it was read.")
            moved = os.pwrite(target, piece, start)
        start += moved

"""
Small objects from whoever is in this process, many at a time: what waits for the disk is shared.

Each object by itself waits for its file and for the commit of its row, and eight threads that do so spend most of
their time on handing the interpreter to each other. Here one thread hashes and writes the files of a batch, others only
wait for the disk, all at once, while the next batch is written, and the rows of a batch are one transaction. The order
stays: first the content is durable, then there is a row of it.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import apsw

from ..auth import Client
from ..errors import BadRequest, Refusal
from . import metadata
from .metadata import Metadata
from .names import Target, parse_target, url
from .objects import SameContent, check_sums, version_work
from .resources import Resources
from .store import Incoming
from .streaming import threads_start

_SYNCING = 16
"""Files that are synced at a time: the file system's journal writes them together."""


class SmallObject(Protocol):
    """What a PUT says."""

    @property
    def path(self) -> str:
        """Of its URL: /hatrac/NAME, escaped."""

    @property
    def content(self) -> bytes:
        """All of it."""

    @property
    def md5(self) -> str:
        """What the content's must be, in hex."""

    @property
    def content_type(self) -> str:
        """The header of that name."""

    @property
    def disposition(self) -> str:
        """The header Content-Disposition."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """An object whose name and checksum are right."""

    path: str
    content: bytes
    incoming: Incoming
    described: Metadata


@dataclass(frozen=True, slots=True)
class _Written:
    """A batch whose content is on its way to the disk; None stands for an object that can't be stored so."""

    objects: list[_Checked | None]
    syncing: list[Future[set[bytes]]]


def store_small(
    resources: Resources, client: Client, batches: Iterable[Sequence[SmallObject]]
) -> Iterator[list[str | None]]:
    """
    Make each the current version of its object, unless it is that already; missing namespaces are made.

    A batch is asked for while the one before is on its way to the disk.

    Yields:
        For each batch, in order, the versions' URLs, once they are on the disk; None for an object that was not stored:
        a PUT says what is wrong with it. Nothing where the interpreter ends, so that nobody can wait for the disk
        meanwhile.
    """
    if not threads_start():
        return
    with ThreadPoolExecutor(_SYNCING, "hatrac-sync") as pool:
        before: _Written | None = None
        for batch in batches:
            written = _write(resources, pool, batch)
            if before is not None:
                yield _commit(resources, client, before)
            before = written
        if before is not None:
            yield _commit(resources, client, before)


def _write(resources: Resources, pool: ThreadPoolExecutor, batch: Sequence[SmallObject]) -> _Written:
    checked = [_check(small) for small in batch]
    files: list[tuple[bytes, BinaryIO]] = []
    try:
        failed = _write_files(resources, checked, files)
    finally:  # whatever happens, the threads close what was opened
        syncing = [pool.submit(_sync, files[start::_SYNCING]) for start in range(min(_SYNCING, len(files)))]
    return _Written([None if one is None or one.incoming.sha256 in failed else one for one in checked], syncing)


def _check(small: SmallObject) -> _Checked | None:
    try:
        target = _target(small.path)
        told = metadata.from_mapping(
            {metadata.MD5: small.md5, metadata.TYPE: small.content_type, metadata.DISPOSITION: small.disposition}
        )
        incoming = Incoming(
            small.content,
            hashlib.sha256(small.content).digest(),
            hashlib.md5(small.content, usedforsecurity=False).digest(),
            len(small.content),
        )
        check_sums(told, incoming)
    except Refusal:
        return None
    return _Checked(target.path, small.content, incoming, told)


def _target(path: str) -> Target:
    target = parse_target(path)
    if target.version or target.sub or not target.path:
        raise BadRequest(f"{path} is no name of an object.")
    return target


def _write_files(
    resources: Resources, checked: Sequence[_Checked | None], files: list[tuple[bytes, BinaryIO]]
) -> set[bytes]:
    """Write content that is not there into files, which are added to `files`; the hashes of what can't be written."""
    store, failed = resources.store, set[bytes]()
    for sha256, one in {one.incoming.sha256: one for one in checked if one is not None}.items():
        try:
            file = store.create(one.content, sha256)
        except OSError:
            failed.add(sha256)
            resources.discard([sha256])
            continue
        if file is not None:
            files.append((sha256, file))
        elif not (resources.is_known(sha256) and store.is_kept(sha256)):  # being stored, or broken
            try:
                store.keep(one.content, sha256, resources.is_known)
            except OSError:
                failed.add(sha256)
    return failed


def _sync(files: Sequence[tuple[bytes, BinaryIO]]) -> set[bytes]:
    """Have files on the disk, and close them; the hashes of those that are not."""
    failed = set[bytes]()
    for sha256, file in files:
        try:
            with file:
                os.fsync(file.fileno())
        except OSError:
            failed.add(sha256)
    return failed


def _commit(resources: Resources, client: Client, written: _Written) -> list[str | None]:
    failed = set[bytes]().union(*(future.result() for future in written.syncing))
    resources.discard(failed)
    good = [one for one in written.objects if one is not None and one.incoming.sha256 not in failed]
    works = [
        version_work(
            resources,
            client,
            one.path,
            one.incoming,
            one.described,
            parents=True,
            check=SameContent(one.described[metadata.MD5]),
        )
        for one in good
    ]
    stored: dict[int, str] = {}
    for one, outcome in zip(good, resources.registry.write_each_together(works), strict=True):
        with suppress(Refusal, apsw.Error, OSError):
            stored[id(one)] = url(one.path, outcome())
    return [stored.get(id(one)) for one in written.objects]

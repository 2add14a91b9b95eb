"""The bytes of outputs into the store: each alone, or many small ones at a time to an embedded catalog's."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from deriva_ml_core.assets.handlers import STORE, store_output
from deriva_ml_core.assets.ledger import StagedAsset
from deriva_ml_core.assets.names import hatrac_path
from deriva_ml_core.assets.preparing import content_type, output_of
from deriva_ml_core.assets.progress import ProgressMeter
from deriva_ml_core.assets.staging import StagedFile, Staging
from deriva_ml_core.assets.transfer import Outcome
from deriva_ml_core.catalog import checksums, objects
from deriva_ml_core.errors import CatalogUnreachable, ChecksumMismatch, DerivaMLException, WorkingFolderError
from deriva_ml_core.hookvalues import Transfer

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

SMALL_BYTES = 2**16
_BATCH_FILES = 128
_BATCH_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Sent:
    """A file whose bytes are in the store."""

    asset: StagedAsset
    file: StagedFile
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A small file in memory, as it was at that time."""

    file: StagedFile
    stat: os.stat_result
    small: objects.SmallObject


class Sender:
    """
    Sends outputs of one execution.

    Args:
        chunk_size, lanes: as `Transfer` has them.
    """

    def __init__(
        self,
        session: CatalogSession,
        staging: Staging,
        execution_rid: str,
        meter: ProgressMeter,
        *,
        chunk_size: int | None,
        lanes: int,
    ) -> None:
        self._session, self._staging, self._execution, self._meter = session, staging, execution_rid, meter
        self._chunk_size, self._lanes = chunk_size, lanes
        self._locks: dict[str, Lock] = {}
        self._unfinished = staging.folder / "unfinished"
        plugins = session.plugins
        self._by_call = session.object_store is not None and plugins.implementers(STORE) == ["hatrac"]
        self._in_bulk = self._by_call and not any(claim.stores for _, claim in plugins.claims)

    # --- each alone ---------------------------------------------------------------------------------------------

    def send(self, file: StagedFile) -> Sent:
        """
        Bring one file's bytes into the store; safe in threads.

        Raises:
            DerivaMLException: why they are not there.
        """
        self._meter.check(file.path)
        stat = _stat(file)
        asset = file.asset
        known = (asset.size_bytes, asset.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        if asset.stored_url and known:
            self._meter.finish(file.path)
            return Sent(asset, file, 0)
        advance = partial(self._meter.advance, file.path)
        md5 = asset.md5 if asset.md5 and known else self._hashed(file, stat, advance)
        target = hatrac_path(asset.table, md5, asset.file_name)
        output = output_of(file, self._execution, size_bytes=stat.st_size, md5=md5)
        transfer = Transfer(advance, self._resume_file(target), self._chunk_size, self._lanes)
        with self._locks.setdefault(target, Lock()):  # the same bytes under the same name are one object
            stored_object = store_output(self._session, output, transfer)
        after = _stat(file)
        if (after.st_size, after.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            raise _changed(file)
        self._meter.finish(file.path)
        return _sent(file, stat, md5, stored_object.url)

    def _hashed(self, file: StagedFile, stat: os.stat_result, advance: Callable[[int], None]) -> str:
        """
        The file's MD5; that of a large one is kept, so that a later command goes on without reading it all again.

        An embedded catalog on this machine takes the file in at the same time, so that it is read once.
        """
        if self._by_call and stat.st_size > SMALL_BYTES and (md5 := objects.take_in(self._session, file.path, advance)):
            return md5
        md5 = objects.file_md5(file.path)
        if stat.st_size > objects.CHUNKED_FROM_BYTES:
            hashed = replace(file.asset, stored_url=None, md5=md5, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
            self._staging.ledger.put(hashed)
        return md5

    def _resume_file(self, target: str) -> Path:
        return self._unfinished / f"{zlib.crc32(target.encode()):08x}-{target.rpartition('/')[2][:32]}.json"

    # --- many small ones ----------------------------------------------------------------------------------------

    def send_small(self, files: Sequence[StagedFile]) -> Iterator[list[Outcome[StagedFile, Sent]]]:
        """
        Bring small files into a store that takes many at a time, which costs less than a request for each.

        Each file is read once, and what was read is hashed here, and again by the store.

        Yields:
            What became of them. Files that it says nothing of are for `send`: there is no such store, plugins store
            files themselves, or it could not take them.
        """
        if not self._in_bulk:
            return
        unread: list[Outcome[StagedFile, Sent]] = []
        waiting: deque[list[_Read]] = deque()

        def batches() -> Iterator[list[objects.SmallObject]]:
            for batch in self._read_in_batches(files, unread):
                waiting.append(batch)
                yield [one.small for one in batch]

        untold = {file.path: file for file in files}
        try:
            for urls in objects.put_small(self._session, batches()):
                batch = waiting.popleft()
                for one in batch:
                    del untold[one.file.path]
                yield [
                    Outcome(one.file, self._stored(one, url), None)
                    for one, url in zip(batch, urls, strict=True)
                    if url is not None
                ]
        except CatalogUnreachable as err:  # for all of them: each alone would wait as long to hear the same
            yield [Outcome(file, None, err) for file in untold.values()]
        else:
            yield unread

    def _read_in_batches(
        self, files: Sequence[StagedFile], unread: list[Outcome[StagedFile, Sent]]
    ) -> Iterator[list[_Read]]:
        """Few enough at a time to bound the memory; `unread` gets the files that can't be read."""
        batch: list[_Read] = []
        size = 0
        for file in files:
            self._meter.check(file.path)
            try:
                one = _read(file)
            except DerivaMLException as err:
                unread.append(Outcome(file, None, err))
                continue
            batch.append(one)
            size += one.stat.st_size
            if len(batch) == _BATCH_FILES or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _stored(self, one: _Read, url: str) -> Sent:
        self._meter.advance(one.file.path, one.stat.st_size)
        self._meter.finish(one.file.path)
        return _sent(one.file, one.stat, one.small.md5, url)


def _sent(file: StagedFile, stat: os.stat_result, md5: str, url: str) -> Sent:
    stored = replace(file.asset, stored_url=url, md5=md5, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
    return Sent(stored, file, stat.st_size)


def _read(file: StagedFile) -> _Read:
    """
    A small file, whole.

    Raises:
        WorkingFolderError: it can't be read. ChecksumMismatch: it changed meanwhile.
    """
    try:
        with open(file.path, "rb", buffering=0) as opened:  # noqa: PTH123  # for thousands of files Path costs
            stat = os.fstat(opened.fileno())
            content = opened.read(SMALL_BYTES + 1) or b""
            after = os.fstat(opened.fileno())
    except OSError as err:
        raise WorkingFolderError(f"can't read {file.path}: {err.strerror}") from err
    if (after.st_size, after.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns) or len(content) != stat.st_size:
        raise _changed(file)
    asset, md5 = file.asset, checksums.md5(content).hexdigest()
    small = objects.SmallObject(
        hatrac_path(asset.table, md5, asset.file_name),
        content,
        md5,
        content_type(asset.file_name),
        objects.disposition(asset.file_name),
    )
    return _Read(file, stat, small)


def _changed(file: StagedFile) -> ChecksumMismatch:
    return ChecksumMismatch(f"{file.path} changed while it was being sent; upload again when it is complete")


def _stat(file: StagedFile) -> os.stat_result:
    try:
        return file.path.stat()
    except OSError as err:
        raise WorkingFolderError(f"can't read {file.path}: {err.strerror}") from err

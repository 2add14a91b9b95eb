"""Work beside a stream of content: hashing it in threads, and having it written to the disk while more comes."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO

PARALLEL_FROM_BYTES = 4 * 1024 * 1024
"""From this size on, hashing in threads is worth their making."""
_FLUSH_BYTES = 16 * 1024 * 1024
_PIECES_BEHIND = 3
"""Enough for a hash to go on while the disk or the network stops for a moment; they wait in memory."""


def threads_start() -> bool:
    """Whether this process still starts threads: an interpreter that ends does not, and has things done in turn."""
    return threading.main_thread().is_alive()


class Flushing:
    """Has a growing file written to the disk while more comes, so that the last sync is not left with all of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._dirty_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._flush: Future[None] | None = None

    def written(self, size_bytes: int) -> None:
        """Note what was written; start a flush if that was enough, unless one is under way."""
        self._dirty_bytes += size_bytes
        if self._dirty_bytes < _FLUSH_BYTES or (self._flush and not self._flush.done()) or not threads_start():
            return
        self._pool = self._pool or ThreadPoolExecutor(1, "hatrac-flush")
        self._flush, self._dirty_bytes = self._pool.submit(os.fdatasync, self._file.fileno()), 0

    def __enter__(self) -> "Flushing":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None and self._flush is not None:
            self._pool.shutdown()
            self._flush.result()  # a full disk shows here, too


class Hashes:
    """SHA-256 and MD5 of a stream; in parallel each has a thread, which may be a few pieces behind."""

    def __init__(self, *, md5: bool, parallel: bool, sha256: bool = True) -> None:
        self._sha256 = hashlib.sha256() if sha256 else None
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._updates: list[Callable[[bytes], object]] = [
            hashing.update for hashing in (self._sha256, self._md5) if hashing is not None
        ]
        self._parallel = parallel and threads_start()
        self._stack = ExitStack()
        self._pools: list[ThreadPoolExecutor] = []
        self._pending: deque[list[Future[object]]] = deque()

    @property
    def sha256(self) -> bytes:
        """Of all that has come; to be asked for after the block."""
        return self._sha256.digest() if self._sha256 else b""

    @property
    def md5(self) -> bytes | None:
        """The same; None where it is not wanted."""
        return self._md5.digest() if self._md5 else None

    def update(self, piece: bytes) -> None:
        """The next piece; in parallel it returns before it is hashed, so that whoever brings the pieces goes on."""
        if not self._pools:
            for update in self._updates:
                update(piece)
            return
        self._wait(_PIECES_BEHIND)
        self._pending.append(
            [pool.submit(update, piece) for pool, update in zip(self._pools, self._updates, strict=True)]
        )

    def _wait(self, behind: int) -> None:
        """Until so many pieces at most are not hashed."""
        while len(self._pending) > behind:
            for future in self._pending.popleft():
                future.result()

    def __enter__(self) -> "Hashes":
        if self._parallel:  # a thread for each: the pieces of one hash must stay in order
            self._pools = [self._stack.enter_context(ThreadPoolExecutor(1, "hatrac-hash")) for _ in self._updates]
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._wait(0)

"""Work beside a stream of content: hashing it in threads, and having it written to the disk while more comes."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO

PARALLEL_FROM_BYTES = 4 * 1024 * 1024
"""From this size on, hashing in threads is worth their making."""
_FLUSH_BYTES = 64 * 1024 * 1024


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
        if self._dirty_bytes < _FLUSH_BYTES or (self._flush and not self._flush.done()):
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
    """SHA-256 and MD5 of a stream; in parallel each has a thread, which is at most one piece behind."""

    def __init__(self, *, md5: bool, parallel: bool, sha256: bool = True) -> None:
        self._sha256 = hashlib.sha256() if sha256 else None
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._updates: list[Callable[[bytes], object]] = [
            hashing.update for hashing in (self._sha256, self._md5) if hashing is not None
        ]
        self._parallel = parallel
        self._stack = ExitStack()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: list[Future[object]] = []

    @property
    def sha256(self) -> bytes:
        """Of what has come so far."""
        return self._sha256.digest() if self._sha256 else b""

    @property
    def md5(self) -> bytes | None:
        """Of what has come so far; None where it is not wanted."""
        return self._md5.digest() if self._md5 else None

    def update(self, piece: bytes) -> None:
        """The next piece; returns before it is hashed, where that is done in parallel."""
        self._wait()
        if self._pool is None:
            for update in self._updates:
                update(piece)
        else:
            self._pending = [self._pool.submit(update, piece) for update in self._updates]

    def _wait(self) -> None:
        for future in self._pending:
            future.result()
        self._pending = []

    def __enter__(self) -> "Hashes":
        if self._parallel:
            self._pool = self._stack.enter_context(ThreadPoolExecutor(len(self._updates), "hatrac-hash"))
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self._stack.close()

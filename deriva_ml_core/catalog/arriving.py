"""
The file into which an object arrives: beside its destination, under another name, until it is complete and checked.

The part of a large file is kept when its fetching is interrupted, even by kill -9, and the next call goes on with it.
It is named by its content's checksum and locked, so that two processes never write to the same part.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deriva_ml_core.errors import ChecksumMismatch

# A smaller file is sooner fetched again than it is worth a leftover.
KEEP_FROM_BYTES = 64 * 2**20


@contextmanager
def arriving(dest: Path, md5: str | None, length: int | None) -> Iterator[IO[bytes]]:
    """
    An open file, empty or with the first bytes of an earlier attempt, that becomes `dest` when the block ends well.

    Not synced: whoever loses power loses bytes that the server still has, and a short file is seen by its length.

    Args:
        md5: the checksum of the content, if known.
        length: its bytes, if known.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept_part(dest, md5) if md5 and (length or 0) >= KEEP_FROM_BYTES else None
    part, file = kept or _own_part(dest)
    try:
        with file:
            yield file
            file.flush()
            part.replace(dest)  # while we hold the lock
    except BaseException as err:  # Ctrl-C too: what is not kept must not stay
        if kept is None or isinstance(err, ChecksumMismatch) or not (part.exists() and part.stat().st_size):
            part.unlink(missing_ok=True)
        raise


def _own_part(dest: Path) -> tuple[Path, IO[bytes]]:
    """A new part that nobody else knows."""
    part = dest.with_name(f".{secrets.token_hex(8)}.part")
    return part, part.open("x+b")


def _kept_part(dest: Path, md5: str) -> tuple[Path, IO[bytes]] | None:
    """The part for this content, if nobody else is writing to it and the file system knows locks."""
    part = dest.with_name(f".{md5}.part")
    file = part.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock before us may have finished: then this is their destination, no part.
        if os.fstat(file.fileno()).st_ino == part.stat().st_ino:
            return part, file
    except OSError:
        pass
    file.close()
    return None

"""
The file into which an object arrives: beside its destination, under another name, until it is complete and checked.

The part of a large file is kept when its fetching is interrupted, even by kill -9, and the next call goes on with it.
It is named by its content's checksum and locked, so that two processes never write to the same part.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from deriva_ml_core.errors import ChecksumMismatch

# A smaller file is sooner fetched again than it is worth a leftover.
KEEP_FROM_BYTES = 64 * 2**20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


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


@contextmanager
def new_file(dest: Path, parts: Path | None = None) -> Iterator[int]:
    """
    The descriptor of an empty file that becomes `dest` when the block ends well; nothing is left when it does not.

    The quick way, for thousands of small files: no Path is made, and a folder only when it is missed.

    Args:
        parts: the folder of unfinished files, on the same file system; beside `dest` by default. A file system is
            several times as fast where many files are made in one folder.
    """
    folder = parts or dest.parent
    part = f"{folder}/.{secrets.token_hex(8)}.part"
    try:
        target = os.open(part, _NEW, 0o666)
    except FileNotFoundError:  # the first file to come into its folder
        folder.mkdir(parents=True, exist_ok=True)
        target = os.open(part, _NEW, 0o666)
    try:
        try:
            yield target
        finally:
            os.close(target)
        _rename(part, dest)
    except BaseException:  # Ctrl-C too: nothing may stay
        with suppress(OSError):
            os.unlink(part)  # noqa: PTH108
        raise


def put_in_place(
    content: bytes, dest: Path, parts: Path | None = None, seal: Callable[[int], object] | None = None
) -> None:
    """
    Write checked content to `dest`, which appears complete or not at all.

    Args:
        parts: as of `new_file`.
        seal: called with the descriptor before the file gets its name.
    """
    with new_file(dest, parts) as target:
        write_all(target, content)
        if seal:
            seal(target)


def write_all(target: int, block: bytes) -> None:
    """A write may be short."""
    left = memoryview(block)
    while left:
        left = left[os.write(target, left) :]


def _rename(part: str, dest: Path) -> None:
    try:
        os.replace(part, dest)  # noqa: PTH105  # a Path for each of thousands is a third of the time
    except FileNotFoundError:  # as above
        dest.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, dest)  # noqa: PTH105


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

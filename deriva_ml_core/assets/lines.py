"""Files of JSON lines that grow while they are read: one write a time, at the end, nothing rewritten.

A process that is killed leaves at most one torn line, at the end, which readers skip and the next writer closes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import WorkingFolderError


def append_lines(file: Path, lines: Sequence[str], *, durable: bool = False) -> None:
    """
    Add lines in one write, which other processes that append do not come between.

    Args:
        durable: only return when the disk has them.

    Raises:
        WorkingFolderError: the file can't be written.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            with suppress(OSError):  # a file system without locks: at worst an empty line, which readers skip
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # a line that is being written looks like a torn one
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = ("\n" * torn + "\n".join(lines) + "\n").encode()
            while data:
                data = data[os.write(descriptor, data) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as err:
        raise WorkingFolderError(f"can't write {file}: {err.strerror}") from err


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """
    The objects of a file, in order; lines that are no JSON object are skipped, and so is a file that is not there.

    Raises:
        WorkingFolderError: it can't be read.
    """
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except OSError as err:
        raise WorkingFolderError(f"can't read {file}: {err.strerror}") from err
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # the torn line of a process that was killed
            continue
        if isinstance(found, dict):
            yield found

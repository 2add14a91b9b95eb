"""One lock file, one holder: on this machine and, where the file system carries locks, between machines."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deriva_ml_core.errors import WorkingFolderError


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """
    Wait for the lock, hold it, let it go. The kernel lets it go when its holder dies, however that happens.

    Not filelock: its import costs 0.15 s of every run, and this is all that is used of it.

    Raises:
        WorkingFolderError: the lock file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as err:
        raise WorkingFolderError(f"can't write {path}: {err.strerror}") from err
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""One lock file, one holder: on this machine and, where the file system carries locks, between machines."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deriva_ml_core.errors import WorkingFolderError

log = logging.getLogger(__name__)


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """
    Wait for the lock, hold it, let it go. The kernel lets it go when its holder dies, however that happens.

    Not filelock: its import costs 0.15 s of every run, and this is all that is used of it.

    Args:
        wait: False: what is yielded is False where somebody else holds it.

    Raises:
        WorkingFolderError: the lock file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as err:
        raise WorkingFolderError(f"can't write {path}: {err.strerror}") from err
    try:
        yield _lock(descriptor, path, wait=wait)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as err:
        # Some network file systems carry no locks. Everything under a lock is also put in place by a rename, so going
        # on costs work done twice, not wrong results.
        log.warning("%s can't be locked (%s): two processes may do the same work", path, err.strerror)
    return True

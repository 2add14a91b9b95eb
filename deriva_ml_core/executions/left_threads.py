"""A model that leaves threads running: the record is complete, and yet its process does not come to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

WATCH = "deriva-ml-left-threads"
_PATIENCE_S = 1.0  # threads that end on their own need no word


def tell_of_left_threads(before: Collection[threading.Thread], tell: Callable[[str], None]) -> None:
    """
    When the main thread ends and threads that were not there `before` keep the process alive: tell which those are.

    Until then nobody can know: a pool of workers has threads too, and ends them with Python.
    """
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread not in before]
    if left:
        threading.Thread(target=_watch, args=(left, tell), name=WATCH, daemon=True).start()


def _watch(left: Collection[threading.Thread], tell: Callable[[str], None]) -> None:
    threading.main_thread().join()
    until = time.monotonic() + _PATIENCE_S
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    if names := [thread.name for thread in left if thread.is_alive()]:
        tell(f"the process ends when the threads do that the model has left: {', '.join(names)}")

"""Workers whose launching process was killed: they finish their job, and then end instead of waiting for another."""

from __future__ import annotations

import os
import threading

_LOOK_EVERY_S = 1.0
_idle = threading.Event()
_watching: threading.Thread | None = None


def job_starts(launcher_pid: int) -> None:
    """
    A job starts in this process.

    Args:
        launcher_pid: where this process is a child of it, a worker, it ends with it.
    """
    global _watching  # noqa: PLW0603  # one thread a process
    _idle.clear()
    if os.getppid() == launcher_pid and _watching is None:
        _watching = threading.Thread(target=_watch, args=(launcher_pid,), name="deriva-ml-orphan", daemon=True)
        _watching.start()


def job_ends() -> None:
    """No job runs here now."""
    _idle.set()


def _watch(launcher_pid: int) -> None:
    alone = threading.Event()  # never set: only waited for
    while os.getppid() == launcher_pid:
        alone.wait(_LOOK_EVERY_S)
    _idle.wait()
    alone.wait(_LOOK_EVERY_S)  # what Hydra does after the job's end
    os._exit(0)  # the main thread waits for a task that nobody will send

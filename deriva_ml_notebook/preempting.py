"""
SLURM's warning before it ends a job, on its way to the cells of a notebook.

The kernel is started deaf to it (`executing.py`), listens once its execution is open, and is told by the command, which
waits for it before the job gives way.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import psutil

from deriva_ml_core.executions.preemption import Save, call_all, is_warned, warning_signal
from deriva_ml_notebook.handover import Handover


def listen(handover: Handover, saves: Sequence[Save]) -> None:
    """In the kernel: call these at the warning, between two steps of the cell that runs."""
    if not is_warned() or threading.current_thread() is not threading.main_thread():
        return

    process = os.getpid()

    def heed(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # signal's signature
        if os.getpid() != process:  # a worker that a cell has forked
            return
        signal.signal(number, signal.SIG_IGN)  # SLURM's own and the command's: one is enough
        call_all(saves)
        handover.saved()

    signal.signal(warning_signal(), heed)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {warning_signal()})


def pass_on(handover: Handover) -> None:
    """In the command: warn the kernel, and wait until it has saved; one that has opened no execution has nothing to."""
    pid = (handover.execution or {}).get("pid")
    if pid is None:
        return
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(pid, warning_signal())
        kernel = psutil.Process(pid)
        while not handover.has_saved and kernel.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.1)  # the kernel tells by a file only

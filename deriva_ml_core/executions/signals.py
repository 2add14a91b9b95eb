"""SIGTERM as an exception, so that a run that is told to end still records its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(SystemExit):
    """The process was told to end; it leaves with the exit code that shells give such a process (128 + number)."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"the process was told to end by {signal.Signals(self.number).name}"


class TimedOut(SystemExit):
    """The job has used up the time that SLURM gave it."""

    def __init__(self, job: str | None) -> None:
        super().__init__(1)
        self.job = job

    def __str__(self) -> str:
        return f"time-out: SLURM job {self.job} came to its time limit"


class Preempted(SystemExit):
    """The job had to let another go first, and SLURM does not run it again."""

    def __init__(self, job: str | None) -> None:
        super().__init__(1)
        self.job = job

    def __str__(self) -> str:
        return f"SLURM job {self.job} was preempted and not requeued"


class GaveWay(SystemExit):
    """The job was preempted, or is allowed more time: SLURM will run it again, under the same execution."""

    def __init__(self, job: str | None, code: object) -> None:
        super().__init__(code)
        self.job = job

    def __str__(self) -> str:
        return f"SLURM job {self.job} gave way and waits to be started again"


class Superseded(SystemExit):
    """
    Another process has taken this execution over, which only happens where SLURM took this one's node for lost, and
    has started the job again or ended it: the record is the other's, and this process has nothing to add.
    """

    def __init__(self, rid: str, by: str) -> None:
        super().__init__(1)
        self.rid, self.by = rid, by

    def __str__(self) -> str:
        return f"execution {self.rid} has been taken over by {self.by}: this process stops, and records nothing more"


@contextmanager
def termination_raises() -> Iterator[None]:
    """
    Raise Terminated on SIGTERM inside the block; the handler of before is back afterwards.

    A handler that somebody else has put there stays: submitit ignores SIGTERM on purpose, since SLURM sends it before
    a preemption, and notebooks and servers have their own. Threads other than the main one can't have handlers.
    """
    if threading.current_thread() is not threading.main_thread() or not _is_default():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # signal's signature
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut short what records the first
        raise Terminated(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def one_interrupt() -> Iterator[None]:
    """
    Take only the first SIGINT inside the block: a worker gets one from the terminal and one from the process that
    launched it, and the second must not cut short what records the first.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # signal's signature
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_default() -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

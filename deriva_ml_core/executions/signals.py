"""SIGTERM and SIGHUP as exceptions, so that a run that is told to end still records its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

TOLD_TO_END = (signal.SIGTERM, signal.SIGHUP)
"""Those that end a process which does nothing about them, and leave it the time to say so; SIGHUP comes when the
terminal is closed, or the connection to it is lost."""


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


class _First:
    """
    A handler that raises once: signals that come after it, while what it raised is being recorded, are ignored where
    their handlers are of this kind.
    """

    def __init__(self, make: Callable[[int], BaseException]) -> None:
        self._make = make

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # signal's signature
        for other in (signal.SIGINT, *TOLD_TO_END):
            if isinstance(signal.getsignal(other), _First):
                signal.signal(other, signal.SIG_IGN)
        raise self._make(number)


@contextmanager
def termination_raises() -> Iterator[None]:
    """
    Raise Terminated on SIGTERM and SIGHUP inside the block; the handlers of before are back afterwards.

    A handler that somebody else has put there stays: submitit ignores SIGTERM on purpose, since SLURM sends it before
    a preemption, `nohup` has SIGHUP ignored, and notebooks and servers have their own.
    """
    with _handled(dict.fromkeys(TOLD_TO_END, signal.SIG_DFL), Terminated):
        yield


@contextmanager
def one_interrupt() -> Iterator[None]:
    """
    Take only the first SIGINT inside the block: a worker gets one from the terminal and one from the process that
    launched it, and the second must not cut short what records the first.
    """
    with _handled({signal.SIGINT: signal.default_int_handler}, lambda _: KeyboardInterrupt()):
        yield


@contextmanager
def _handled(usual: Mapping[signal.Signals, Any], make: Callable[[int], BaseException]) -> Iterator[None]:
    """Handle those signals whose handlers are the usual ones. Threads other than the main one can't have handlers."""
    main = threading.current_thread() is threading.main_thread()
    ours = {number: before for number, before in usual.items() if main and signal.getsignal(number) is before}
    for number in ours:
        signal.signal(number, _First(make))
    try:
        yield
    finally:
        for number, before in ours.items():
            signal.signal(number, before)

"""Ctrl-C, SIGTERM and SIGHUP to the process that launches a sweep, told apart from what a model raises in it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from deriva_ml_core.executions.signals import TOLD_TO_END, Terminated

CTRL_C = "Ctrl-C"
TERMINAL_CLOSED = signal.SIGHUP.name


class Interrupts:
    """
    From `watch` to `release`: SIGINT, SIGTERM and SIGHUP raise, and it is known that they came.

    Handlers that somebody else has put there stay. Threads other than the main one can't have handlers.
    """

    def __init__(self) -> None:
        self.by: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def seen(self) -> bool:
        """Whether the process was told to end."""
        return self.by is not None

    def watch(self) -> None:
        """Put the handlers in place."""
        if threading.current_thread() is not threading.main_thread():
            return
        usual = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(TOLD_TO_END, signal.SIG_DFL)}
        for number, handler in usual.items():
            if signal.getsignal(number) is handler:
                self._before[number] = signal.signal(number, self._stop)

    def release(self) -> None:
        """Put the handlers of before back."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # signal's signature
        self.by = CTRL_C if number == signal.SIGINT else signal.Signals(number).name
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        for other in self._before.keys() & set(TOLD_TO_END):  # a second one must not cut short what records the first
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

"""What this process and its workers print, led through a pipe: it appears above a table and does not tear it."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO

_STDOUT, _STDERR = 1, 2
_BLOCK_BYTES = 65536
_LOOK_EVERY_S = 0.1


class LedOutput:
    """
    From `start` to `stop`: stdout and stderr, where they are a terminal, go line by line to a function. Descriptors
    are changed, not Python's streams: the workers of a launcher inherit those.

    Args:
        show: one line of text, without its end.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._kept: dict[int, int] = {}
        self._stopped = threading.Event()
        self._rest = b""

    def start(self) -> TextIO:
        """The terminal itself, to write the table to."""
        self._flush()
        self._kept = {number: os.dup(number) for number in (_STDOUT, _STDERR) if os.isatty(number)}
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        for number in self._kept:
            os.dup2(write, number)
        os.close(write)
        self._thread = threading.Thread(target=self._lead, name="deriva-ml-output", daemon=True)
        self._thread.start()
        terminal = os.dup(self._kept.get(_STDERR, _STDERR))
        return os.fdopen(terminal, "w", encoding=sys.stderr.encoding, errors="replace")

    def stop(self) -> None:
        """All is as before; what was printed until now has been shown."""
        self._flush()
        for number, before in self._kept.items():
            os.dup2(before, number)
            os.close(before)
        self._kept = {}
        self._stopped.set()
        self._thread.join()
        os.close(self._read)

    @staticmethod
    def _flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()

    def _lead(self) -> None:
        while True:
            last = self._stopped.is_set()  # asked before: what is written until then is read after it
            ready, _, _ = select.select([self._read], [], [], 0 if last else _LOOK_EVERY_S)
            block = os.read(self._read, _BLOCK_BYTES) if ready else b""
            if block:
                self._lines(block)
            elif last:
                break
            elif ready:  # nobody holds the other end any more
                self._stopped.wait(_LOOK_EVERY_S)
        if self._rest:
            self._lines(b"\n")

    def _lines(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            self._show(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace"))

"""What a person sees while a notebook runs: which cell, how long it takes, and what it prints."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

from deriva_ml_core.errors import WorkingFolderError
from deriva_ml_core.executions.durations import duration_words
from deriva_ml_core.executions.journal import write_beside
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_notebook.failures import without_ansi
from deriva_ml_notebook.streams import last_state

TRANSIENT_EVERY_S = 5.0
"""Between two states of a progress bar where there is no terminal."""
_WIDTH = 60


class Watcher(Protocol):
    """Hears what happens in a notebook, from the thread that runs it; must not raise."""

    def started(self, total: int) -> None:
        """So many cells will run."""

    def cell_started(self, number: int, source: str) -> None:
        """A cell's turn; numbers from 1."""

    def output(self, output: Any) -> None:
        """A cell has put something out: a part of a stream, or all of a rich output."""

    def cell_ended(self, number: int, source: str, seconds: float | None) -> None:
        """A cell has ended, after so many seconds; None for one that has not come to its own end."""

    def ended(self) -> None:
        """No cell runs any more."""


class Timings:
    """
    How long each cell took the last time: kept in the working folder, by the cell's source.

    Args:
        file: where; another run may write it too, the last one wins.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, float] = {}
        self._new: dict[str, float] = {}
        with suppress(OSError, ValueError):
            document = json.loads(file.read_bytes())
            self._known = {str(key): float(seconds) for key, seconds in document.items()}

    def expected(self, source: str) -> float | None:
        """Seconds; None for a cell that has not run before."""
        return self._known.get(_key(source))

    def keep(self, source: str, seconds: float) -> None:
        """A cell has taken so long."""
        self._new[_key(source)] = round(seconds, 3)

    def save(self) -> None:
        """For the next run. It is a convenience: a disk that is full does not fail the run."""
        with suppress(WorkingFolderError):
            write_beside(self._file, json.dumps({**self._known, **self._new}).encode(), durable=False)


def _key(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def first_line(source: str) -> str:
    """What a person knows a cell by: its first line that is no comment, else its first."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    line = next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


class CellProgress:
    """
    Tells of each cell: a live line on a terminal, a line for each cell elsewhere.

    Args:
        live: whether the terminal's last line may be redrawn.
        prefix: before each line, where several notebooks run at once.
        log: where a cell's output goes; None keeps it in the notebook only.
    """

    def __init__(
        self, reporter: Reporter, timings: Timings, *, live: bool, prefix: str = "", log: OutputLog | None = None
    ) -> None:
        self._reporter, self._timings, self._log = reporter, timings, log
        self._live = _LiveLine() if live else None
        self._prefix = prefix
        self._total, self._since = 0, time.monotonic()

    def started(self, total: int) -> None:
        """So many cells."""
        self._total, self._since = total, time.monotonic()

    def cell_started(self, number: int, source: str) -> None:
        """Which, how long until now, how long it took the last time."""
        elapsed = duration_words(time.monotonic() - self._since)
        expected = self._timings.expected(source)
        about = f", expected {duration_words(expected)}" if expected is not None else ""
        title = f"{self._prefix}cell {number} of {self._total}: {first_line(source)}"
        if self._live is not None:
            self._live.show(number - 1, self._total, title, about.removeprefix(", "))
        else:
            self._reporter.say(f"{title}  (elapsed {elapsed}{about})")

    def output(self, output: Any) -> None:
        """Part of the log, if there is one."""
        if self._log is not None:
            self._log.write(output)

    def cell_ended(self, number: int, source: str, seconds: float | None) -> None:
        """Remember how long it took."""
        del number
        if self._log is not None:
            self._log.end_line()
        if seconds is not None:
            self._timings.keep(source, seconds)

    def ended(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.close()
        self._timings.save()


class _LiveLine:
    """A bar over the cells, redrawn in place: rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[expected]}"),
            console=Console(file=sys.stderr),
            transient=True,
            redirect_stdout=False,
        )
        self._task: Any = None

    def show(self, done: int, total: int, title: str, expected: str) -> None:
        """Redraw."""
        from rich.markup import escape

        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("", total=total, expected="")
        self._progress.update(self._task, completed=done, description=escape(title), expected=expected)

    def close(self) -> None:
        """Take it away."""
        self._progress.stop()


class OutputLog:
    """
    Streams what cells put out to the terminal: stdout, stderr, and the text of rich outputs.

    A progress bar redraws its line by a carriage return. A terminal takes that as it is; in a file only now and then
    a state of it is a line.

    Args:
        streams: "stdout" and "stderr" to where they go.
    """

    def __init__(self, streams: Mapping[str, TextIO] | None = None) -> None:
        self._streams = streams or {"stdout": sys.stdout, "stderr": sys.stderr}
        self._unfinished: dict[str, str] = {}
        self._shown = 0.0

    def write(self, output: Any) -> None:
        """One output of a cell."""
        if output.output_type == "stream":
            self._write(output.name, _text(output.text))
        elif output.output_type == "error":
            return  # told at the end, with the cell's source
        elif "text/plain" in output.get("data", {}):
            self.end_line()
            self._write("stdout", _text(output.data["text/plain"]).rstrip("\n") + "\n")

    def end_line(self) -> None:
        """What has begun on a line is all that it will be."""
        for name, text in list(self._unfinished.items()):
            if text.strip("\r"):
                self._put(name, last_state(text) + "\n")
            self._unfinished[name] = ""

    def _write(self, name: str, text: str) -> None:
        stream = self._streams.get(name, sys.stdout)
        if stream.isatty():
            self._put(name, text)
            return
        *lines, rest = (self._unfinished.get(name, "") + without_ansi(text)).split("\n")
        for line in lines:
            self._put(name, last_state(line) + "\n")
        self._unfinished[name] = rest
        if "\r" in rest and time.monotonic() - self._shown >= TRANSIENT_EVERY_S:
            self._shown = time.monotonic()
            self._put(name, last_state(rest) + "\n")

    def _put(self, name: str, text: str) -> None:
        stream = self._streams.get(name, sys.stdout)
        with suppress(OSError, ValueError):  # the terminal has gone: that is no reason to fail a run
            stream.write(text)
            stream.flush()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)

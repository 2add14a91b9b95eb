"""What a run tells a person while it goes on and when it is over.

The reporter writes to stderr: a model's own stdout stays its own. On a terminal it is rich, elsewhere plain lines.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from deriva_ml_core.assets.progress import ProgressCallback, UploadProgress
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.durations import duration_words
from deriva_ml_core.executions.states import Status
from deriva_ml_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from deriva_ml_core.plugins import Plugins

log = logging.getLogger(__name__)

PLAIN_EVERY_S = 10.0
"""Between two progress lines where there is no terminal."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """
    How an execution ended.

    Args:
        where: what to open or to type to look at it.
        outputs: "schema/table" to file names.
        durations: seconds of "download", "execution" and "upload".
        folder: where its files are, where they are still on disk.
    """

    rid: str
    status: Status
    where: str
    detail: str | None = None
    outputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    folder: str | None = None


class Reporter(Protocol):
    """Tells a person; must not raise."""

    def say(self, text: str) -> None:
        """One step of the run."""

    def warn(self, text: str) -> None:
        """Something that the person should know, though the run goes on."""

    def transfer(self, title: str) -> AbstractContextManager[ProgressCallback | None]:
        """The callback that hears of a transfer's bytes; None where nobody looks."""

    def ended(self, summary: RunSummary) -> None:
        """The last word."""


class SilentReporter:
    """Tells nothing (`-q`; and library calls that are not a run of their own)."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""

    def transfer(self, title: str) -> AbstractContextManager[ProgressCallback | None]:  # noqa: ARG002  # the protocol's
        """Nobody looks."""
        return nullcontext(None)

    def ended(self, summary: RunSummary) -> None:
        """Nothing."""


class WarningsReporter(SilentReporter):
    """Tells only warnings: of a job that somebody else tells about."""

    def warn(self, text: str) -> None:
        """As the console's reporter."""
        ConsoleReporter().warn(text)


class ConsoleReporter:
    """
    Tells a person at the console.

    Args:
        stream: None is the process's stderr at the time of writing.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @property
    def stream(self) -> TextIO:
        """Where it writes; nowhere once the model has closed its stderr."""
        stream = self._stream or sys.stderr or sys.__stderr__
        return io.StringIO() if stream is None or stream.closed else stream

    def say(self, text: str) -> None:
        """One line."""
        self._line(text)

    def warn(self, text: str) -> None:
        """One line that says what it is."""
        self._line(f"warning: {text}")

    def transfer(self, title: str) -> AbstractContextManager[ProgressCallback | None]:
        """A bar with bytes, rate and time left on a terminal, a line now and then elsewhere."""
        return _bars(self.stream, title) if self.stream.isatty() else _lines(self._line, title)

    def ended(self, summary: RunSummary) -> None:
        """What came out, and where to look."""
        for line in summary_lines(summary):
            self._line(line)

    def _line(self, text: str) -> None:
        try:
            self.stream.write(text + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # the terminal has gone: that is no reason to fail a run
            return


def summary_lines(summary: RunSummary) -> Iterator[str]:
    """The last words on a run, for a console of any kind."""
    yield f"Execution {summary.rid}: {summary.status.value}{f' ({summary.detail})' if summary.detail else ''}"
    for table, names in sorted(summary.outputs.items()):
        shown = ", ".join(names[:5]) + (f", … ({len(names)} files)" if len(names) > 5 else "")
        yield f"  {table}: {shown}"
    times = [f"{phase} {duration_words(s)}" for phase, s in summary.durations.items()]
    if times:
        yield f"  time: {', '.join(times)}"
    yield from (f"  warning: {warning}" for warning in summary.warnings)
    if summary.folder:
        yield f"  files kept in: {summary.folder}"
    yield f"  look at it: {summary.where}"


SILENT = SilentReporter()
_reporter: ContextVar[Reporter | None] = ContextVar("deriva_ml_reporter", default=None)


def current(plugins: Plugins | None = None) -> Reporter:
    """The reporter that a command has chosen for this context; else the first plugin's; else the console."""
    return _reporter.get() or (_of_plugins(plugins) if plugins is not None else ConsoleReporter())


def _of_plugins(plugins: Plugins) -> Reporter:
    try:
        made: Reporter | None = plugins.first("deriva_make_reporter")
    except DerivaMLException as err:
        log.warning("%s", err)
        made = None
    return made or ConsoleReporter()


@hookimpl
def deriva_make_reporter() -> Reporter:
    """The built-in reporter."""
    return ConsoleReporter()


@contextmanager
def use(reporter: Reporter) -> Iterator[Reporter]:
    """Let everything inside tell this reporter."""
    token = _reporter.set(reporter)
    try:
        yield reporter
    finally:
        _reporter.reset(token)


def quietly(quiet: bool) -> AbstractContextManager[object]:  # the answer to `-q`
    """Let everything inside tell nobody, where that is asked for."""
    return use(SILENT) if quiet else nullcontext()


@contextmanager
def _bars(stream: TextIO, title: str) -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column

    def whole() -> Column:  # only the bar gives way where a terminal is narrow
        return Column(no_wrap=True)

    columns = (
        TextColumn("{task.description}", table_column=whole()),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        DownloadColumn(table_column=whole()),
        TransferSpeedColumn(table_column=whole()),
        TextColumn("{task.fields[files]}", table_column=whole()),
        TimeRemainingColumn(table_column=whole()),
    )
    console = Console(file=stream)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, expand=True) as progress:
        task = progress.add_task(title, total=None, files="")

        def hear(state: UploadProgress) -> None:
            files = f"{state.files_completed}/{state.files_total} files" if state.files_total else ""
            progress.update(task, total=state.bytes_total or None, completed=state.bytes_completed, files=files)

        yield hear


@contextmanager
def _lines(say: Callable[[str], None], title: str) -> Iterator[ProgressCallback]:
    last = time.monotonic()

    def hear(state: UploadProgress) -> None:
        nonlocal last
        if time.monotonic() - last < PLAIN_EVERY_S:
            return
        last = time.monotonic()
        files = f", {state.files_completed} of {state.files_total} files" if state.files_total else ""
        text = f"{title}: {state.bytes_completed / 1e6:.1f} of {state.bytes_total / 1e6:.1f} MB{files}"
        say(text)

    yield hear

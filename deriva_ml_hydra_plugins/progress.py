"""How the jobs of a sweep stand, told to a person while they run: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deriva_ml_core.executions.durations import duration_words
from deriva_ml_core.executions.journal import FILE_NAME, JournalEntry, executions_folder, now, read_entry
from deriva_ml_core.executions.owner import slurm_job
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweeps import SweepJob
from deriva_ml_hydra_plugins.terminal import LedOutput

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_COLOURS = {
    Status.uploaded: "green",
    Status.failed: "red",
    Status.aborted: "red",
    Status.running: "cyan",
    Status.created: "dim",
}
_REFRESH_HZ = 2
_LINES_BESIDE_ROWS = 8


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as a person sees it; `slurm` is what is known of its SLURM job, "" outside SLURM."""

    number: int
    rid: str
    overrides: str
    status: Status
    detail: str | None = None
    seconds: float | None = None
    slurm: str = ""


class Jobs:
    """
    The jobs of a sweep as their journals have them. Those that have ended are not read again.

    Args:
        jobs: by number; may grow.
        scheduler: what a scheduler says of jobs that wait or run, by their RIDs.
    """

    def __init__(
        self,
        working_dir: Path,
        jobs: Mapping[int, SweepJob],
        scheduler: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._folder, self._jobs, self._scheduler = executions_folder(working_dir), jobs, scheduler
        self._ended: dict[int, JobView] = {}

    def views(self) -> list[JobView]:
        """All of them, in the order of their numbers."""
        jobs, scheduled = dict(self._jobs), self._scheduler()
        told = _differing([job.overrides for job in jobs.values()])
        return [
            self._ended.get(number) or self._view(number, job, _words(job.overrides, told), scheduled.get(job.rid, ""))
            for number, job in sorted(jobs.items())
        ]

    def _view(self, number: int, job: SweepJob, overrides: str, scheduled: str) -> JobView:
        file = self._folder / job.rid / FILE_NAME
        entry = read_entry(file.parent) if file.exists() else JournalEntry(job.rid)
        view = JobView(
            number, job.rid, overrides, entry.status, entry.detail, _seconds(entry), scheduled or _slurm(entry)
        )
        if view.status.is_final and not entry.damaged:
            self._ended[number] = view
        return view


def _seconds(entry: JournalEntry) -> float | None:
    """How long it runs, or ran."""
    if entry.start_time is None:
        return None
    end: datetime = entry.stop_time or (entry.changes[-1].at if entry.status.is_final and entry.changes else now())
    return (end - entry.start_time).total_seconds()


def _slurm(entry: JournalEntry) -> str:
    return " ".join(filter(None, (slurm_job(entry.slurm), entry.slurm.get("node"))))


def _differing(overrides: Sequence[Sequence[str]]) -> set[str]:
    """The overrides that not all jobs have: what tells one from another."""
    count = Counter(token for job in overrides for token in set(job))
    return {token for token, times in count.items() if times < len(overrides)}


def _words(overrides: Sequence[str], told: set[str]) -> str:
    return " ".join(token for token in overrides if token in told) or " ".join(overrides)


def headline(parent: str, views: Sequence[JobView]) -> str:
    """How many jobs are in which state."""
    count = Counter(view.status for view in views)
    waiting = count.pop(Status.created, 0)
    parts = [f"{times} {status.value}" for status, times in sorted(count.items(), key=lambda one: one[0].value)]
    waits = [f"{waiting} waiting"] if waiting else []
    return f"Sweep {parent}: {len(views)} jobs: {', '.join([*parts, *waits]) or 'none'}"


class Progress(Protocol):
    """Tells a person how a sweep goes on."""

    def start(self) -> None:
        """From now on."""

    def look(self) -> None:
        """Some time has passed."""

    def stop(self) -> None:
        """The last word; may be called twice."""


class PlainLines:
    """A line for each job that has ended. Two threads look: the one that runs jobs, and the one that watches them."""

    def __init__(self, parent: str, jobs: Jobs, reporter: Reporter) -> None:
        self._parent, self._jobs, self._reporter = parent, jobs, reporter
        self._told: set[int] = set()
        self._looking = threading.Lock()

    def start(self) -> None:
        """Of jobs that have ended before nothing is told."""
        self._told = {view.number for view in self._jobs.views() if view.status.is_final}

    def look(self) -> None:
        """Tell of those that have ended since."""
        with self._looking:
            views = self._jobs.views()
            for view in views:
                if view.status.is_final and view.number not in self._told:
                    self._told.add(view.number)
                    self._say(view, len(views))

    def _say(self, view: JobView, of: int) -> None:
        took = f" in {duration_words(view.seconds)}" if view.seconds is not None else ""
        self._reporter.say(
            f"job {view.number} ({view.rid}, {view.overrides}): {view.status.value}{took} [{len(self._told)} of {of}]"
        )

    def stop(self) -> None:
        """The rest is the report's."""
        self.look()


class LiveTable:
    """A table at the bottom of a terminal: what runs and what failed first, then as many others as there is room."""

    def __init__(self, parent: str, jobs: Jobs) -> None:
        self._parent, self._jobs = parent, jobs
        self._live: Live | None = None

    def start(self) -> None:
        """Show it; what is printed appears above."""
        from rich.console import Console
        from rich.live import Live

        self._output = LedOutput(self._above)
        self._terminal = self._output.start()
        self._console = Console(file=self._terminal, force_terminal=True)
        self._live = Live(
            console=self._console,
            refresh_per_second=_REFRESH_HZ,
            get_renderable=self._render,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def look(self) -> None:
        """It looks by itself."""

    def stop(self) -> None:
        """Leave its last state on the screen."""
        live, self._live = self._live, None
        if live is not None:
            self._output.stop()
            live.stop()
            self._terminal.close()

    def _above(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def _render(self) -> Table:
        return table(self._parent, self._jobs.views(), rows=max(self._console.height - _LINES_BESIDE_ROWS, 3))


def table(parent: str, views: Sequence[JobView], rows: int) -> Table:
    """
    The jobs as a table.

    Args:
        rows: at most so many jobs; the others are counted.
    """
    from rich import box
    from rich.table import Table

    slurm = any(view.slurm for view in views)
    shown = Table(title=headline(parent, views), title_justify="left", box=box.SIMPLE_HEAD, expand=False)
    shown.add_column("job", justify="right", no_wrap=True)
    shown.add_column("execution", no_wrap=True)
    shown.add_column("overrides", overflow="ellipsis", no_wrap=True, ratio=1)
    shown.add_column("state", no_wrap=True)
    shown.add_column("time", justify="right", no_wrap=True)
    if slurm:
        shown.add_column("SLURM", no_wrap=True)
    chosen = most_telling(views, rows)
    for view in chosen:
        shown.add_row(*_cells(view, slurm=slurm))
    if left := len(views) - len(chosen):
        shown.caption = f"… and {left} more"
    return shown


def _cells(view: JobView, *, slurm: bool) -> Iterator[Any]:
    from rich.text import Text

    waiting = view.status is Status.created
    yield str(view.number)
    yield view.rid
    yield Text(view.overrides)
    yield Text("waiting" if waiting else view.status.value, style=_COLOURS.get(view.status, ""))
    yield "" if view.seconds is None else duration_words(view.seconds)
    if slurm:
        yield Text(view.slurm)


def most_telling(views: Sequence[JobView], rows: int) -> list[JobView]:
    """Those that run and those that failed come first, then what waits, then what is done; in the jobs' order."""

    def rank(view: JobView) -> int:
        order = (Status.running, Status.stopped, Status.pending_upload, Status.failed, Status.aborted, Status.created)
        return order.index(view.status) if view.status in order else len(order)

    kept = sorted(sorted(views, key=lambda view: -view.number), key=rank)[:rows] if len(views) > rows else views
    return sorted(kept, key=lambda view: view.number)


def is_terminal() -> bool:
    """Whether somebody sees stderr as it is written."""
    return sys.stderr.isatty()

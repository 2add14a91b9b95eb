"""What every benchmark shares: alternating runs, medians, ratios, and where what was measured is kept."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import psutil
from rich.console import Console
from rich.table import Table

FAILED, MISSED = 1, 3  # exit codes: a part has no figures; all have, and one of them is outside its bound
MOST_S = 240  # for the runs of one table, so that all benchmarks end within the hour on a slower machine, too
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
prctl = ctypes.CDLL(None, use_errno=True).prctl


class LackingError(Exception):
    """What a benchmark needs and this machine hasn't; the page says so, and the rest is measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds of one subject's runs."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, median, fastest and slowest, and number of runs, for a table."""
        return self.name, sensible(self.median), spread(self.seconds), str(len(self.seconds))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, beside the bound that an issue sets for it; None for what is only told."""

    name: str
    value: float
    bound: float | None
    unit: str = "x"
    at_least: bool = False
    values: tuple[float, ...] = ()

    @classmethod
    def median(
        cls, name: str, values: Iterable[float], bound: float | None, unit: str = "x", *, at_least: bool = False
    ) -> Figure:
        """The median of several runs, which also tells their spread."""
        values = tuple(values)
        return cls(name, statistics.median(values), bound, unit, at_least, values)

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.bound is None or (self.value >= self.bound if self.at_least else self.value <= self.bound)

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, value, spread, bound, and whether it holds, for a table."""
        told = f"{sensible(self.value)} {self.unit}".rstrip()
        several = spread(self.values) if len(self.values) > 1 else ""
        if self.bound is None:
            return self.name, told, several, "", ""
        number = f"{self.bound:.3g}" if self.bound < 1000 else f"{self.bound:,.0f}"
        bound = f"{'at least' if self.at_least else 'at most'} {number} {self.unit}".rstrip()
        return self.name, told, several, bound, "held" if self.holds else "**missed**"


SAMPLE_HEAD = ("subject", "median, s", "spread, s", "runs")
FIGURE_HEAD = ("figure", "measured", "spread", "bound", "outcome")


def sensible(value: float) -> str:
    """Three digits, and never an exponent."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    digits = next((digits for least, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)) if abs(value) >= least), 4)
    return f"{value:,.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """Least and greatest."""
    least, greatest = sensible(min(values)), sensible(max(values))
    return least if least == greatest else f"{least} to {greatest}"


def machine() -> str:
    """The facts without which a figure means nothing."""
    gib = int(re.findall(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))[0]) / 2**20
    model = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return (
        f"{os.cpu_count()} cores ({model[0] if model else platform.machine()}), {gib:.0f} GiB, {platform.system()} "
        f"{platform.release()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("deriva-ml", "hydra-core", "deriva"))
    )


def alternate(subjects: Mapping[str, Callable[[], object]], runs: int, warm_ups: int = 1) -> dict[str, Sample]:
    """
    Time every subject in turn, there and back, so that a drift of the machine meets all alike.

    Args:
        runs: of each subject; fewer, but one, where more would take longer than MOST_S.
        warm_ups: turns before, which are not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    order, begun = list(subjects.items()), time.perf_counter()
    for turn in range(-warm_ups, runs):
        done, gone = turn + warm_ups, time.perf_counter() - begun
        if turn > 0 and gone * (done + 1) / done > MOST_S:
            break
        for name, call in order:
            start = time.perf_counter()
            call()
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
        order.reverse()
    return {name: Sample(name, tuple(seconds)) for name, seconds in times.items()}


def there_and_back(subjects: Iterable[str], turns: int) -> Iterator[str]:
    """The subjects in turn, in the other order every second time."""
    order = list(subjects)
    for _ in range(turns):
        yield from order
        order.reverse()


def command(
    *argv: str, cwd: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None
) -> Callable[[], object]:
    """A subject that runs a whole process and insists on its success."""

    def run() -> object:
        done = subprocess.run(argv, cwd=cwd, env=env, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr or done.stdout)[-3000:]
            raise RuntimeError(f"exit code {done.returncode} of {' '.join(argv)}\n{said}")
        return done

    return run


def program(main: Callable[[], int]) -> NoReturn:
    """Run a benchmark to its exit code; what it has started ends with it, killed by SIGTERM or Ctrl-C, too."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled is kept, as a user's Python does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    adopt_orphans()
    try:
        sys.exit(main())
    finally:
        end_what_is_left()


def adopt_orphans() -> None:
    """From now on, whatever is started and left behind is a child of this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_what_is_left() -> None:
    """Kill what has been started and not ended; the children of those become ours in turn."""
    while left := psutil.Process().children(recursive=True):
        for process in left:
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                process.kill()
        psutil.wait_procs(left, timeout=10)


def each(parts: Mapping[str, Callable[[str], int]]) -> int:
    """
    Measure one part after the other; where one lacks something or fails, the page says so and the rest is measured.

    Args:
        parts: each by the question that it answers, which it is called with; returns an exit code.

    Returns:
        An exit code: 0, MISSED or FAILED.
    """
    codes = set()
    for title, part in parts.items():
        try:
            codes.add(part(title))
        except LackingError as why:
            codes.add(cannot(title, str(why)))
        except Exception:  # noqa: BLE001 - of a peer as of ourselves
            traceback.print_exc()
            cannot(title, "it failed; what the benchmark has printed says why.")
            codes.add(FAILED)
    return next((code for code in (FAILED, MISSED) if code in codes), 0)


def report(title: str, samples: Mapping[str, Sample], figures: Iterable[Figure], about: str = "") -> int:
    """
    Print the tables of one part of a benchmark, and keep them for the page where the program of all benchmarks asks.

    Args:
        title: the question that it answers; the first figure is the answer that the page opens with.
        about: a paragraph of Markdown between the title and the tables.

    Returns:
        An exit code: 0, or MISSED.
    """
    figures = list(figures)
    console = Console(width=140)
    console.print(f"[bold]{title}[/bold]\n{machine()}")
    for head, rows in ((SAMPLE_HEAD, list(samples.values())), (FIGURE_HEAD, figures)):
        table = Table(*head)
        for row in rows:
            table.add_row(*row.cells)
        if rows:
            console.print(table)
    _keep(
        title, about=about, samples=[asdict(one) for one in samples.values()], figures=[asdict(one) for one in figures]
    )
    return 0 if all(figure.holds for figure in figures) else MISSED


def cannot(title: str, why: str) -> int:
    """Say on the page, too, what a benchmark misses here, in place of its tables; returns the exit code 0."""
    print(f"{title} Not measured: {why}")
    _keep(title, absent=why)
    return 0


def _keep(title: str, **facts: object) -> None:
    if results := os.environ.get("BENCH_RESULTS"):
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"title": title, **facts}) + "\n")

"""What every benchmark shares: alternating runs, medians, ratios, and the machine that they were measured on.

Where BENCH_PAGE names a file, each report is added to it as Markdown; `nox -s bench` makes docs/benchmarks.md so.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table


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
    def spread(self) -> str:
        """Fastest and slowest run, in seconds."""
        return f"{min(self.seconds):.3f}-{max(self.seconds):.3f}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, beside the bound that an issue sets for it; None for what is only told."""

    name: str
    value: float
    bound: float | None
    unit: str = "x"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.bound is None or (self.value >= self.bound if self.at_least else self.value <= self.bound)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, value, bound, and whether it holds, for a table."""
        told = f"{self.value:.3g} {self.unit}".rstrip()
        if self.bound is None:
            return self.name, told, "", ""
        sign = ">=" if self.at_least else "<="
        return self.name, told, f"{sign} {self.bound:g} {self.unit}".rstrip(), "yes" if self.holds else "NO"


def machine() -> str:
    """The facts without which a figure means nothing."""
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - a pseudo file
        gib = int(file.readline().split()[1]) / 2**20
    return (
        f"{os.cpu_count()} cores, {gib:.0f} GiB, {platform.platform()}, Python {platform.python_version()}, "
        f"deriva-ml {version('deriva-ml')}, hydra-core {version('hydra-core')}, deriva {version('deriva')}"
    )


def alternate(subjects: Mapping[str, Callable[[], object]], runs: int, warm_ups: int = 1) -> dict[str, Sample]:
    """Time every subject `runs` times in turn, so that a drift of the machine meets all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(-warm_ups, runs):
        for name, call in subjects.items():
            start = time.perf_counter()
            call()
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: Sample(name, tuple(seconds)) for name, seconds in times.items()}


def command(
    *argv: str, cwd: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None
) -> Callable[[], object]:
    """A subject that runs a whole process and insists on its success."""
    return lambda: subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True)


def report(title: str, samples: Mapping[str, Sample], figures: list[Figure]) -> int:
    """Print the tables of one benchmark; returns the number of figures that miss their bound."""
    console = Console(width=120)
    console.print(f"[bold]{title}[/bold]\n{machine()}")
    tables = [(("figure", "measured", "bound", "holds"), [figure.cells for figure in figures])]
    if samples:
        rows = [(one.name, f"{one.median:.3f}", one.spread, str(len(one.seconds))) for one in samples.values()]
        tables.insert(0, (("subject", "median s", "spread s", "runs"), rows))
    for head, rows in tables:
        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    if page := os.environ.get("BENCH_PAGE"):
        with Path(page).open("a", encoding="utf-8") as file:
            file.write("\n".join(_markdown(title, tables)))
    return sum(not figure.holds for figure in figures)


def _markdown(title: str, tables: Iterable[tuple[Sequence[str], Iterable[Sequence[str]]]]) -> Iterator[str]:
    yield from (f"### {title}", "", f"{machine()}; {datetime.now(UTC):%Y-%m-%d}", "")
    for head, rows in tables:
        yield from (f"| {' | '.join(head)} |", "|---" * len(head) + "|")
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
    yield ""

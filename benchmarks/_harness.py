"""What every benchmark shares: alternating runs, medians, ratios, and the machine that they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

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
    """One measured figure, beside the bound that an issue sets for it."""

    name: str
    value: float
    bound: float
    unit: str = "x"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


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
    if samples:
        table = Table("subject", "median s", "spread s", "runs")
        for sample in samples.values():
            table.add_row(sample.name, f"{sample.median:.3f}", sample.spread, str(len(sample.seconds)))
        console.print(table)
    table = Table("figure", "measured", "bound", "holds")
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        table.add_row(
            figure.name, f"{figure.value:.3g} {figure.unit}", f"{sign} {figure.bound:g} {figure.unit}",
            "yes" if figure.holds else "NO",
        )  # fmt: skip
    console.print(table)
    return sum(not figure.holds for figure in figures)

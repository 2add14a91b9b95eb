"""
What a model measured, read from the files in which it recorded it.

    metrics.json     one document: numbers are final values, a list of numbers is a value for each step
    metrics.jsonl    one object a line, with "step" where the line belongs to one (`execution.log_metrics`)

Nested names are joined by dots: {"test": {"accuracy": 0.9}} is test.accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

STEP_NAMES = ("step", "global_step", "epoch", "iteration")
"""Which number of a line says its place in the run; the first that is there."""
_CLOCKS = frozenset({"time", "timestamp", "wall_time"})


@dataclass(slots=True)
class Series:
    """The values of one metric in the order of their steps."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Metrics:
    """
    The metrics of one execution.

    Args:
        final: the last value of each.
        series: those that have more than one value.
    """

    final: dict[str, float] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)

    def merge(self, other: Metrics) -> None:
        """Add the metrics of another file; a name that both have keeps the longer series, and the other's value."""
        self.final.update(other.final)
        for name, series in other.series.items():
            if name not in self.series or len(series.steps) >= len(self.series[name].steps):
                self.series[name] = series


def read_metrics(name: str, content: bytes) -> Metrics:
    """
    The metrics of one file. What can't be read as one, such as the half line of a killed run, is left out.

    Args:
        name: the file's; `.jsonl` has an object a line.
    """
    text = content.decode("utf-8", errors="replace")
    if name.lower().endswith((".jsonl", ".ndjson")):
        return _of_lines(_json_lines(text))
    try:
        document = json.loads(text)
    except ValueError:
        return Metrics()
    if isinstance(document, list):
        return _of_lines(line for line in document if isinstance(line, dict))
    return _of_document(document) if isinstance(document, dict) else Metrics()


def _json_lines(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.strip()]
    try:  # one call of the parser for all lines is several times as fast
        found = json.loads(f"[{','.join(lines)}]")
    except ValueError:
        found = [_parsed(line) for line in lines]
    return [line for line in found if isinstance(line, dict)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _of_lines(lines: Iterable[dict[str, Any]]) -> Metrics:
    found: dict[str, Series] = {}
    for number, line in enumerate(lines):
        step_name = next((name for name in STEP_NAMES if _is_number(line.get(name))), None)
        step = line[step_name] if step_name else number
        for name, value in _flat(line):
            if name != step_name and name not in _CLOCKS and _is_number(value):
                series = found.setdefault(name, Series())
                series.steps.append(step)
                series.values.append(value)
    return _of_series(found)


def _of_document(document: Mapping[str, Any]) -> Metrics:
    metrics = Metrics()
    for name, value in _flat(document):
        if _is_number(value):
            metrics.final[name] = value
        elif isinstance(value, list) and value and all(map(_is_number, value)):
            metrics.merge(_of_series({name: Series([float(at) for at in range(1, len(value) + 1)], value)}))
    return metrics


def _of_series(found: Mapping[str, Series]) -> Metrics:
    return Metrics(
        {name: series.values[-1] for name, series in found.items()},
        {name: series for name, series in found.items() if len(series.values) > 1},
    )


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

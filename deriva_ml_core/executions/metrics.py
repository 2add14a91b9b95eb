"""What a model measures while it runs: one JSON line a step, in a file that others may read meanwhile.

    {"step": 3, "time": "2026-01-31T12:00:00.123+00:00", "loss": 0.25}

Numbers that JSON has no word for are written as "NaN", "Infinity" and "-Infinity" (as protobuf's JSON does), so that
every line is JSON for every reader; Python's float() takes all three.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deriva_ml_core.assets.lines import append_lines, read_lines
from deriva_ml_core.assets.values import json_value
from deriva_ml_core.errors import DerivaMLValidationError

RESERVED = ("step", "time")
_NO_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def append_metrics(file: Path, step: float | None, values: Mapping[str, Any]) -> None:
    """
    Add the values of one step; safe from several threads and processes at a time.

    Args:
        step: number of the step, or None for values of the run as a whole.
        values: numbers, texts, truth values, or None; numbers of NumPy and tensors of one element count as numbers.

    Raises:
        DerivaMLValidationError: there is no value, or one is of another kind.
        WorkingFolderError: the file can't be written.
    """
    if not values:
        raise DerivaMLValidationError("log_metrics was given no value: log_metrics(step, loss=0.25)")
    line: dict[str, Any] = {"step": _plain("step", step), "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
    for name, value in values.items():
        if name in RESERVED:
            raise DerivaMLValidationError(f"a metric can't be called {name!r}: each line has a {name} of its own")
        line[name] = _plain(name, value)
    append_lines(file, [json.dumps(line, ensure_ascii=False, allow_nan=False)])


def read_metrics(file: Path) -> Iterator[dict[str, Any]]:
    """What was logged, in order: also while it is being written, and after a crash in the middle of a line."""
    for line in read_lines(file):
        yield {name: _NO_NUMBERS.get(value, value) if isinstance(value, str) else value for name, value in line.items()}


def _plain(name: str, value: Any) -> Any:
    value = json_value(value)
    if callable(item := getattr(value, "item", None)) and getattr(value, "size", None) in (1, None):
        value = item()
    if isinstance(value, float) and not math.isfinite(value):
        return next(text for text, number in _NO_NUMBERS.items() if str(number) == str(value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise DerivaMLValidationError(f"metric {name}: {type(value).__name__} is no number, text or truth value")

"""Facts in a person's words, as commands print them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

STYLES = {"Uploaded": "green", "Failed": "red", "Aborted": "yellow", "Running": "cyan"}
"""rich's style of a status."""


def size(size_bytes: int | None) -> str:
    """A number of bytes in a unit that a person reads."""
    if size_bytes is None:
        return "unknown size"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} bytes"


def counted(number: int, noun: str) -> str:
    """A number of things: 1 file, 2 files."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def when(text: str | None) -> str:
    """A time of a catalog or journal in the reader's own zone."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def value_words(value: Any) -> str:
    """A recorded value, short enough for a table."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)

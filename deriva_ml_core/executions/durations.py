"""Durations as the catalog's columns hold them: "0.0H 1.0min 2.5sec" (COMPAT.md section 10)."""

from __future__ import annotations

import re

_TEXT = re.compile(r"(?P<hours>[\d.]+)H\s+(?P<minutes>[\d.]+)min\s+(?P<seconds>[\d.]+)sec")


def duration_text(seconds: float) -> str:
    """The text of a duration; seconds are rounded to a tenth, and never show as 60."""
    tenths = max(0, round(seconds * 10))
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    return f"{float(hours)}H {float(minutes)}min {rest / 10}sec"


def parse_duration(text: str | None) -> float | None:
    """Seconds of a duration's text; None where it is not one."""
    found = _TEXT.fullmatch((text or "").strip())
    if found is None:
        return None
    try:
        hours, minutes, seconds = (float(found[part]) for part in ("hours", "minutes", "seconds"))
    except ValueError:  # "1.2.3H"
        return None
    return hours * 3600 + minutes * 60 + seconds


def duration_words(seconds: float | None) -> str:
    """A duration for a person: "2.5 s", "1 min 2 s", "3 h 4 min"; "" where it is not known."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""Times as a person types them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from deriva_ml_core.errors import DerivaMLConfigurationError

_AGO = re.compile(r"(\d+)([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_time(text: str) -> datetime:
    """
    A time: ISO 8601, in this machine's zone where it names none, or how long ago (36h, 7d, 2w).

    Raises:
        DerivaMLConfigurationError: it is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return datetime.now().astimezone() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError as err:
        raise DerivaMLConfigurationError(
            f"{text!r} is no time: write 2026-11-01, 2026-11-01T12:00, 36h, 7d or 2w"
        ) from err


def end_of(text: str) -> datetime:
    """The same; of a date, its end."""
    time = read_time(text)
    return time + timedelta(days=1) if _DATE.fullmatch(text.strip()) else time

"""
Dates, times and timestamps: from the many spellings that PostgreSQL reads to the one that we store.

The stored forms are PostgreSQL's own text forms (`2024-01-02`, `03:04:05.25`, `2024-01-02 03:04:05.5+00`): UTC, no
trailing zeros. They sort as time, since `+` is below `.` and the digits, and so do `-infinity` and `infinity`. Years
run from 1 to 9999; years BC are refused.

Source: PostgreSQL documentation, "Date/Time Types" and appendix B, with DateStyle `ISO, MDY` and time zone UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>[A-Za-z]{3,9})"
_DATES = [
    re.compile(form, re.ASCII)
    for form in (
        r"(?P<y>\d{4,})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<y>\d{2})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<y>\d{4,})[/.](?P<m>\d{1,2})[/.](?P<d>\d{1,2})",
        r"(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{2}|\d{4})",
        r"(?P<y>\d{4})[-.](?P<yday>\d{3})",
        rf"{_MONTH}[ -]*(?P<d>\d{{1,2}}),?[ -]+(?P<y>\d{{2}}|\d{{4}})",
        rf"(?P<d>\d{{1,2}})[ -]*{_MONTH},?[ -]+(?P<y>\d{{2}}|\d{{4}})",
        rf"(?P<y>\d{{4}})[ -]+{_MONTH}[ -]+(?P<d>\d{{1,2}})",
    )
]
_CLOCK = re.compile(
    r"(?P<h>\d{1,2}):(?P<min>\d{1,2})(?::(?P<s>\d{1,2})(?:\.(?P<f>\d*))?)?(?:\s*(?P<half>[AaPp][Mm])\b)?"
    r"|(?P<h6>\d{2})(?P<min6>\d{2})(?:(?P<s6>\d{2})(?:\.(?P<f6>\d*))?)?(?=\D|$)",
    re.ASCII,
)
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<h>\d{1,2})(?::?(?P<min>\d{2})(?::?(?P<s>\d{2}))?)?", re.ASCII)
_POSIX_ZONE = re.compile(r"[A-Za-z]{3,}([+-])(\d{1,2}(?::\d{2})?)", re.ASCII)
_STAMP = re.compile(
    r"(?P<date>[^T:+]*?[0-9a-z])"
    r"(?:(?:\s*[Tt]\s*|\s+)(?P<clock>\d{1,2}:[\d:.]+(?:\s*[AaPp][Mm]\b)?|\d{6}(?:\.\d*)?|(?<=[Tt])\d{4})\s*(?P<zone>[A-Za-z+-].*)?)?",
    re.ASCII,
)
_WEEKDAY = re.compile(r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\b,?\s*", re.IGNORECASE)
_YEAR_LAST = re.compile(rf"({_MONTH}\s+\d{{1,2}})\s+([\d:.]+)\s+(\d{{4}})(.*)", re.ASCII)
"""As C's asctime writes it: `Jan 02 03:04:05 2024`."""
_COMMON = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(\.\d{1,6})?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INFINITE = {"infinity", "-infinity", "+infinity"}
_SPECIAL = {"epoch", "now", "now()", "today", "tomorrow", "yesterday"}
_MIDNIGHT = "allballs"
_ZONES_BY_HOURS_EAST = {
    0: "UTC GMT UT Z ZULU WET",
    1: "BST CET MET WEST",
    2: "CEST MEST EET IST",
    3: "EEST MSK",
    9: "JST KST",
    10: "AEST",
    11: "AEDT",
    12: "NZST",
    13: "NZDT",
    -3: "ADT",
    -4: "AST EDT",
    -5: "EST CDT",
    -6: "CST MDT",
    -7: "MST PDT",
    -8: "PST AKDT",
    -9: "AKST",
    -10: "HST",
}
_ABBREVIATIONS = {name: hours for hours, names in _ZONES_BY_HOURS_EAST.items() for name in names.split()}
"""PostgreSQL's default set has more, which are rare."""


def read_date(text: str) -> str:
    """
    The stored form of a date; of a timestamp, its day.

    Raises:
        ValueError: no date.
    """
    if _ISO_DATE.fullmatch(text):  # nearly all are
        return date.fromisoformat(text).isoformat()
    text = text.strip()
    if text.lower() in _INFINITE:
        return text.lower().removeprefix("+")
    moment = _special(text) if text.lower() in _SPECIAL else _stamp(text, zoned=False)
    return moment.strftime("%Y-%m-%d")


def read_timestamp(text: str, *, zoned: bool) -> str:
    """
    The stored form of a timestamp; a date alone is its midnight.

    Args:
        zoned: for timestamptz, convert to UTC; otherwise a zone in the text is ignored.

    Raises:
        ValueError: no timestamp.
    """
    text = text.strip()
    if text.lower() in _INFINITE:
        return text.lower().removeprefix("+")
    moment = _special(text) if text.lower() in _SPECIAL else _stamp(text, zoned=zoned)
    stored = moment.isoformat(" ", timespec="microseconds")[:26].rstrip("0") if moment.microsecond else str(moment)[:19]
    return f"{stored}+00" if zoned else stored


def read_time(text: str, *, zoned: bool = False) -> str:
    """
    The stored form of a time of day: `03:04:05.25`, for timetz followed by its offset, `+02`.

    Raises:
        ValueError: no time.
    """
    text = text.strip().removeprefix("T").removeprefix("t")
    if text.lower() == _MIDNIGHT:
        text = "00:00"
    if text.lower() in {"now", "now()"}:
        text = _special(text).time().isoformat()
    moment = None
    stamp = _STAMP.fullmatch(_plain(text))
    if stamp and stamp["clock"]:
        text, moment = f"{stamp['clock']} {stamp['zone'] or ''}", _stamp(text, zoned=False)
    found = _CLOCK.match(text)
    if not found:
        raise ValueError(text)
    since_midnight = _since_midnight(found)
    zone = text[found.end() :].strip()
    offset = _offset(zone, moment) if zone else timedelta()
    stored = _clock_text(since_midnight)
    return stored + _offset_text(offset) if zoned else stored


def is_special(word: object) -> bool:
    """Whether a text means another time whenever it is read, such as `now`."""
    return isinstance(word, str) and word.strip().lower() in _SPECIAL - {"epoch"}


def _special(word: str) -> datetime:
    now = datetime.now(UTC).replace(tzinfo=None)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "epoch": datetime(1970, 1, 1),  # noqa: DTZ001 - stored times have no zone
        "now": now,
        "now()": now,
        "today": midnight,
        "tomorrow": midnight + timedelta(days=1),
        "yesterday": midnight - timedelta(days=1),
    }[word.lower()]


def _stamp(text: str, *, zoned: bool) -> datetime:
    if found := _COMMON.fullmatch(text):
        day, clock, fraction, zone = found.groups()
        moment = datetime.fromisoformat(f"{day}T{clock}{fraction or ''}")
    else:
        loose = _STAMP.fullmatch(_plain(text))
        if not loose:
            raise ValueError(text)
        clock_found = _CLOCK.fullmatch(loose["clock"]) if loose["clock"] else None
        if loose["clock"] and not clock_found:
            raise ValueError(text)
        since_midnight = _since_midnight(clock_found) if clock_found else timedelta()
        moment = datetime.combine(_date(loose["date"]), time()) + since_midnight
        zone = loose["zone"]
    offset = _offset(zone, moment) if zone else timedelta()  # a zone must be one even where it does not count
    if not zoned:
        return moment
    try:
        return moment - offset
    except OverflowError as err:
        raise ValueError(text) from err


def _plain(text: str) -> str:
    """Without the day of the week, and with the year beside the day."""
    text = _WEEKDAY.sub("", text, count=1) if text[:1].isalpha() else text
    if found := _YEAR_LAST.fullmatch(text):
        text = f"{found[1]} {found[4]} {found[3]}{found[5]}"
    return text.removesuffix(f" {_MIDNIGHT}")


def _date(text: str) -> date:
    for form in _DATES:
        if found := form.fullmatch(text.strip()):
            parts = found.groupdict()
            year = int(parts["y"]) + (0 if len(parts["y"]) > 2 else 2000 if int(parts["y"]) < 70 else 1900)
            if "yday" in parts:
                day = date(year, 1, 1) + timedelta(days=int(parts["yday"]) - 1)
                return day if day.year == year else _date("")
            month = _month(parts["month"]) if "month" in parts else int(parts["m"])
            return date(year, month, int(parts["d"]))
    raise ValueError(text)


def _month(word: str) -> int:
    return _MONTHS.index(word[:3].lower()) + 1  # ValueError if it is none


def _since_midnight(found: re.Match[str]) -> timedelta:
    hours, minutes = int(found["h"] or found["h6"]), int(found["min"] or found["min6"])
    seconds, fraction = int(found["s"] or found["s6"] or 0), found["f"] or found["f6"] or ""
    if found["half"]:
        if not 1 <= hours <= 12:
            raise ValueError(found[0])
        hours = hours % 12 + (12 if found["half"].lower() == "pm" else 0)
    microseconds = round(int(fraction or 0) * 10 ** (6 - len(fraction))) if len(fraction) < 40 else 0
    sum_ = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)
    if minutes > 59 or seconds > 60 or sum_ > timedelta(days=1):
        raise ValueError(found[0])
    return sum_


def _clock_text(since_midnight: timedelta) -> str:
    seconds = since_midnight.days * 86400 + since_midnight.seconds
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{since_midnight.microseconds:06}".rstrip("0") if since_midnight.microseconds else text


def _offset(zone: str, moment: datetime | None) -> timedelta:
    """What to subtract from a local time to get UTC."""
    if zone.upper() in _ABBREVIATIONS:
        return timedelta(hours=_ABBREVIATIONS[zone.upper()])
    if posix := _POSIX_ZONE.fullmatch(zone):  # POSIX counts west of Greenwich
        return -_offset(posix[1] + posix[2], moment)
    if found := _OFFSET.fullmatch(zone):
        size = timedelta(hours=int(found["h"]), minutes=int(found["min"] or 0), seconds=int(found["s"] or 0))
        if size > timedelta(hours=15, minutes=59, seconds=59):
            raise ValueError(zone)
        return -size if found["sign"] == "-" else size
    return _named_zone(zone).utcoffset(moment or datetime.now(UTC)) or timedelta()


def _named_zone(name: str) -> tzinfo:
    if not re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+){0,2}", name):
        raise ValueError(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as err:
        raise ValueError(name) from err


def _offset_text(offset: timedelta) -> str:
    size = abs(offset) // timedelta(seconds=1)
    text = f"{'-' if offset < timedelta() else '+'}{size // 3600:02}"
    if size % 3600:
        text += f":{size // 60 % 60:02}"
    return f"{text}:{size % 60:02}" if size % 60 else text


def seconds_of(stored: str) -> float:
    """Seconds since 1970 of a stored date or timestamp, for arithmetic with bins."""
    return float(stored) if stored.endswith("y") else _moment(stored).timestamp()


def shift(stored: str, seconds: float) -> datetime:
    """The moment that many seconds after a stored date or timestamp."""
    return _moment(stored) + timedelta(seconds=seconds)


def _moment(stored: str) -> datetime:
    return datetime.fromisoformat(stored.removesuffix("+00")).replace(tzinfo=UTC)

"""
Intervals, stored in PostgreSQL's own text form: `1 year 2 mons 3 days 04:05:06.5`.

Source: PostgreSQL documentation, "Interval Input" and "Interval Output" (IntervalStyle `postgres`).
"""

from __future__ import annotations

import re
from fractions import Fraction

_MONTHS = {"millennium": 12000, "century": 1200, "decade": 120, "year": 12, "mon": 1}
_DAYS = {"week": 7, "day": 1}
_SECONDS = {
    "hour": Fraction(3600),
    "minute": Fraction(60),
    "second": Fraction(1),
    "millisecond": Fraction(1, 1000),
    "microsecond": Fraction(1, 10**6),
}
_UNITS = {
    **dict.fromkeys(["year", "years", "yr", "yrs", "y"], "year"),
    **dict.fromkeys(["month", "months", "mon", "mons"], "mon"),
    **dict.fromkeys(["week", "weeks", "w"], "week"),
    **dict.fromkeys(["day", "days", "d"], "day"),
    **dict.fromkeys(["hour", "hours", "hr", "hrs", "h"], "hour"),
    **dict.fromkeys(["minute", "minutes", "min", "mins", "m"], "minute"),
    **dict.fromkeys(["second", "seconds", "sec", "secs", "s"], "second"),
    **dict.fromkeys(["millisecond", "milliseconds", "msec", "msecs", "ms"], "millisecond"),
    **dict.fromkeys(["microsecond", "microseconds", "usec", "usecs", "us"], "microsecond"),
    **dict.fromkeys(["decade", "decades", "dec", "decs"], "decade"),
    **dict.fromkeys(["century", "centuries", "cent", "c"], "century"),
    **dict.fromkeys(["millennium", "millennia", "mil", "mils"], "millennium"),
}
_ISO_DATE = {"Y": "year", "M": "mon", "W": "week", "D": "day"}
_ISO_TIME = {"H": "hour", "M": "minute", "S": "second"}
_NUMBER = r"[+-]?\d{1,9}(?:\.\d{1,9})?"
_PART = re.compile(
    rf"\s*(?:(?P<amount>{_NUMBER})\s*(?P<unit>[A-Za-z]+)"
    r"|(?P<short>[+-]?)(?P<m>\d{1,9}):(?P<ss>\d\d\.\d{1,9})"  # minutes and seconds, if the seconds have a fraction
    r"|(?P<sign>[+-]?)(?P<h>\d{1,9}):(?P<min>\d\d)(?::(?P<s>\d\d(?:\.\d{1,9})?))?"
    r"|(?P<ym>[+-]?)(?P<years>\d{1,9})-(?P<months>\d{1,2})(?=\s|$)"
    rf"|(?P<days>{_NUMBER})(?=\s+[+-]?\d+:))\s*",  # a bare number before a time
    re.ASCII,
)
_ALTERNATIVE = re.compile(
    r"P(?P<y>\d{1,9})-(?P<mon>\d{1,9})-(?P<d>\d{1,9})(?:T(?P<h>\d{1,9}):(?P<min>\d{1,9}):(?P<s>\d{1,9}(?:\.\d{1,9})?))?"
)
_ISO = re.compile(rf"P((?:{_NUMBER}[YMWD])*)(?:T((?:{_NUMBER}[HMS])+))?")

Amounts = tuple[int, int, Fraction]
"""Months, days and seconds, which PostgreSQL keeps apart."""
NOTHING: Amounts = (0, 0, Fraction(0))


def read_interval(text: str) -> str:
    """
    The stored form of an interval.

    Raises:
        ValueError: no interval.
    """
    text = text.strip().removeprefix("@").strip()
    ago = text.lower().endswith(" ago")
    parts = _parts(text[:-4] if ago else text)
    months, days, seconds = Fraction(0), Fraction(0), Fraction(0)
    for amount, unit in parts:
        months += amount * _MONTHS.get(unit, 0)
        days += amount * _DAYS.get(unit, 0)
        seconds += amount * _SECONDS.get(unit, 0)
    days += (months - int(months)) * 30
    seconds += (days - int(days)) * 86400
    sign = -1 if ago else 1
    return write((sign * int(months), sign * int(days), sign * Fraction(round(seconds * 10**6), 10**6)))


def _parts(text: str) -> list[tuple[Fraction, str]]:
    if alternative := _ALTERNATIVE.fullmatch(text):
        words = ("year", "mon", "day", "hour", "minute", "second")
        found = [(Fraction(n or 0), unit) for n, unit in zip(alternative.groups(), words, strict=True)]
    elif iso := _ISO.fullmatch(text):
        found = [(Fraction(n), _ISO_DATE[u]) for n, u in re.findall(rf"({_NUMBER})([YMWD])", iso[1])]
        found += [(Fraction(n), _ISO_TIME[u]) for n, u in re.findall(rf"({_NUMBER})([HMS])", iso[2] or "")]
    elif re.fullmatch(_NUMBER, text):
        found = [(Fraction(text), "second")]
    else:
        found = _verbose_parts(text)
    if not found:
        raise ValueError(text)
    return found


def _verbose_parts(text: str) -> list[tuple[Fraction, str]]:
    found: list[tuple[Fraction, str]] = []
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if not part:
            raise ValueError(text)
        position = part.end()
        found += _amounts(part)
    units = [unit for _, unit in found]
    if len(set(units)) < len(units):
        raise ValueError(text)
    return found


def _amounts(part: re.Match[str]) -> list[tuple[Fraction, str]]:
    """What one part of an interval says; a time says hours, minutes and seconds."""
    if part["unit"]:
        if part["unit"].lower() not in _UNITS:
            raise ValueError(part["unit"])
        return [(Fraction(part["amount"]), _UNITS[part["unit"].lower()])]
    if part["days"]:
        return [(Fraction(part["days"]), "day")]
    if part["years"]:
        sign = -1 if part["ym"] == "-" else 1
        return [(Fraction(sign * int(part["years"])), "year"), (Fraction(sign * int(part["months"])), "mon")]
    if part["m"]:
        sign, sizes = -1 if part["short"] == "-" else 1, ("0", part["m"], part["ss"])
    else:
        sign, sizes = -1 if part["sign"] == "-" else 1, (part["h"], part["min"], part["s"] or "0")
    return [(sign * Fraction(n), unit) for n, unit in zip(sizes, ("hour", "minute", "second"), strict=True)]


def write(amounts: Amounts) -> str:
    """The stored form of amounts."""
    months, days, seconds = amounts
    years, months = int(months / 12), int(abs(months) % 12 * (-1 if months < 0 else 1))
    words, negative = [], False
    for n, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if n:  # what is positive after something negative says so
            words.append(f"{'+' if negative and n > 0 else ''}{n} {unit}{'' if n == 1 else 's'}")
            negative = n < 0
    if seconds or not words:
        whole, rest = divmod(abs(seconds), 1)
        clock = f"{int(whole) // 3600:02}:{int(whole) // 60 % 60:02}:{int(whole) % 60:02}"
        fraction = f".{int(rest * 10**6):06}".rstrip("0") if rest else ""
        words.append(f"{'-' if seconds < 0 else '+' if negative else ''}{clock}{fraction}")
    return " ".join(words)


def amounts_of(stored: str) -> Amounts:
    """The amounts of a stored interval."""
    months, days, seconds = Fraction(0), Fraction(0), Fraction(0)
    for amount, unit in _verbose_parts(stored):
        months += amount * _MONTHS.get(unit, 0)
        days += amount * _DAYS.get(unit, 0)
        seconds += amount * _SECONDS.get(unit, 0)
    return int(months), int(days), seconds


def add(one: Amounts, other: Amounts) -> Amounts:
    """The sum of two intervals."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def divide(amounts: Amounts, count: int) -> Amounts:
    """An interval by a number: what is left of months becomes days, what is left of days seconds, to a microsecond."""
    months, days = int(Fraction(amounts[0], count)), int(Fraction(amounts[1], count))
    days_left = (Fraction(amounts[0], count) - months) * 30
    seconds = amounts[2] / count + (Fraction(amounts[1], count) - days + days_left - int(days_left)) * 86400
    return months, days + int(days_left), Fraction(round(seconds * 10**6), 10**6)


def order_of(stored: str) -> float:
    """A number that orders stored intervals: seconds, with months of 30 days."""
    months, days, seconds = amounts_of(stored)
    return float((months * 30 + days) * 86400 + seconds)

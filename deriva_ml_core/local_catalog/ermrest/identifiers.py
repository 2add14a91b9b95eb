"""
RIDs, snapshot identifiers and times: three spellings of numbers.

A RID and a snapshot identifier are the same code: Crockford base-32 of twice the number, upper case, a dash before
every fourth symbol from the right. (Twice, because 13 symbols carry 65 bits: the lowest is always 0.)

Source: ERMrest docs, "user-doc/naming.md" and "Resource Naming" (snapshot qualified names); Crockford's base-32.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {symbol: value for value, symbol in enumerate(_SYMBOLS)} | {"O": 0, "I": 1, "L": 1}
_SHAPE = re.compile(r"(?=[^-])[0-9A-HJ-NP-TV-ZOIL-]{1,20}", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1


def encode(number: int) -> str:
    """The RID or snapshot identifier of a number n ≥ 0, such as 2-0000 for 2**20."""
    number *= 2
    symbols = ""
    while True:
        number, rest = divmod(number, 32)
        symbols = _SYMBOLS[rest] + symbols
        if not number:
            break
    head = len(symbols) % 4
    return "-".join(([symbols[:head]] if head else []) + [symbols[i : i + 4] for i in range(head, len(symbols), 4)])


def decode(text: str) -> int | None:
    """The number that a RID or snapshot identifier stands for in any of its spellings; None if it is none."""
    if not _SHAPE.fullmatch(text):
        return None
    number = 0
    for symbol in text.upper().replace("-", ""):
        number = number * 32 + _VALUES[symbol]
    number //= 2
    return number if number <= _LARGEST else None


def canonical(text: str) -> str | None:
    """The one spelling in which a RID is stored; None if the text is no RID."""
    number = decode(text)
    return None if number is None else encode(number)


def time_text(microseconds: int) -> str:
    """
    The stored form of a timestamptz, such as 2024-01-02 03:04:05.5+00: UTC, no trailing zeros.

    It is also PostgreSQL's text form, and it sorts as time ("+" is below "." and the digits).
    """
    moment = _EPOCH + timedelta(microseconds=microseconds)
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return f"{text}{fraction}+00"


def microseconds_of(time: str) -> int:
    """The microseconds since 1970 that a stored timestamptz of this service's own making stands for."""
    return round((datetime.fromisoformat(time + ":00") - _EPOCH) / timedelta(microseconds=1))

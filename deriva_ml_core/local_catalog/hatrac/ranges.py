"""Byte ranges of a GET. Source: RFC 9110 section 14; what is ignored and what is refused: NOTES.md "Hatrac"."""

import re

from ..errors import NotProvided, RangeNotSatisfiable

_ONE = re.compile(r"(\d*)-(\d*)")


def requested(header: str | None, size: int) -> tuple[int, int] | None:
    """
    The first byte and the number of bytes to send; None for the whole.

    Raises:
        RangeNotSatisfiable: it begins beyond the end.
        NotProvided: more than one range.
    """
    unit, _, text = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    if "," in text:
        raise NotProvided("Ask for one range at a time.")
    found = _ONE.fullmatch(text.strip())
    if not found or not (found[1] or found[2]):
        return None
    return _whole_is_none(_span(found[1], found[2], size), size)


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    """(start, length) of a range; None where it says nothing."""
    if not first:
        wanted = min(int(last), size)
        return (size - wanted, wanted) if wanted else None
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable(f"The object has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    return start, min(end, size - 1) - start + 1


def _whole_is_none(span: tuple[int, int] | None, size: int) -> tuple[int, int] | None:
    return None if span == (0, size) else span

"""
The jsonb type: PostgreSQL's one spelling of a JSON document, and the order of documents.

Source: PostgreSQL documentation, "JSON Types": keys by length, then bytes; the last of equal keys wins; numbers
without exponent. Order: Object > Array > Boolean > Number > String > null.
"""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from typing import Any

MAX_DEPTH = 200
"""Nested deeper than this a document is refused: SQLite and Python both have limits of about 1,000."""
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def parse(text: str) -> Any:
    """
    A document with its numbers as int or Decimal.

    Raises:
        ValueError: no JSON, or nested too deep.
    """
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
        check_depth(document)
    except RecursionError as err:
        raise ValueError("nested too deep") from err
    return document


def _refuse(word: str) -> Any:
    raise ValueError(word)


def check_depth(document: Any, depth: int = 0) -> None:
    """
    Refuse what is nested too deep, or has NUL or a lone surrogate in its text.

    Raises:
        ValueError: as said.
    """
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(document, str):
        check_text(document)
    elif isinstance(document, dict):
        for key, value in document.items():
            check_text(key)
            check_depth(value, depth + 1)
    elif isinstance(document, list):
        for value in document:
            check_depth(value, depth + 1)


def check_text(text: str) -> None:
    """
    Refuse what no PostgreSQL text can hold.

    Raises:
        ValueError: NUL or a lone surrogate.
    """
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise ValueError("text must not hold NUL or lone surrogates")


def write(document: Any) -> str:
    """PostgreSQL's spelling, such as `{"a": [1, 2.5, null], "bb": {}}`."""
    if isinstance(document, dict):
        members = sorted(document.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return "{" + ", ".join(f"{_ENCODE(key)}: {write(value)}" for key, value in members) + "}"
    if isinstance(document, list):
        return "[" + ", ".join(map(write, document)) + "]"
    if isinstance(document, float):
        document = Decimal(repr(document))
    if isinstance(document, Decimal):
        return f"{document:f}" if document else f"{abs(document):f}"  # a numeric has no -0
    return _ENCODE(document)


def order_of(text: str) -> bytes:
    """Bytes that compare as the documents of these texts do."""
    return _key(parse(text), top=True)


def _key(document: Any, *, top: bool = False) -> bytes:
    if isinstance(document, dict):
        members = sorted(document.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        size = struct.pack(">I", len(members))
        return b"\x06" + size + b"".join(_text_key(key) + _key(value) for key, value in members)
    if isinstance(document, list):
        # An empty array at the top is below everything else: a quirk that PostgreSQL keeps for compatibility.
        mark = b"\x00" if top and not document else b"\x05"
        return mark + struct.pack(">I", len(document)) + b"".join(map(_key, document))
    if document is None:
        return b"\x01"
    if isinstance(document, bool):
        return b"\x04\x01" if document else b"\x04\x00"
    if isinstance(document, str):
        return b"\x02" + _text_key(document)
    return b"\x03" + number_key(float(document))


def _text_key(text: str) -> bytes:
    return text.encode() + b"\x00"


def number_key(number: float) -> bytes:
    """Eight bytes that compare as the numbers do."""
    bits = struct.unpack(">Q", struct.pack(">d", number + 0.0))[0]
    return struct.pack(">Q", bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63)

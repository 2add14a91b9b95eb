"""
Values: from what a client sends (JSON, CSV, a URL) to what SQLite stores.

Stored values sort and compare in SQLite as PostgreSQL's do, or have an order of their own (sqlforms.py): integers;
reals (float4 rounded to single precision, NaN as text, which sorts last); text; booleans 0 and 1; dates and times as
text (times.py); json as sent, jsonb in PostgreSQL's spelling; arrays as JSON text.

Source: PostgreSQL documentation, "Data Types"; NOTES.md "Writing rows" for what ERMrest makes of JSON.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import isnan
from typing import Any
from uuid import UUID

from deriva_ml_core.local_catalog.ermrest import arrays, jsonb, times
from deriva_ml_core.local_catalog.ermrest.intervals import read_interval
from deriva_ml_core.local_catalog.ermrest.model import ColumnType
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, Refusal

Stored = str | int | float | None
Read = Callable[[Any], Stored]

_INTEGER = re.compile(r"\s*[+-]?\d{1,30}\s*", re.ASCII)
_FLOAT = re.compile(
    r"\s*[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)\s*", re.IGNORECASE | re.ASCII
)
_NOT_ZERO = re.compile(r"[1-9]")
_UUID = re.compile(r"(\{)?(?:[0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}(?(1)\})")
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_RANGES = {"2": 2**15, "4": 2**31, "8": 2**63}
_LARGEST_FLOAT4 = 3.4028235677973366e38
ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A scalar type.

    Attributes:
        name: PostgreSQL's, serial types by their integer type: text, int4, timestamptz.
        family: types of one family compare with each other; "" compares with nothing.
        parse: from text. Raises ValueError.
        read: from a JSON value other than null. Raises ValueError, TypeError or OverflowError.
        url_refusal: how ERMrest refuses a literal in a URL that is no value (NOTES.md "URL grammar").
    """

    name: str
    family: str
    parse: Callable[[str], Stored]
    read: Read
    url_refusal: type[Refusal] = Conflict


def _plain_text(value: Any) -> str:
    """How PostgreSQL sees a JSON scalar that is put into another type: through its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return json.dumps(value, ensure_ascii=False)


def _parse_text(text: str) -> str:
    if not text.isascii() or "\0" in text:
        jsonb.check_text(text)
    return text


def _read_text(value: Any) -> str:
    return _parse_text(value if type(value) is str else _plain_text(value))


def _parse_integer(text: str, *, limit: int) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return _in_range(int(text), limit)


def _in_range(number: int, limit: int) -> int:
    if not -limit <= number < limit:
        raise ValueError(number)
    return number


def _read_integer(value: Any, *, limit: int) -> int:
    if type(value) is int:
        return _in_range(value, limit)
    return _parse_integer(_plain_text(value), limit=limit)


def _parse_float(text: str) -> Stored:
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    number = float(text)
    if number in (float("inf"), float("-inf")) and "inf" not in text.lower():
        raise ValueError(text)
    if number == 0 and _NOT_ZERO.search(text.lower().partition("e")[0]):  # too small, which PostgreSQL does not round
        raise ValueError(text)
    return "NaN" if isnan(number) else number


def _read_float(value: Any) -> Stored:
    if type(value) is float:
        return value
    return float(value) if type(value) is int else _parse_float(_plain_text(value))


def _single(stored: Stored) -> Stored:
    if not isinstance(stored, float) or stored in (float("inf"), float("-inf")):
        return stored
    if abs(stored) >= _LARGEST_FLOAT4:
        raise ValueError(stored)
    rounded: float = struct.unpack("<f", struct.pack("<f", stored))[0]
    if stored and not rounded:
        raise ValueError(stored)
    return rounded


def _parse_boolean(text: str) -> int:
    word = text.strip().lower()
    if word and word != "o":
        for truth, words in ((1, _TRUE), (0, _FALSE)):
            if any(whole.startswith(word) for whole in words):
                return truth
    raise ValueError(text)


def _parse_uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError(text)
    return str(UUID(text))


def _parse_json(text: str) -> str:
    jsonb.parse(text)
    return text


def _read_json(value: Any) -> str:
    jsonb.check_depth(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _parse_jsonb(text: str) -> str:
    return jsonb.write(jsonb.parse(text))


def _read_jsonb(value: Any) -> str:
    jsonb.check_depth(value)
    return jsonb.write(value)


def _kind(name: str, family: str, parse: Callable[[str], Stored], **options: Any) -> Kind:
    read = options.pop("read", lambda value: parse(_plain_text(value)))
    return Kind(name, family, parse, read, **options)


def _integer(name: str) -> Kind:
    limit = _RANGES[name[-1]]
    parse, read = partial(_parse_integer, limit=limit), partial(_read_integer, limit=limit)
    return Kind(name, "number", parse, read, BadRequest)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("text", "text", _parse_text, _read_text),
        *map(_integer, ("int2", "int4", "int8")),
        Kind("float8", "number", _parse_float, _read_float, BadRequest),
        Kind("float4", "number", lambda t: _single(_parse_float(t)), lambda v: _single(_read_float(v)), BadRequest),
        _kind("boolean", "boolean", _parse_boolean),
        _kind("date", "day", times.read_date),
        _kind("timestamp", "moment", partial(times.read_timestamp, zoned=False)),
        _kind("timestamptz", "moment", partial(times.read_timestamp, zoned=True)),
        _kind("time", "time", times.read_time),
        _kind("timetz", "timetz", partial(times.read_time, zoned=True)),
        _kind("interval", "interval", read_interval),
        _kind("uuid", "uuid", _parse_uuid),
        _kind("json", "", _parse_json, read=_read_json, url_refusal=BadRequest),
        _kind("jsonb", "jsonb", _parse_jsonb, read=_read_jsonb, url_refusal=BadRequest),
    )
}


@cache
def kind_of(column_type: ColumnType) -> Kind:
    """The scalar type below domains and arrays."""
    name = column_type.scalar.replace("serial", "int")
    return KINDS[{"bool": "boolean"}.get(name, name)]


def is_json(column_type: ColumnType) -> bool:
    """Whether null in JSON is a value of the type, not its absence."""
    return not column_type.array and column_type.scalar in {"json", "jsonb"}


def element(kind: Kind, stored: Stored) -> Any:
    """A stored scalar as a member of a JSON document, as answers and stored arrays spell it."""
    if stored is None:
        return None
    if kind.name == "boolean":
        return bool(stored)
    if kind.name in {"json", "jsonb"}:
        return json.loads(str(stored))
    if isinstance(stored, str) and kind.family == "moment":
        return stored.replace(" ", "T") + (":00" if stored.endswith("+00") else "")
    if isinstance(stored, float):
        return _json_number(kind, stored)
    return stored


def _json_number(kind: Kind, number: float) -> int | float | str:
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    if kind.name == "float4":
        number = shortest_single(number)
    largest = 1e6 if kind.name == "float4" else 1e15
    return int(number) if number.is_integer() and abs(number) < largest else number


def shortest_single(number: float) -> float:
    """The double with the fewest digits that rounds to the same single-precision number."""
    packed = struct.pack("<f", number)
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if abs(short) < _LARGEST_FLOAT4 and struct.pack("<f", short) == packed:
            return short
    return number


def _read_array(kind: Kind, value: Any) -> str:
    if isinstance(value, str):
        return _parse_array(kind, value)
    if not isinstance(value, list):
        raise ValueError(value)  # noqa: TRY004 - a value of the wrong shape is refused as any other bad value
    return ENCODE([None if member is None else element(kind, _read_member(kind, member)) for member in value])


def _read_member(kind: Kind, member: Any) -> Stored:
    if isinstance(member, list) and kind.name not in {"json", "jsonb"}:
        raise ValueError(member)  # only one dimension
    return kind.read(member)


def _parse_array(kind: Kind, text: str) -> str:
    if text.lstrip().startswith("["):
        members = json.loads(text)
        if isinstance(members, list):
            return _read_array(kind, members)
    return ENCODE([None if member is None else element(kind, kind.parse(member)) for member in arrays.split(text)])


_BAD = (ValueError, TypeError, OverflowError, RecursionError)


def reader(column_type: ColumnType) -> Read:
    """
    What turns a JSON value into a stored one.

    Returns:
        A function that raises BadRequest for what is no value of the type, Conflict for what its domain refuses.
    """
    kind = kind_of(column_type)
    convert = partial(_read_array, kind) if column_type.array else kind.read
    return _checked(column_type, convert, null="null" if is_json(column_type) else None)


def parser(column_type: ColumnType) -> Read:
    """The same for text, as in CSV; None stays None."""
    kind = kind_of(column_type)
    convert = partial(_parse_array, kind) if column_type.array else kind.parse
    return _checked(column_type, convert, null=None)


def _checked(column_type: ColumnType, convert: Read, null: Stored) -> Read:
    is_color = column_type.typename == "color_rgb_hex"

    def checked(value: Any) -> Stored:
        if value is None:
            return null
        try:
            stored = convert(value)
        except _BAD as err:
            raise BadRequest(f"{_show(value)} is no value of type {column_type.typename}.") from err
        if is_color and not _COLOR.fullmatch(str(stored)):
            raise Conflict(f"{_show(value)} is no color_rgb_hex: write # and six hexadecimal digits.")
        return stored

    return checked


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return "'" + text[:200].encode("utf-8", "backslashreplace").decode() + "'"


def parse_literal(column_type: ColumnType, text: str) -> Stored:
    """
    A literal in a URL as a stored scalar; for an array type, a member of it.

    Raises:
        BadRequest, Conflict: it is no value of the type (which of the two depends on the type).
    """
    kind = kind_of(column_type)
    stored = parse_scalar(kind, text)
    return element(kind, stored) if column_type.array else stored


def parse_scalar(kind: Kind, text: str) -> Stored:
    """The same for a scalar type."""
    try:
        return kind.parse(text)
    except _BAD as err:
        raise kind.url_refusal(f"'{text[:200]}' is no value of type {kind.name}.") from err

"""
The rows in a request body: JSON, CSV or a stream of JSON objects.

Source: ERMrest API documentation, "Entity Creation"; NOTES.md "Writing rows" for what is refused and how.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from deriva_ml_core.local_catalog.ermrest.formats import CSV, JSON, STREAM, Format
from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.types import Stored, parser, reader
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, UnsupportedType

_MISSING = object()
_BLANKS = re.compile(r"[ \t\n\r]*")
_SEPARATOR = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
_CSV_FIELD = re.compile(r'((?:[^",\r\n]|"(?:[^"]|"")*")*+)(,|\r?\n|\r|\Z)')
Row = tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A value to take from each row: the name it has there, and the column it is for."""

    name: str
    column: Column


def body_format(content_type: str) -> Format:
    """
    The format of a body.

    Raises:
        UnsupportedType: none that rows can have.
    """
    for known in (JSON, CSV, STREAM):
        if content_type == known:
            return known
    raise UnsupportedType(f"Rows come as {JSON}, {CSV} or {STREAM}, not as '{content_type}'.")


def read_rows(body: IO[bytes], kind: Format, fields: Sequence[Field], known: Collection[str]) -> list[Row]:
    """
    The rows of a body in stored form, one value for each field.

    Args:
        known: names that a CSV header may have besides the fields', whose values are ignored.

    Raises:
        BadRequest: malformed, or a bad value. Conflict: rows that are no objects, unknown columns, a domain's refusal.
    """
    text = _decode(body.read())
    if kind == CSV:
        return _csv_rows(text, fields, known)
    documents = _json_documents(text) if kind == JSON else _stream_documents(text)
    return _json_rows(documents, fields)


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise BadRequest(f"The body is not UTF-8 text: {err.reason} at byte {err.start}.") from err


def _json_documents(text: str) -> Iterator[Any]:
    """The members of an array, one at a time: all of them at once take many times the memory of their text."""
    position = _after_blanks(text, 0)
    if not text.startswith("[", position):
        _load(text, "The body")
        raise BadRequest("The body must be a JSON array of objects.")
    position = _after_blanks(text, position + 1)
    if text.startswith("]", position):
        return _check_end(text, position + 1)
    while True:
        try:
            document, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as err:
            raise BadRequest(f"The body is not JSON: {err}.") from err
        yield document
        sign = _SEPARATOR.match(text, position)
        if sign is None:
            raise BadRequest(f"The body is not JSON: ',' or ']' is missing at character {position}.")
        position = sign.end()
        if sign[1] == "]":
            return _check_end(text, position)


def _after_blanks(text: str, position: int) -> int:
    return _BLANKS.match(text, position).end()  # type: ignore[union-attr]  # it matches everywhere


def _check_end(text: str, position: int) -> None:
    if _after_blanks(text, position) < len(text):
        raise BadRequest(f"The body is not JSON: something follows the array, at character {position}.")


def _stream_documents(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _load(line, f"Line {number}")


def _load(text: str, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise BadRequest(f"{what} is not JSON: {err}.") from err


def _no_constant(word: str) -> Any:
    message = f"{word} is not JSON"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _json_rows(documents: Iterable[Any], fields: Sequence[Field]) -> list[Row]:
    # A missing array is empty, any other missing value is null; for json, null is a value (NOTES.md).
    plan = [(f.name, reader(f.column.type), "[]" if f.column.type.array else None) for f in fields]
    rows = []
    for document in documents:
        if type(document) is not dict:
            deque(documents, maxlen=0)  # a body that is no JSON is that first of all
            raise Conflict("Each row must be a JSON object.")
        get = document.get
        rows.append(
            tuple([missing if (v := get(name, _MISSING)) is _MISSING else read(v) for name, read, missing in plan])
        )
    return rows


def _csv_rows(text: str, fields: Sequence[Field], known: Collection[str]) -> list[Row]:
    lines = _csv_lines(text)
    header = [name or "" for name in next(lines, [])]
    places = _places(header, fields, known)
    plan = [(places[field.name], parser(field.column.type)) for field in fields]
    rows = []
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise BadRequest(f"Row {number} has {len(line)} fields, but the header has {len(header)}.")
        rows.append(tuple([parse(line[place]) for place, parse in plan]))
    return rows


def _places(header: Sequence[str], fields: Sequence[Field], known: Collection[str]) -> Mapping[str, int]:
    places: dict[str, int] = {}
    wanted = {field.name for field in fields}
    for place, name in enumerate(header):
        if name in places:
            raise BadRequest(f"The column '{name}' is in the header twice.")
        if name not in wanted and name not in known:
            raise Conflict(f"There is no column '{name}'.")
        places[name] = place
    if missing := [field.name for field in fields if field.name not in places]:
        raise BadRequest(f"These columns are not in the header: {', '.join(missing)}.")
    return places


def _csv_lines(text: str) -> Iterator[list[str | None]]:
    """Lines of fields: None for nothing, "" for the empty string in quotes."""
    line: list[str | None] = []
    position, end = 0, len(text)
    while position < end or line:
        found = _CSV_FIELD.match(text, position)
        if not found:
            raise BadRequest(f"A quoted field that starts at character {position} has no end.")
        line.append(_csv_value(found[1]))
        position = found.end()
        if found[2] != ",":
            yield line
            line = []


def _csv_value(field: str) -> str | None:
    if '"' not in field:
        return field or None
    return "".join(part.replace('""', '"') for part in _parts(field))


def _parts(field: str) -> Iterator[str]:
    """The quoted and unquoted parts of a field, without quotes: `a"b,c"` is `a` and `b,c`."""
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^"]+)', field):
        yield quoted or plain

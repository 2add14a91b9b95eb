"""
The rows in a request body: JSON, CSV or a stream of JSON objects.

A body is read through a window, and its rows are packed as they come: a million of them take little more memory than
their text on disk.

Source: ERMrest API documentation, "Entity Creation"; NOTES.md "Writing rows" for what is refused and how.
"""

from __future__ import annotations

import codecs
import json
import marshal
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from json import JSONDecodeError
from typing import IO, Any

from deriva_ml_core.local_catalog.ermrest.formats import CSV, JSON, STREAM, Format
from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.types import Stored, parser, reader
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, UnsupportedType

_MISSING = object()
_BLANKS = re.compile(r"[ \t\n\r]*")
_SEPARATOR = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
_LINE = re.compile(r"([^\n]*)(\n|\Z)")
_CSV_FIELD = re.compile(r'((?:[^",\r\n]|"(?:[^"]|"")*")*+)(,|\r?\n|\r|\Z)')
_WINDOW_BYTES = 1024 * 1024
_PACKED_ROWS = 2000
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


class Rows:
    """Rows in stored form, packed a few thousand at a time; to be gone through as often as one likes."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._packed: list[bytes] = []
        self._count = 0
        every = iter(rows)
        while some := list(islice(every, _PACKED_ROWS)):
            self._count += len(some)
            self._packed.append(marshal.dumps(some))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        for packed in self._packed:
            yield from marshal.loads(packed)  # noqa: S302 - made by __init__


def read_rows(body: IO[bytes], kind: Format, fields: Sequence[Field], known: Collection[str]) -> Rows:
    """
    The rows of a body in stored form, one value for each field.

    Args:
        known: names that a CSV header may have besides the fields', whose values are ignored.

    Raises:
        BadRequest: malformed, or a bad value. Conflict: rows that are no objects, unknown columns, a domain's refusal.
    """
    text = _Window(body)
    if kind == CSV:
        return Rows(_csv_rows(text, fields, known))
    documents = _json_documents(text) if kind == JSON else _stream_documents(text)
    return Rows(_json_rows(documents, fields))


class _Window:
    """
    A part of a text that moves on.

    Attributes:
        text: the part.
        start: how many characters are before it.
    """

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._read_bytes = 0
        self._ended = False
        self.text = ""
        self.start = 0

    def more(self, position: int) -> bool:
        """
        Move on so that the part begins at `position` and is longer than it was; False: there is no more.

        What does not fit is read in ever larger pieces, so that one long document is not begun too often.
        """
        if self._ended:
            return False
        piece = self._body.read(max(_WINDOW_BYTES, len(self.text) - position))
        try:
            decoded = self._decoder.decode(piece, not piece)
        except UnicodeDecodeError as err:
            at = self._read_bytes - (len(err.object) - len(piece)) + err.start
            raise BadRequest(f"The body is not UTF-8 text: {err.reason} at byte {at}.") from err
        self._read_bytes += len(piece)
        self._ended = not piece
        self.start += position
        self.text = self.text[position:] + decoded
        return True

    def match(self, pattern: re.Pattern[str], position: int) -> re.Match[str] | None:
        """What matches at a position; its end is a position in the part as it is then."""
        while True:
            found = pattern.match(self.text, position)
            # What ends where the part ends might be longer.
            if (found is not None and found.end() < len(self.text)) or not self.more(position):
                return found
            position = 0


def _json_documents(window: _Window) -> Iterator[Any]:
    """The members of an array, one at a time: all of them at once take many times the memory of their text."""
    position = _after_blanks(window, 0)
    if not window.text.startswith("[", position):
        while window.more(0):
            pass
        _load(window.text, "The body")
        raise BadRequest("The body must be a JSON array of objects.")
    position = _after_blanks(window, position + 1)
    if window.text.startswith("]", position):
        return _check_end(window, position + 1)
    while True:
        document, position = _next_document(window, position)
        yield document
        place = window.start + position
        sign = window.match(_SEPARATOR, position)
        if sign is None:
            raise BadRequest(f"The body is not JSON: ',' or ']' is missing at character {place}.")
        position = sign.end()
        if sign[1] == "]":
            return _check_end(window, position)


def _next_document(window: _Window, position: int) -> tuple[Any, int]:
    """The document at a position, and the position after it."""
    while True:
        try:
            document, end = _DECODER.raw_decode(window.text, position)
        except (ValueError, RecursionError) as err:
            if isinstance(err, RecursionError) or not window.more(position):
                words = f"{err.msg} at character {window.start + err.pos}" if isinstance(err, JSONDecodeError) else err
                raise BadRequest(f"The body is not JSON: {words}.") from err
            position = 0
            continue
        if end < len(window.text) or not window.more(position):  # a number that ends with the part might be longer
            return document, end
        position = 0


def _after_blanks(window: _Window, position: int) -> int:
    return window.match(_BLANKS, position).end()  # type: ignore[union-attr]  # it matches everywhere


def _check_end(window: _Window, position: int) -> None:
    if _after_blanks(window, position) < len(window.text):
        raise BadRequest(f"The body is not JSON: something follows the array, at character {window.start + position}.")


def _stream_documents(window: _Window) -> Iterator[Any]:
    position, number = 0, 0
    while (line := window.match(_LINE, position)) is not None and line.end() > line.start():
        position, number = line.end(), number + 1
        if line[1].strip():
            yield _load(line[1], f"Line {number}")


def _load(text: str, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise BadRequest(f"{what} is not JSON: {err}.") from err


def _no_constant(word: str) -> Any:
    message = f"{word} is not JSON"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _json_rows(documents: Iterable[Any], fields: Sequence[Field]) -> Iterator[Row]:
    # A missing array is empty, any other missing value is null; for json, null is a value (NOTES.md).
    plan = [(f.name, reader(f.column.type), "[]" if f.column.type.array else None) for f in fields]
    for document in documents:
        if type(document) is not dict:
            deque(documents, maxlen=0)  # a body that is no JSON is that first of all
            raise Conflict("Each row must be a JSON object.")
        get = document.get
        yield tuple([missing if (v := get(name, _MISSING)) is _MISSING else read(v) for name, read, missing in plan])


def _csv_rows(window: _Window, fields: Sequence[Field], known: Collection[str]) -> Iterator[Row]:
    lines = _csv_lines(window)
    header = [name or "" for name in next(lines, [])]
    places = _places(header, fields, known)
    plan = [(places[field.name], parser(field.column.type)) for field in fields]
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise BadRequest(f"Row {number} has {len(line)} fields, but the header has {len(header)}.")
        yield tuple([parse(line[place]) for place, parse in plan])


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


def _csv_lines(window: _Window) -> Iterator[list[str | None]]:
    """Lines of fields: None for nothing, "" for the empty string in quotes."""
    line: list[str | None] = []
    position = 0
    while True:
        if position == len(window.text) and not line:
            if not window.more(position):
                return
            position = 0
            continue
        found = _CSV_FIELD.match(window.text, position)
        if found is None or found.end() == len(window.text):
            place = window.start + position
            found = window.match(_CSV_FIELD, position)
            if found is None:
                raise BadRequest(f"A quoted field that starts at character {place} has no end.")
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

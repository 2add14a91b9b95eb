"""
How rows leave: JSON, CSV or a stream of JSON objects, rendered by SQLite row by row and sent in chunks.

CSV is as PostgreSQL's COPY writes it: null is nothing, the empty string is "", quotes only where they are needed.
Source: ERMrest API documentation, "Data Operations"; NOTES.md "Output".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal
from urllib.parse import quote

from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.projections import Output
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.ermrest.sqlforms import FIELD, NULL, ROW, csv_form, json_form
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Parameters

Format = Literal["application/json", "text/csv", "application/x-json-stream"]
JSON: Format = "application/json"
CSV: Format = "text/csv"
STREAM: Format = "application/x-json-stream"

_SHORT = {"json": JSON, "csv": CSV, JSON: JSON, CSV: CSV, STREAM: STREAM}
_OBJECT_MEMBERS = 450
"""Members of one json_object(): SQLite's functions take 1,000 arguments."""
_CHUNK_BYTES = 256 * 1024
_SEPARATORS = bytes.maketrans(b"\xff\xfe", b",\n")
_SPECIAL = (b",", b'"', b"\n", b"\r")
_TO_QUOTE = re.compile(rb'(?<![^\xff\xfe])[^\xff\xfe,"\r\n]*+[,"\r\n][^\xff\xfe]*+')
"""A whole field with a special character. It starts behind a separator, so that the search is linear."""


def choose_format(parameters: Parameters, accept: str, default: Format = JSON) -> Format:
    """
    The format of an answer: `accept=` of the query, else the Accept header, else the default.

    Nothing is ever unacceptable: what we do not have gives the default.
    """
    asked = ",".join(parameters["accept"][-1]) if "accept" in parameters else ""
    if asked.lower() in _SHORT:
        return _SHORT[asked.lower()]
    ranked = []
    for entry in accept.lower().split(","):
        media, _, options = entry.partition(";")
        quality = re.search(r"q\s*=\s*([01](?:\.\d{0,3})?)", options)
        ranked.append((-float(quality[1]) if quality else -1.0, media.strip()))
    for minus_quality, media in sorted(ranked, key=lambda pair: pair[0]):
        if media == "*/*" or minus_quality == 0:
            continue
        if media in (JSON, CSV, STREAM):
            return _SHORT[media]
    return default


def disposition(parameters: Parameters, chosen: Format) -> dict[str, str]:
    """The header that `download=` asks for."""
    name = ",".join(parameters["download"][-1]) if "download" in parameters else ""
    if not name:
        return {}
    suffix = "csv" if chosen == CSV else "json"
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}.{suffix}"}


def render_sql(
    page: Statement, outputs: Sequence[Output], chosen: Format, *, arrays_as_json: bool = False
) -> Statement:
    """A statement with one BLOB a row: a JSON object, or the fields of a CSV row."""
    values = [output.finish(f"o{i}") if output.finish else Fragment(f"o{i}") for i, output in enumerate(outputs)]
    is_csv = chosen == CSV
    row = _csv_row(values, outputs, arrays_as_json=arrays_as_json) if is_csv else _json_row(values, outputs)
    return Statement(f"SELECT CAST({row.sql} AS BLOB) FROM ({page.sql})", (*row.parameters, *page.parameters))


def _json_row(values: Sequence[Fragment], outputs: Sequence[Output]) -> Fragment:
    objects: list[str] = []
    parameters: list[object] = []
    for start in range(0, len(values), _OBJECT_MEMBERS):
        members = []
        for value, output in list(zip(values, outputs, strict=True))[start : start + _OBJECT_MEMBERS]:
            sql = json_form(value.sql, output.form)
            members.append(f"?, {sql}")
            parameters += [output.name, *(value.parameters * sql.count(value.sql))]
        objects.append(f"json_object({', '.join(members)})")
    if len(objects) == 1:
        return Fragment(objects[0], tuple(parameters))
    inner = " || ',' || ".join(f"substr({text}, 2, length({text}) - 2)" for text in objects)
    return Fragment(f"'{{' || {inner} || '}}'", _twice(objects, parameters))


def _twice(objects: Sequence[str], parameters: Sequence[object]) -> tuple[object, ...]:
    """Each object is written twice, so its parameters are too."""
    rest, doubled = list(parameters), []
    for text in objects:
        count = text.count("?")
        doubled += rest[:count] * 2
        del rest[:count]
    return tuple(doubled)


def _csv_row(values: Sequence[Fragment], outputs: Sequence[Output], *, arrays_as_json: bool) -> Fragment:
    fields: list[str] = []
    parameters: list[object] = []
    for value, output in zip(values, outputs, strict=True):
        sql = csv_form(value.sql, output.form, arrays_as_json=arrays_as_json)
        fields.append(f"ifnull({sql}, {NULL})" if output.form.nullable else sql)
        parameters += value.parameters * sql.count(value.sql)
    groups = [fields[start : start + _OBJECT_MEMBERS] for start in range(0, len(fields), _OBJECT_MEMBERS)]
    joined = [f"concat_ws({FIELD}, {', '.join(group)})" for group in groups]
    return Fragment(joined[0] if len(joined) == 1 else f"concat_ws({FIELD}, {', '.join(joined)})", tuple(parameters))


def encode(rows: Iterable[tuple[bytes]], names: Sequence[str], chosen: Format) -> Iterator[bytes]:
    """The chunks of a body; at least one."""
    match chosen:
        case "application/json":
            return _json_chunks(iter(rows))
        case "text/csv":
            return _csv_chunks(iter(rows), names)
    return _stream_chunks(iter(rows))


def _batches(rows: Iterator[tuple[bytes]]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for (row,) in rows:
        batch.append(row)
        size += len(row)
        if size >= _CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _json_chunks(rows: Iterator[tuple[bytes]]) -> Iterator[bytes]:
    opening = b"["
    for batch in _batches(rows):
        yield opening + b",\n".join(batch)
        opening = b",\n"
    yield (b"[" if opening == b"[" else b"") + b"]\n"


def _stream_chunks(rows: Iterator[tuple[bytes]]) -> Iterator[bytes]:
    for batch in _batches(rows):
        yield b"\n".join(batch) + b"\n"
    yield b""


def _csv_chunks(rows: Iterator[tuple[bytes]], names: Sequence[str]) -> Iterator[bytes]:
    yield from chain([header(names)], map(_csv_text, _batches(rows)))


def header(names: Sequence[str]) -> bytes:
    """The first line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue().encode()


def _csv_text(rows: list[bytes]) -> bytes:
    """Rows of fields as CSV. Most have nothing to quote, and then only separators are exchanged."""
    text = ROW.join(rows)
    if any(mark in text for mark in _SPECIAL):
        text = _TO_QUOTE.sub(lambda field: b'"' + field[0].replace(b'"', b'""') + b'"', text)
    return text.translate(_SEPARATORS, b"\xfd").replace(b"\xfc", b'""') + b"\n"

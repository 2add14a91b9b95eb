"""Tables of a bag as CSV: written the same for the same rows, read back with their types.

A cell is empty for null. An empty text is written as "" in quotes, which other readers take for empty text too; ours
gives None for it where the column may be null, since Python's csv does not tell the two apart. Arrays and JSON are
JSON, booleans true and false.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

_INTEGERS = frozenset({"int2", "int4", "int8", "serial2", "serial4", "serial8"})
_FLOATS = frozenset({"float4", "float8", "numeric"})
_SPECIAL = re.compile(r'[",\r\n]|^ | $|^$')
_BLOCK_ROWS = 500

csv.field_size_limit(2**31 - 1)  # a cell may hold a large JSON document

Row = Mapping[str, Any]
Parser = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A CSV file as it was written: what its manifest line says, and its number of rows."""

    size_bytes: int
    md5: str
    rows: int


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> WrittenTable:
    """Write the header and one line for each row, in their order; memory holds a block of rows."""
    digest, size, count = hashlib.md5(usedforsecurity=False), 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for block in _lines(columns, rows):
            data = "".join(block).encode()
            digest.update(data)
            size += len(data)
            count += len(block)
            file.write(data)
    return WrittenTable(size, digest.hexdigest(), count - 1)


def _lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[list[str]]:
    block = [",".join(map(_cell, columns)) + "\n"]
    for row in rows:
        block.append(",".join([_cell(row.get(column)) for column in columns]) + "\n")
        if len(block) >= _BLOCK_ROWS:
            yield block
            block = []
    if block:
        yield block


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"' if _SPECIAL.search(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _cell(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def distinct_by_rid(sources: Sequence[Iterable[Row]]) -> Iterator[Row]:
    """
    Rows of several answers, each once, sorted by RID; a single answer keeps the order in which the server sorted it.

    Rows of several answers are kept in a temporary file: memory does not grow with their number.
    """
    if len(sources) == 1:
        yield from (next(same) for _, same in groupby(sources[0], key=itemgetter("RID")))
        return
    with (
        tempfile.TemporaryDirectory(prefix="deriva-ml-") as folder,
        closing(sqlite3.connect(Path(folder, "rows.db"), isolation_level=None)) as spool,
    ):
        spool.execute("PRAGMA journal_mode=OFF")
        spool.execute("PRAGMA synchronous=OFF")
        spool.execute("CREATE TABLE rows (rid TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID")
        spool.execute("BEGIN")
        for source in sources:
            spool.executemany(
                "INSERT OR IGNORE INTO rows VALUES (?, ?)", ((row["RID"], json.dumps(row)) for row in source)
            )
        for (text,) in spool.execute("SELECT row FROM rows ORDER BY rid"):
            yield json.loads(text)


def read_table(path: Path, types: Mapping[str, tuple[str, bool]]) -> Iterator[dict[str, Any]]:
    """
    Rows of a CSV file, one by one.

    Args:
        types: column -> (ERMrest type, whether it may be null); a column that is not there is read as text.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        columns = next(reader, [])
        parsers = [_parser(*types.get(column, ("text", True))) for column in columns]
        for cells in reader:
            yield {name: parse(cell) for name, parse, cell in zip(columns, parsers, cells, strict=True)}


def _parser(type_name: str, nullok: bool) -> Parser:
    if type_name in _INTEGERS:
        return lambda cell: int(cell) if cell else None
    if type_name in _FLOATS:
        return lambda cell: float(cell) if cell else None
    if type_name == "boolean":
        return lambda cell: cell == "true" if cell else None
    if type_name in ("json", "jsonb") or type_name.endswith("[]"):
        return lambda cell: json.loads(cell) if cell else None
    return (lambda cell: cell or None) if nullok else (lambda cell: cell)

"""What a write asks for and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from werkzeug.wsgi import FileWrapper

from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.bodies import Rows
from deriva_ml_core.local_catalog.ermrest.formats import CSV, Format, encode, render_sql
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.projections import Output
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.ermrest.sqlforms import form_of
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Input:
    """
    A write request.

    Attributes:
        path, query: still escaped; what follows `/entity/` (or another api), and the query string.
        content_type: of the body, in lower case without parameters; "" if there is none.
        accept: the Accept header, "" if there is none.
    """

    api: Api
    path: str
    query: str
    content_type: str
    accept: str
    body: IO[bytes]


Page = tuple[str, tuple[Any, ...], Sequence[Column]]
"""SQL that gives rows, with `{}` for the columns, as i0; its parameters; and the columns."""


def answer_rows(txn: Transaction, pages: Sequence[Page], chosen: Format) -> Answer:
    """Rows that were written, read back. In CSV all have the columns of the first page."""
    rows = []
    for sql, parameters, columns in pages:
        shown = pages[0][2] if chosen == CSV else columns
        outputs = [Output(column.name, Fragment(f"i0.{column.sql}"), form_of(column)) for column in shown]
        names = ", ".join(f"{output.value.sql} AS o{i}" for i, output in enumerate(outputs))
        statement = render_sql(Statement(sql.format(names), parameters), outputs, chosen)
        rows.append(txn.db.execute(statement.sql, statement.parameters))
    body = encode(chain(*rows), [column.name for column in pages[0][2]], chosen)
    return Answer(200, chosen, body=_kept(txn, body))


def _kept(txn: Transaction, chunks: Iterable[bytes]) -> Iterable[bytes]:
    """A whole body, made before the transaction ends: in memory if it is short, else in a file without a name."""
    read: list[bytes] = []
    size = 0
    rest = iter(chunks)
    for chunk in rest:
        read.append(chunk)
        size += len(chunk)
        if size > _IN_MEMORY_BYTES:
            return _on_disk(Path(txn.db.filename).parent, chain(read, rest))
    return [b"".join(read)]


def _on_disk(folder: Path, chunks: Iterable[bytes]) -> FileWrapper:
    with ExitStack() as stack:
        body = stack.enter_context(TemporaryFile(dir=folder))
        for chunk in chunks:
            body.write(chunk)
        body.seek(0)
        stack.pop_all()  # whoever sends it closes it
        return FileWrapper(body, _PIECE_BYTES)


def answer_values(txn: Transaction, named: Sequence[tuple[str, Column]], values: Rows, chosen: Format) -> Answer:
    """Values in stored form, one row each, under the given names."""
    outputs = [Output(name, Fragment("?"), form_of(column)) for name, column in named]
    marks = ", ".join(f"? AS o{i}" for i in range(len(outputs)))
    statement = render_sql(Statement(f"SELECT {marks}"), outputs, chosen)
    rows = txn.db.executemany(statement.sql, ((*statement.parameters, *row) for row in values)) if values else ()
    body = encode(rows, [name for name, _ in named], chosen)
    return Answer(200, chosen, body=_kept(txn, body))

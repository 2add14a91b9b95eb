"""SQLite's refusals in the words of the model: which column, which key, which reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apsw

from deriva_ml_core.local_catalog.ermrest.model import ForeignKey, Model, Table
from deriva_ml_core.local_catalog.errors import Conflict

_FAILED = re.compile(r"(UNIQUE|NOT NULL) constraint failed: (.*)")
_COLUMN = re.compile(r"t(\d+)\.c(\d+)")


@contextmanager
def constraint_refusals(model: Model, table: Table) -> Iterator[None]:
    """
    Translate what SQLite refuses.

    Raises:
        Conflict: a row breaks a constraint.
    """
    try:
        yield
    except apsw.ConstraintError as err:
        raise Conflict(_words(model, table, str(err))) from err


def _words(model: Model, table: Table, message: str) -> str:
    found = _FAILED.search(message)
    if found is None:
        return _reference_words(model, table)
    slots = _COLUMN.findall(found[2])
    where = model.tables.get(int(slots[0][0]), table) if slots else table
    names = ", ".join(column.name for column in where.columns if str(column.slot) in {slot for _, slot in slots})
    if found[1] == "UNIQUE":
        return f"Another row of {model.qualified(where)} has the same key ({names})."
    return f"Column {names} of {model.qualified(where)} must not be null."


def _reference_words(model: Model, table: Table) -> str:
    """SQLite does not say which foreign key it is about."""
    referring = ", ".join(sorted({model.qualified(model.tables[f.table]) for f in model.referenced_by(table)}))
    columns = ["(" + ", ".join(c.name for c in table.columns_of(f.columns)) + ")" for f in table.foreign_keys]
    words = f"A row of {model.qualified(table)} is referenced by rows of {referring}" if referring else ""
    if columns:
        words += ", or it" if words else f"A row of {model.qualified(table)}"
        words += f" refers by {' or '.join(columns)} to a row that is not there"
    return words + "."


def check_references(db: apsw.Connection, model: Model, table: Table, which: str, parameters: Sequence[object]) -> None:
    """
    Check the foreign keys of some rows of a table.

    Args:
        which: an SQL condition on the rows, which are called `r`.

    Raises:
        Conflict: a row refers to what is not there.
    """
    for fkey in table.foreign_keys:
        missing = db.execute(_dangling(model, table, fkey, which), parameters).fetchone()
        if missing is not None:
            mine = ", ".join(column.name for column in table.columns_of(fkey.columns))
            values = ", ".join(map(str, missing))
            target = model.qualified(model.tables[fkey.to_table])
            raise Conflict(f"{model.qualified(table)} ({mine}) refers to {values[:200]}, which {target} does not have.")


def _dangling(model: Model, table: Table, fkey: ForeignKey, which: str) -> str:
    parent = model.tables[fkey.to_table]
    mine = [f"r.{column.sql}" for column in table.columns_of(fkey.columns)]
    theirs = [f"p.{column.sql}" for column in parent.columns_of(fkey.to_columns)]
    filled = " AND ".join(f"{column} IS NOT NULL" for column in mine)
    same = " AND ".join(f"{a} = {b}" for a, b in zip(mine, theirs, strict=True))
    return (
        f"SELECT {', '.join(mine)} FROM {table.live} AS r WHERE ({which}) AND {filled}"
        f" AND NOT EXISTS (SELECT 1 FROM {parent.live} AS p WHERE {same}) LIMIT 1"
    )

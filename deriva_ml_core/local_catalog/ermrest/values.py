"""What the model needs to know of values: defaults in stored form, and conversions between column types."""

from __future__ import annotations

from typing import Any

import apsw

from deriva_ml_core.local_catalog.ermrest.definitions import check_storable
from deriva_ml_core.local_catalog.ermrest.model import Column, ColumnType, Table
from deriva_ml_core.local_catalog.ermrest.sqlforms import form_of, text_form
from deriva_ml_core.local_catalog.ermrest.times import is_special
from deriva_ml_core.local_catalog.ermrest.types import Stored, element, kind_of, parser, reader
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

_PLAIN = frozenset({"text", "number", "boolean", "uuid"})
"""Families of types whose values have one obvious form in JSON."""
_TIMES = frozenset({"day", "moment", "time", "timetz"})


def stored_default(column_type: ColumnType, value: Any) -> Stored:
    """
    A default of a model document in stored form; None for none.

    Raises:
        BadRequest, Conflict: it is no value of the type.
    """
    return None if value is None else reader(column_type)(value)


def shown_default(column_type: ColumnType, value: Any) -> Any:
    """
    A default of a model document as /schema shows it: in the type's own JSON form, 12 for "12" in an integer column.

    `now` and its kind are the time at which the column was made: a default is a constant, and PostgreSQL reads those
    once (its documentation, "Current Date/Time", says not to use them so; defaults that are calls do not exist here).

    Raises:
        BadRequest, Conflict: it is no value of the type.
    """
    check_storable(value)
    stored = stored_default(column_type, value)
    kind = kind_of(column_type)
    if not column_type.array and (kind.family in _PLAIN or (kind.family in _TIMES and is_special(value))):
        return element(kind, stored)
    return value


def same_form(old: ColumnType, new: ColumnType) -> bool:
    """Whether values of two types are stored alike, so that a column can keep them as they are."""
    return (kind_of(old).name, old.array) == (kind_of(new).name, new.array)


def convert_column(db: apsw.Connection, table: Table, column: Column, new: ColumnType, slot: int | None) -> None:
    """
    Give a slot the column's values as values of another type; without one only check that each could be one.

    Conversion goes through PostgreSQL's text form, as its casts do; reals become integers by rounding to even.

    Raises:
        Conflict: a stored value is no value of the new type. PostgreSQL finds that, not ERMrest, so it is no
            BadRequest, as with the literals of filters (NOTES.md "URL grammar").
    """
    read = parser(new)
    rounds = kind_of(column.type).name.startswith("float") and kind_of(new).name.startswith("int")
    text = text_form(column.sql, form_of(column))
    sql = f"SELECT DISTINCT {column.sql}, {text} FROM {table.live} WHERE {column.sql} IS NOT NULL"
    values: list[tuple[Any, ...]] = db.execute(sql).fetchall()
    try:
        changes = [(read(_rounded(text) if rounds else str(text)), value) for value, text in values]
    except BadRequest as err:
        raise Conflict(f"Column '{column.name}' of table '{table.name}' has other values: {err.words}") from err
    if slot is not None:
        db.executemany(f"UPDATE {table.live} SET c{slot} = ? WHERE {column.sql} = ?", changes)


def _rounded(text: str) -> str:
    try:
        return str(round(float(text)))
    except (ValueError, OverflowError) as err:
        raise BadRequest(f"'{text}' has no integer beside it.") from err

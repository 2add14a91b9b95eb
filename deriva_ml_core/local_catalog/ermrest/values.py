"""What the model needs to know of values: defaults in stored form, and conversions between column types."""

from __future__ import annotations

from typing import Any

from deriva_ml_core.local_catalog.ermrest.model import ColumnType

Stored = str | int | float


def stored_default(column_type: ColumnType, value: Any) -> Stored | None:
    """A default of a model document in stored form; BadRequest if it is no value of the type."""
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def same_form(old: ColumnType, new: ColumnType) -> bool:
    """Whether values of two types are stored alike, so that a column can keep them as they are."""
    return (old.scalar, old.array) == (new.scalar, new.array)


def convert(value: Stored, old: ColumnType, new: ColumnType) -> Stored | None:
    """A stored value of one type as a stored value of another; BadRequest if it cannot be one."""
    if new.affinity == "INTEGER":
        return int(value)
    if new.affinity == "REAL":
        return float(value)
    return str(value)

"""
The forms in which a stored value leaves, as SQL expressions: JSON, CSV, text, and an order.

Each function takes an SQL expression of a stored value and gives another one. They decide what SQLite does for every
value of an answer, so they are as cheap as they can be.
"""

from __future__ import annotations

from dataclasses import dataclass

from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.types import kind_of

FIELD, ROW, NULL = "CAST(x'FF' AS TEXT)", b"\xfe", "CAST(x'FD' AS TEXT)"
"""
What separates fields and rows and stands for null in CSV until formats.py quotes and replaces it: bytes that no UTF-8
text contains, so that neither SQLite nor Python must look at the values first.
"""


@dataclass(frozen=True, slots=True)
class Form:
    """
    What kind of values an expression has.

    Attributes:
        name: a type of types.KINDS; or `numeric` (text of a number), `document` and `bin` (JSON text; a bin
            before it is finished is the number of a bucket) and `rows` (a JSON array of objects).
        array: arrays of that type.
        nullable: whether null may occur.
    """

    name: str
    array: bool = False
    nullable: bool = True


INTEGER, NUMERIC, DOCUMENT, ROWS = Form("int8"), Form("numeric"), Form("document"), Form("rows")


def form_of(column: Column) -> Form:
    """The form of a column's values."""
    return Form(kind_of(column.type).name, column.type.array, column.nullok)


def json_form(sql: str, form: Form) -> str:
    """An argument of json_object(): SQL text, numbers and null become those of JSON by themselves."""
    if form.array or form.name in {"json", "jsonb", "numeric", "document", "bin", "rows"}:
        return f"json({sql})"
    match form.name:
        case "boolean":
            return f"json(CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
        case "timestamptz":
            return f"replace({sql}, ' ', 'T') || ':00'"
        case "timestamp":
            return f"replace({sql}, ' ', 'T')"
        case "float8":
            return _whole(sql, _finite(sql), "1e15")
        case "float4":
            return _whole(sql, f"CAST(pg_float4({sql}) AS REAL)", "1e6", rest=_finite(sql))
    return sql


def _whole(sql: str, otherwise: str, limit: str, rest: str | None = None) -> str:
    """Whole numbers below the limit as integers: 2, not 2.0."""
    special = f" WHEN abs({sql}) > 1.7e308 OR typeof({sql}) = 'text' THEN {rest}" if rest else ""
    return (
        f"CASE WHEN CAST({sql} AS INTEGER) = {sql} AND abs({sql}) < {limit} THEN CAST({sql} AS INTEGER)"
        f"{special} ELSE {otherwise} END"
    )


def _finite(sql: str) -> str:
    """JSON has no infinity: PostgreSQL writes a string."""
    return f"iif(abs({sql}) > 1.7976931348623157e308, pg_float8({sql}), {sql})"


def text_form(sql: str, form: Form) -> str:
    """PostgreSQL's text form, on which regular expressions work."""
    if form.array:
        return f"pg_array_text({sql}, '{form.name}')"
    match form.name:
        case "boolean":
            return f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
        case "float8" | "float4":
            return csv_form(sql, form)
    return sql


def csv_form(sql: str, form: Form, *, arrays_as_json: bool = False) -> str:
    """The text form as COPY writes it: as `text_form`, but booleans are `t` and `f`."""
    if form.array:
        return sql if arrays_as_json else text_form(sql, form)
    match form.name:
        case "boolean":
            return f"CASE {sql} WHEN 1 THEN 't' WHEN 0 THEN 'f' END"
        case "float8":
            return (
                f"CASE WHEN abs({sql}) >= 1e15 OR {sql} = 0 THEN pg_float8({sql})"
                f" WHEN CAST({sql} AS INTEGER) = {sql} THEN CAST({sql} AS INTEGER) ELSE replace({sql}, '.0e', 'e') END"
            )
        case "float4":
            return f"pg_float4({sql})"
    return sql


def order_form(sql: str, form: Form) -> str:
    """An expression that sorts and compares in SQLite as PostgreSQL sorts and compares the values."""
    if form.array:
        return f"{'pg_float_array_order' if form.name.startswith('float') else 'pg_array_order'}({sql})"
    match form.name:
        case "jsonb":
            return f"pg_jsonb_order({sql})"
        case "interval":
            return f"pg_interval_order({sql})"
        case "numeric":
            return f"CAST({sql} AS REAL)"
        case "bin":
            return f"ifnull({sql}, -1)"
    return sql


def is_ordered(form: Form) -> bool:
    """Whether PostgreSQL has an order (and equality) for the type: not for json."""
    return form.name not in {"json", "rows"}

"""
The forms in which a stored value leaves, as SQL expressions: JSON, CSV, text, and an order.

Each function takes an SQL expression of a stored value and gives another one. They decide what SQLite does for every
value of an answer, so they are as cheap as they can be.
"""

from __future__ import annotations

from dataclasses import dataclass

from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.types import kind_of

FIELD, ROW, NULL, EMPTY = "CAST(x'FF' AS TEXT)", b"\xfe", "CAST(x'FD' AS TEXT)", "CAST(x'FC' AS TEXT)"
"""
What separates fields and rows and stands for null and for the empty string in CSV until formats.py quotes and replaces
it: bytes that no UTF-8 text contains, so that neither SQLite nor Python must look at the values first.
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


# In these, x stands for the value. SQLite writes 15 significant digits where they are enough, else 17, which need not
# be the fewest: what is longer than 15 digits and a point goes through Python.
_BOOLEAN = "CASE {x} WHEN 1 THEN '%s' WHEN 0 THEN '%s' END"
_FLOAT8 = (
    "CASE WHEN CAST({x} AS INTEGER) = {x} AND abs({x}) < 1e15 THEN CAST({x} AS INTEGER)"
    " WHEN length({x}) < 17 AND abs({x}) < 1e15 THEN %s ELSE %s END"
)
_DOCUMENTS = dict.fromkeys(["json", "jsonb", "numeric", "document", "bin", "rows"], "json({x})")
_JSON = _DOCUMENTS | {
    "boolean": f"json({_BOOLEAN % ('true', 'false')})",
    "timestamptz": "replace({x}, ' ', 'T') || iif(substr({x}, -1) = 'y', '', ':00')",  # 'y' of infinity
    "timestamp": "replace({x}, ' ', 'T')",
    "float8": _FLOAT8 % ("{x}", "json(pg_json_number(pg_float8({x})))"),
    "float4": "json(pg_json_number(pg_float4({x})))",
}
_TEXT = {
    "boolean": _BOOLEAN % ("true", "false"),
    "float8": _FLOAT8 % ("replace({x}, '.0e', 'e')", "pg_float8({x})"),
    "float4": "pg_float4({x})",
}
_CSV = _TEXT | {"boolean": _BOOLEAN % ("t", "f"), "text": f"iif({{x}} = '', {EMPTY}, {{x}})"}
_ORDER = {
    "jsonb": "pg_jsonb_order({x})",
    "interval": "pg_interval_order({x})",
    "numeric": "CAST({x} AS REAL)",
    "bin": "ifnull({x}, -1)",
}


def json_form(sql: str, form: Form) -> str:
    """An argument of json_object(): SQL text, numbers and null become those of JSON by themselves."""
    return f"json({sql})" if form.array else _JSON.get(form.name, "{x}").format(x=sql)


def text_form(sql: str, form: Form) -> str:
    """PostgreSQL's text form, on which regular expressions work."""
    return f"pg_array_text({sql}, '{form.name}')" if form.array else _TEXT.get(form.name, "{x}").format(x=sql)


def csv_form(sql: str, form: Form, *, arrays_as_json: bool = False) -> str:
    """The text form as COPY writes it: as `text_form`, but booleans are `t` and `f`, and EMPTY is marked."""
    if form.array:
        return sql if arrays_as_json else text_form(sql, form)
    return _CSV.get(form.name, "{x}").format(x=sql)


def order_form(sql: str, form: Form) -> str:
    """An expression that sorts and compares in SQLite as PostgreSQL sorts and compares the values."""
    if form.array:
        return f"{'pg_float_array_order' if form.name.startswith('float') else 'pg_array_order'}({sql})"
    return _ORDER.get(form.name, "{x}").format(x=sql)


def is_ordered(form: Form) -> bool:
    """Whether PostgreSQL has an order (and equality) for the type: not for json."""
    return form.name not in {"json", "rows"}

"""
Aggregate functions as SQL, with PostgreSQL's results: avg of integers is numeric, sum of int8 cannot overflow.

Source: ERMrest API documentation, "Aggregate Names"; PostgreSQL documentation, "Aggregate Functions". `trs` and `tcrs`
tell what the caller may do with a row ("Access Decision Introspection").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import BoundColumn, Instance
from deriva_ml_core.local_catalog.ermrest.sqlforms import (
    DOCUMENT,
    INTEGER,
    NUMERIC,
    ROWS,
    Form,
    form_of,
    is_ordered,
    json_form,
    order_form,
)
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

AGGREGATES = frozenset({"min", "max", "sum", "avg", "cnt", "cnt_d", "array", "array_d", "trs", "tcrs"})
_INTEGERS = frozenset({"int2", "int4", "int8"})
_FLOATS = frozenset({"float4", "float8"})
_ORDERED = _INTEGERS | _FLOATS | {"text", "date", "timestamp", "timestamptz", "time", "timetz"}

Rights = Callable[[Instance, bool], Fragment]
"""What the caller may do with a row of an instance, as JSON; with True, with each of its values too."""


def aggregate(
    function: str,
    source: BoundColumn | Instance,
    *,
    bare: bool,
    rights: Rights,
    visible: Callable[[Table], Iterable[Column]],
) -> tuple[Fragment, Form]:
    """
    An aggregate of a column, or of whole rows.

    Args:
        source: an instance for `*`.
        bare: `*` without an alias: cnt(*) counts combinations of rows, not rows of one table.
        visible: the columns of a table that the caller may select: array(*) shows no others.

    Raises:
        Conflict: the function is not for this type of column.
    """
    if function in {"trs", "tcrs"}:
        instance = source.instance if isinstance(source, BoundColumn) else source
        summary = rights(instance, function == "tcrs")
        return Fragment(f"max({summary.sql})", summary.parameters, summary.uses), DOCUMENT
    if isinstance(source, Instance):
        return _of_rows(function, source, list(visible(source.table)), bare=bare)
    sql, form = _of_column(function, source.sql, source.form)
    return Fragment(sql, (), frozenset({source.instance.number})), form


def _of_rows(function: str, instance: Instance, columns: Sequence[Column], *, bare: bool) -> tuple[Fragment, Form]:
    uses = frozenset({instance.number})
    rid = f"{instance.sql}.{instance.table.rid_column.sql}"
    match function:
        case "cnt":
            return Fragment("count(*)" if bare else f"count({rid})", (), uses), INTEGER
        case "cnt_d":
            return Fragment(f"count(DISTINCT {rid})", (), uses), INTEGER
        case "array" | "array_d":
            return _rows(instance, columns, "DISTINCT " if function == "array_d" else ""), ROWS
    raise Conflict(f"{function}(*) is not possible; {function} takes a column.")


def _rows(instance: Instance, columns: Sequence[Column], distinct: str) -> Fragment:
    if len(columns) > 450:
        raise BadRequest("array(*) takes tables of at most 450 columns.")
    members = ", ".join(f"?, {json_form(f'{instance.sql}.{c.sql}', form_of(c))}" for c in columns)
    sql = f"CASE WHEN count(*) THEN json_group_array({distinct}json_object({members})) END"
    return Fragment(sql, tuple(column.name for column in columns), frozenset({instance.number}))


def _of_column(function: str, sql: str, form: Form) -> tuple[str, Form]:
    match function:
        case "cnt":
            return (f"count({sql})" if form.nullable else "count(*)"), INTEGER
        case "cnt_d":
            return f"count(DISTINCT {order_form(sql, _ordered(function, form))})", INTEGER
        case "array" | "array_d":
            return _array(function, sql, form)
        case "min" | "max":
            return _extreme(function, sql, form)
        case "sum":
            return _sum(sql, form)
    return _average(sql, form)


def _ordered(function: str, form: Form) -> Form:
    if not is_ordered(form):
        raise _unfit(function, form)
    return form


def _unfit(function: str, form: Form) -> Conflict:
    return Conflict(f"The function {function} does not exist for type {form.name}{'[]' if form.array else ''}.")


def _array(function: str, sql: str, form: Form) -> tuple[str, Form]:
    if form.array:
        raise _unfit(function, form)
    members = json_form(sql, form)
    if function == "array_d":  # PostgreSQL finds distinct values by sorting them
        form, members = _ordered(function, form), f"DISTINCT {members} ORDER BY {members} NULLS LAST"
    return f"CASE WHEN count(*) THEN json_group_array({members}) END", Form(form.name, array=True)


def _extreme(function: str, sql: str, form: Form) -> tuple[str, Form]:
    if (form.array and is_ordered(form)) or form.name == "interval":
        return f"pg_{function}({order_form(sql, form)}, {sql})", Form(form.name, array=form.array)
    if form.name not in _ORDERED:
        raise _unfit(function, form)
    return f"{function}({sql})", Form(form.name)


def _sum(sql: str, form: Form) -> tuple[str, Form]:
    if _is_interval(form):
        return f"pg_interval_sum({sql})", Form(form.name)
    _require_numbers("sum", form)
    if form.name == "int8":
        return _wide_sum(sql), NUMERIC
    if form.name in _FLOATS:
        return _of_floats("sum", sql), Form(form.name)
    return f"sum({sql})", INTEGER


def _is_interval(form: Form) -> bool:
    return form.name == "interval" and not form.array


def _require_numbers(function: str, form: Form) -> None:
    if form.array or form.name not in _INTEGERS | _FLOATS:
        raise _unfit(function, form)


def _of_floats(function: str, sql: str) -> str:
    """NaN, stored as text, makes the result NaN; so do both infinities together, of which SQLite makes null."""
    result = f"{function}({sql})"
    return f"CASE WHEN max({sql}) = 'NaN' OR (count({sql}) AND {result} IS NULL) THEN 'NaN' ELSE {result} END"


def _wide_sum(sql: str) -> str:
    return f"pg_wide_sum(sum({sql} >> 32), sum({sql} & 4294967295))"


def _average(sql: str, form: Form) -> tuple[str, Form]:
    if _is_interval(form):
        return f"pg_interval_avg({sql})", Form(form.name)
    _require_numbers("avg", form)
    if form.name in _FLOATS:
        return _of_floats("avg", sql), Form("float8")
    total = _wide_sum(sql) if form.name == "int8" else f"sum({sql})"
    return f"pg_numeric_avg({total}, count({sql}))", NUMERIC

"""
@sort, @before, @after and ?limit=.

Ascending order puts nulls last, descending order first: null counts as greater than every value. A page key names a
place between rows.

Source: ERMrest API documentation, "Sort Modifier", "Paging Modifiers"; NOTES.md "URL grammar".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.projections import Output
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.ermrest.sqlforms import Form, is_ordered, order_form
from deriva_ml_core.local_catalog.ermrest.syntax import DataName
from deriva_ml_core.local_catalog.ermrest.types import KINDS, parse_scalar
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Parameters
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

_LARGEST_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Key:
    """A sort key: where its value is, in SQL that compares, and which way it goes."""

    sql: str
    form: Form
    descending: bool

    def order(self, *, backwards: bool = False) -> str:
        """A term of ORDER BY."""
        descending = self.descending != backwards
        # Where there are no nulls the plain order lets SQLite use an index.
        nulls = "" if not self.form.nullable else " NULLS FIRST" if descending else " NULLS LAST"
        return f"{self.sql}{' DESC' if descending else ''}{nulls}"

    def beyond(self, value: Any, *, after: bool) -> tuple[str, int]:
        """The condition that a row's key lies strictly on one side of a page key, and how often it takes its value."""
        if after != self.descending:  # towards greater values
            if value is None:
                return "0", 0
            either = f" OR {self.sql} IS NULL" if self.form.nullable else ""
            return f"({self.sql} > {order_form('?', self.form)}{either})", 1
        if value is None:
            return f"({self.sql} IS NOT NULL)", 0
        return f"({self.sql} < {order_form('?', self.form)})", 1

    def same(self, value: Any) -> tuple[str, int]:
        """The condition that a row has the value of a page key."""
        return (f"{self.sql} IS NULL", 0) if value is None else (f"{self.sql} = {order_form('?', self.form)}", 1)


def parse_limit(parameters: Parameters) -> int | None:
    """
    The number of rows asked for; None for all.

    Raises:
        BadRequest: not a number. Conflict: negative.
    """
    if "limit" not in parameters:
        return None
    text = ",".join(parameters["limit"][-1]).strip()
    if text.lower() in {"", "none"}:
        return None
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 30:
        raise BadRequest(f"The limit '{text[:80]}' is no number of rows.")
    if int(text) < 0:
        raise Conflict("The limit must not be negative.")
    return min(int(text), _LARGEST_LIMIT)


def page_sql(rows: Statement, outputs: Sequence[Output], name: DataName, limit: int | None) -> Statement:
    """
    The rows of one page, in order.

    Raises:
        BadRequest: a sort key is no output, a page key does not fit, or `before` is alone without a limit.
    """
    keys = _sort_keys(outputs, name)
    backwards = name.before is not None and name.after is None
    if backwards and limit is None:
        raise BadRequest("@before(...) alone needs a limit.")
    conditions, parameters = _page_conditions(keys, name)
    sql = f"SELECT * FROM ({rows.sql})"
    sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql += f" ORDER BY {', '.join(key.order(backwards=backwards) for key in keys)}" if keys else ""
    parameters = [*rows.parameters, *parameters]
    if limit is not None:
        sql, parameters = f"{sql} LIMIT ?", [*parameters, limit]
    if backwards:
        sql = f"SELECT * FROM ({sql}) ORDER BY {', '.join(key.order() for key in keys)}"
    return Statement(sql, tuple(parameters))


def _sort_keys(outputs: Sequence[Output], name: DataName) -> list[_Key]:
    places = {output.name: i for i, output in enumerate(outputs)}
    keys = []
    for key in name.sort:
        if key.output not in places:
            # An entity has its table's columns, so that the name is wrong there; else it is only not projected.
            unknown = Conflict if name.items is None else BadRequest
            raise unknown(f"There is no output column '{key.output}' to sort by.")
        place = places[key.output]
        form = outputs[place].form
        if not is_ordered(form):
            raise Conflict(f"'{key.output}' has type {form.name}, which has no order.")
        keys.append(_Key(order_form(f"o{place}", form), form, key.descending))
    return keys


def _page_conditions(keys: Sequence[_Key], name: DataName) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for page_key, after in ((name.after, True), (name.before, False)):
        if page_key is not None:
            values = [
                None if text is None else _value(key.form, text) for key, text in zip(keys, page_key, strict=True)
            ]
            condition = _beyond(keys, values, after=after)
            conditions.append(condition.sql)
            parameters += condition.parameters
    return conditions, parameters


def _value(form: Form, text: str) -> Any:
    if form.name == "numeric":
        return parse_scalar(KINDS["float8"], text)
    if form.array or form.name not in KINDS:
        raise BadRequest(f"'{text[:80]}' is no page key: arrays and bins have none.")
    return parse_scalar(KINDS[form.name], text)


def _beyond(keys: Sequence[_Key], values: Sequence[Any], *, after: bool) -> Fragment:
    """k1 beyond v1 OR (k1 = v1 AND (k2 beyond v2 OR ...)): built from the end."""
    sql, parameters = "", []
    for key, value in zip(reversed(keys), reversed(values), strict=True):
        beyond, beyond_count = key.beyond(value, after=after)
        if not sql:
            sql, parameters = beyond, [value] * beyond_count
            continue
        same, same_count = key.same(value)
        sql = f"({beyond} OR ({same} AND {sql}))"
        parameters = [value] * (beyond_count + same_count) + parameters
    return Fragment(sql, tuple(parameters))

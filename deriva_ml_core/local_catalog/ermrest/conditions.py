"""
Filters as SQL.

SQL's own three-valued logic gives ERMrest's: a comparison with null is null, and only rows for which the whole filter
is true remain. Literals are read as values of the column's type and are bound, never written into SQL.

Source: ERMrest API documentation, "Filter Language"; NOTES.md "URL grammar" for lists and array columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import apsw

from deriva_ml_core.local_catalog.ermrest.fragments import Fragment, combine
from deriva_ml_core.local_catalog.ermrest.identifiers import canonical
from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.paths import BoundColumn, Instance, Path, resolve, resolve_instance
from deriva_ml_core.local_catalog.ermrest.regexps import Matcher
from deriva_ml_core.local_catalog.ermrest.sqlforms import Form, form_of, is_ordered, order_form, text_form
from deriva_ml_core.local_catalog.ermrest.syntax import Comparison, Condition, Logical, Not, Reference, ValueList
from deriva_ml_core.local_catalog.ermrest.types import ENCODE, parse_literal
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, NotProvided

SYMBOLS = {"=": "=", "lt": "<", "leq": "<=", "gt": ">", "geq": ">="}
_REGEXPS = {"regexp", "ciregexp"}
_ARGUMENTS = 500
"""SQLite's functions take 1,000."""
_WORDS: dict[str, Literal["AND", "OR"]] = {"any": "OR", "all": "AND"}


def condition_sql(path: Path, condition: Condition, context: Instance) -> Fragment:
    """
    A filter as an SQL condition.

    Args:
        context: the instance that unqualified columns belong to.

    Raises:
        BadRequest, Conflict: a column is not there, or a literal is no value of its type.
    """
    match condition:
        case Not():
            inner = condition_sql(path, condition.condition, context)
            return Fragment(f"(NOT {inner.sql})", inner.parameters, inner.uses)
        case Logical():
            members = _gathered(condition) if condition.word == "OR" else condition.conditions
            return combine(condition.word, [condition_sql(path, member, context) for member in members])
        case Comparison():
            return _comparison(path, condition, context)


def _gathered(condition: Logical) -> Sequence[Condition]:
    """`a=1;a=2;b=3` as `a=any(1,2);b=3`: long lists of one column's values become one lookup."""
    values: dict[Reference, list[str]] = {}
    rest: list[Condition] = []
    for member in condition.conditions:
        if isinstance(member, Comparison) and member.operator == "=" and isinstance(member.value, str):
            values.setdefault(member.column, []).append(member.value)
        else:
            rest.append(member)
    lists = [Comparison(column, "=", ValueList("any", tuple(each))) for column, each in values.items()]
    return [*lists, *rest]


def _comparison(path: Path, comparison: Comparison, context: Instance) -> Fragment:
    columns = _columns(path, comparison.column, context)
    if comparison.column.star and len(columns) != 1 and comparison.operator not in _REGEXPS | {"ts"}:
        raise BadRequest("The wildcard * can only be searched with ::regexp:: and ::ciregexp::.")
    if comparison.operator == "ts":
        raise NotProvided("Text search (::ts::) is left out; use ::ciregexp::.")
    if comparison.operator in _REGEXPS:
        return _matches(columns, comparison)
    return combine("OR", [_tests(column, comparison) for column in columns])


def _columns(path: Path, reference: Reference, context: Instance) -> list[BoundColumn]:
    if not reference.star:
        return [resolve(path, reference, context, Conflict)]
    instance = resolve_instance(path, reference.parts, context, Conflict)
    if named := instance.table.find("*"):
        return [path.column(instance, named)]
    # Who may select none of them is told so by the check of the columns that are read.
    columns = path.visible(instance.table) or instance.table.columns
    return [path.column(instance, column) for column in columns]


def _tests(column: BoundColumn, comparison: Comparison) -> Fragment:
    uses = frozenset({column.instance.number})
    if comparison.operator == "null":
        return Fragment(f"({column.sql} IS NULL)", (), uses)
    value = comparison.value
    if not is_ordered(form_of(column.column)):
        raise Conflict(f"Column {column.column.name} has type json, which cannot be compared; use jsonb.")
    if isinstance(value, ValueList):
        return _list_test(column, comparison.operator, value, uses)
    return _test(column, comparison.operator, _literal(column.column, comparison.operator, value or ""), uses)


def _matches(columns: Sequence[BoundColumn], comparison: Comparison) -> Fragment:
    """A regular expression in any of some columns: one call a row, which also is null as OR would be."""
    value = comparison.value
    texts = value.values if isinstance(value, ValueList) else (value or "",)
    word = _WORDS[value.quantifier if isinstance(value, ValueList) else "any"]
    ignore_case = comparison.operator == "ciregexp"
    uses = frozenset({columns[0].instance.number})
    tests = []
    for text in dict.fromkeys(texts):
        matcher = Matcher(text, ignore_case=ignore_case)
        groups = [columns[start : start + _ARGUMENTS] for start in range(0, len(columns), _ARGUMENTS)]
        parts = [", ".join(text_form(c.sql, form_of(c.column)) for c in group) for group in groups]
        calls = [Fragment(f"pg_match(?, {part})", (apsw.pyobject(matcher),), uses) for part in parts]
        tests.append(combine("OR", calls))
    return combine(word, tests)


def _literal(column: Column, operator: str, text: str) -> Any:
    if column.name == "RID" and operator == "=":
        return canonical(text) or text
    literal = parse_literal(column.type, text)
    return ENCODE(literal) if column.type.array and form_of(column).name in {"json", "jsonb"} else literal


def _list_test(column: BoundColumn, operator: str, value: ValueList, uses: frozenset[int]) -> Fragment:
    literals = list(dict.fromkeys(_literal(column.column, operator, text) for text in value.values))
    if operator == "=" and len(literals) > 1 and value.quantifier == "any" and _is_plain(form_of(column.column)):
        return Fragment(f"({column.sql} IN (SELECT value FROM json_each(?)))", (ENCODE(literals),), uses)
    return combine(_WORDS[value.quantifier], [_test(column, operator, literal, uses) for literal in literals])


def _is_plain(form: Form) -> bool:
    """Whether stored values are equal exactly if PostgreSQL's are, and survive a trip through JSON."""
    return not form.array and form.name not in {"jsonb", "interval", "float4", "float8"}


def _test(column: BoundColumn, operator: str, literal: Any, uses: frozenset[int]) -> Fragment:
    form = form_of(column.column)
    if form.array:
        return _member_test(column, operator, literal, form, uses)
    left, right = order_form(column.sql, form), order_form("?", form)
    return Fragment(f"({left} {SYMBOLS[operator]} {right})", (literal,), uses)


def _member_test(column: BoundColumn, operator: str, literal: Any, form: Form, uses: frozenset[int]) -> Fragment:
    """
    Whether some member compares. For `=` that is containment, which sees no nulls among the members; else it is
    PostgreSQL's ANY: null if no member compares and some member is null.
    """
    if form.name in {"json", "jsonb"}:
        member = "json(CASE WHEN type IN ('object', 'array') THEN value ELSE json_quote(value) END)"
        left, right = member, "json(?)"
    else:
        left, right = (
            ("value", "?") if form.name != "interval" else ("pg_interval_order(value)", "pg_interval_order(?)")
        )
    some = f"max({left} {SYMBOLS[operator]} {right})"
    unknown = "0" if operator == "=" else "CASE WHEN count(*) > count(atom) THEN NULL ELSE 0 END"
    sql = (
        f"(CASE WHEN {column.sql} IS NOT NULL THEN"
        f" (SELECT CASE WHEN {some} THEN 1 ELSE {unknown} END FROM json_each({column.sql})) END)"
    )
    return Fragment(sql, (literal,), uses)

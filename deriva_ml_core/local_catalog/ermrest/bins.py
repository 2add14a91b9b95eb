"""
bin(column;number;lowest;highest): the bucket that a value falls into, as `[bucket, lower, upper]`.

Rows are grouped and sorted by the bucket's number, which SQL computes; the bounds are added to what is left.

Source: ERMrest API documentation, "Attribute Binning"; PostgreSQL's width_bucket.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, NoReturn

from deriva_ml_core.local_catalog.ermrest import times
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.paths import BoundColumn
from deriva_ml_core.local_catalog.ermrest.sqlforms import form_of
from deriva_ml_core.local_catalog.ermrest.types import Stored, kind_of, parse_literal
from deriva_ml_core.local_catalog.errors import Conflict

_MOMENTS = frozenset({"date", "timestamp", "timestamptz"})
_NUMBERS = frozenset({"int2", "int4", "int8", "float4", "float8"})


def bin_of(column: BoundColumn, count: str, low: str, high: str) -> tuple[Fragment, Callable[[str], Fragment]]:
    """
    The bucket's number, and what makes the array from it.

    Raises:
        Conflict: a type without bins, or a number of bins that is none. BadRequest: bounds that are no values.
    """
    form = form_of(column.column)
    if form.array or form.name not in _MOMENTS | _NUMBERS:
        raise Conflict(f"Column {column.column.name} has type {column.column.type.typename}, which has no bins.")
    bins = _count(count)
    bounds = [parse_literal(column.column.type, text) for text in (low, high)]
    moments = form.name in _MOMENTS
    lowest, highest = (_number(bound, moments=moments) for bound in bounds)
    value = f"pg_seconds({column.sql})" if moments else column.sql
    finish = partial(_finish, [bins, bounds[0], bounds[1], kind_of(column.column.type).name])
    bucket = _bucket(value, bins, lowest, highest) if bins and lowest != highest else _fault(value, bins)
    return Fragment(*bucket, frozenset({column.instance.number})), finish


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else -1
    if not 0 <= count < 2**31 - 1:
        raise Conflict(f"'{text[:80]}' is no number of bins.")
    return count


def _fault(value: str, bins: int) -> tuple[str, tuple[Any, ...]]:
    """Bins that no value can fall into are a fault of the first row that has a value: an empty column has none."""
    words = "The lower bound of bins cannot equal the upper bound." if bins else "'0' is no number of bins."
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE pg_conflict({value}, ?) END", (words,)


def pg_conflict(value: object, words: str) -> NoReturn:  # noqa: ARG001  it keeps SQLite from calling it without a row
    """
    Refuse a value that a row has.

    Raises:
        Conflict: always.
    """
    raise Conflict(words)


def _number(bound: Stored, *, moments: bool) -> float:
    number = times.seconds_of(str(bound)) if moments else float(bound) if isinstance(bound, (int, float)) else inf
    if abs(number) == inf:
        raise Conflict("The bounds of bins must be finite.")
    return number


def _bucket(value: str, bins: int, lowest: float, highest: float) -> tuple[str, tuple[Any, ...]]:
    below, above = ("<", ">=") if lowest < highest else (">", "<=")
    sql = (
        f"CASE WHEN {value} {below} ? THEN 0 WHEN {value} {above} ? THEN ?"
        f" ELSE CAST(({value} - ?) * ? / ? AS INTEGER) + 1 END"
    )
    return sql, (lowest, highest, bins + 1, lowest, float(bins), highest - lowest)


def _finish(description: list[Any], bucket: str) -> Fragment:
    return Fragment(f"pg_bin({bucket}, ?)", (json.dumps(description),))


def pg_bin(bucket: int | None, description: str) -> str:
    """A bucket with its bounds, in the spelling of jsonb."""
    bins, low, high, kind = json.loads(description)
    if bucket is None:
        return "[null, null, null]"
    lower = None if bucket == 0 else _bound(bins, low, high, kind, bucket - 1)
    upper = None if bucket > bins else _bound(bins, low, high, kind, bucket)
    return json.dumps([bucket, lower, upper])


def _bound(bins: int, low: Any, high: Any, kind: str, steps: int) -> Any:
    if kind in _MOMENTS:
        seconds = (times.seconds_of(high) - times.seconds_of(low)) * steps / bins
        moment = times.shift(low, seconds).replace(tzinfo=None)
        text = moment.isoformat("T")
        text = text.rstrip("0") if moment.microsecond else text
        return text + ("+00:00" if kind == "timestamptz" else "")
    if steps == bins:
        return high
    bound = low + (high - low) * steps / bins
    return int(bound) if float(bound).is_integer() else bound

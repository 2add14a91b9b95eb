"""
Aggregate functions that SQLite lacks, over values in stored form: each takes one row at a time, nulls left out.

Source: PostgreSQL documentation, "Aggregate Functions".
"""

from __future__ import annotations

from typing import Any

import apsw

from deriva_ml_core.local_catalog.ermrest import intervals


class Least:
    """The first value in the order of another: min of what is not stored in its own order, such as arrays."""

    def __init__(self) -> None:
        self._found: tuple[Any, Any] | None = None

    def step(self, *row: Any) -> None:
        """Take what orders a value, and the value."""
        order, value = row
        if order is not None and (self._found is None or self._before(order, self._found[0])):
            self._found = order, value

    def final(self) -> Any:
        """The value, null if there was none."""
        return None if self._found is None else self._found[1]

    @staticmethod
    def _before(one: Any, other: Any) -> bool:
        return bool(one < other)


class Greatest(Least):
    """The last value."""

    @staticmethod
    def _before(one: Any, other: Any) -> bool:
        return bool(one > other)


class IntervalSum:
    """The sum of intervals."""

    def __init__(self) -> None:
        self._sum = intervals.NOTHING
        self._count = 0

    def step(self, *row: Any) -> None:
        """Take an interval."""
        (stored,) = row
        if stored is not None:
            self._sum = intervals.add(self._sum, intervals.amounts_of(stored))
            self._count += 1

    def final(self) -> str | None:
        """The result in stored form, null if there was none."""
        return intervals.write(self._result()) if self._count else None

    def _result(self) -> intervals.Amounts:
        return self._sum


class IntervalAverage(IntervalSum):
    """The mean of intervals."""

    def _result(self) -> intervals.Amounts:
        return intervals.divide(self._sum, self._count)


def install(db: apsw.Connection) -> None:
    """Make them known to a connection."""
    for name, fold, arguments in (
        ("pg_min", Least, 2),
        ("pg_max", Greatest, 2),
        ("pg_interval_sum", IntervalSum, 1),
        ("pg_interval_avg", IntervalAverage, 1),
    ):
        db.create_aggregate_function(name, fold, arguments)

"""
From a bound path and its outputs to one SQL statement.

    SELECT <rendered row> FROM (SELECT * FROM (<rows>) WHERE <page> ORDER BY <sort> LIMIT <limit>)

where <rows> is `SELECT <outputs> FROM <tables and joins> WHERE <filters> GROUP BY <...>`. SQLite flattens what can be
flattened. Values are bound; names in SQL are generated (`i0.c12`, `o3`).

Tables that only filter the rest are not joined but looked up: `WHERE i0.c5 IN (SELECT i1.c2 FROM ... AS i1 ...)`. That
neither multiplies rows that must not be multiplied, nor visits a table once for every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from deriva_ml_core.local_catalog.ermrest.conditions import condition_sql
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment, combine
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import Instance, Link, Path
from deriva_ml_core.local_catalog.ermrest.projections import Output
from deriva_ml_core.local_catalog.ermrest.types import kind_of

MAX_LOOKUPS = 12
"""More are not nested in each other, because of SQLite's limit on the depth of expressions; they are joined."""


class Source(Protocol):
    """Where rows come from: those that a client may see (rowrights.RowRights)."""

    def rows(self, table: Table) -> Fragment:
        """What to write after FROM."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


@dataclass(slots=True)
class _Plan:
    """The tables and conditions of a path while they are arranged."""

    source: Source
    instances: dict[int, Instance]
    links: list[Link]
    conditions: list[Fragment]
    needed: frozenset[int] = field(default_factory=frozenset)


def rows_sql(source: Source, path: Path, outputs: Sequence[Output], groups: int | None, *, distinct: bool) -> Statement:
    """
    The rows of a path: its outputs as o0, o1, ...

    Args:
        groups: group by the first n outputs (0: all rows are one group); None: no groups.
        distinct: one row for each row of the path's last table, however many combinations it is part of.
    """
    uses = frozenset().union(*(output.value.uses for output in outputs)) | {path.context.number}
    plan = _plan(source, path, uses, existential=distinct)
    tables, where = _tables(plan), _where(plan.conditions)
    columns = ", ".join(f"{output.value.sql} AS o{i}" for i, output in enumerate(outputs))
    parameters = [parameter for output in outputs for parameter in output.value.parameters]
    sql = f"SELECT {columns} FROM {tables.sql}{where.sql}"
    if groups:
        sql += f" GROUP BY {', '.join(f'o{i}' for i in range(groups))}"
    elif distinct and _multiplies(plan, path.context):
        sql += f" GROUP BY {path.context.sql}.{path.context.table.rid_column.sql}"
    return Statement(sql, (*parameters, *tables.parameters, *where.parameters))


def rowids_sql(source: Source, path: Path) -> Statement:
    """The row ids of the rows of the last table of a path, for deletion and update."""
    plan = _plan(source, path, frozenset({path.context.number}), existential=True)
    tables, where = _tables(plan), _where(plan.conditions)
    sql = f"SELECT {path.context.sql}.rowid FROM {tables.sql}{where.sql}"
    return Statement(sql, (*tables.parameters, *where.parameters))


def _plan(source: Source, path: Path, needed: frozenset[int], *, existential: bool) -> _Plan:
    conditions = [condition_sql(path, placed.condition, placed.context) for placed in path.conditions]
    instances = {instance.number: instance for instance in path.instances}
    plan = _Plan(source, instances, list(path.links), conditions, needed)
    if all(link.join == "inner" for link in path.links):
        while len(path.instances) - len(plan.instances) < MAX_LOOKUPS:
            if (leaf := _dispensable(plan, existential=existential)) is None:
                break
            _look_up(plan, *leaf)
    return plan


def _dispensable(plan: _Plan, *, existential: bool) -> tuple[Link, Instance, Instance] | None:
    """A table at the end of one link that only filters: the link, the table to keep and the one to look up."""
    for link in plan.links:
        for kept, leaf in ((link.earlier, link.newer), (link.newer, link.earlier)):
            at_end = sum(leaf in (other.earlier, other.newer) for other in plan.links) == 1
            if (
                at_end
                and leaf.number not in plan.needed
                and (existential or _is_unique(link, leaf))
                and all(leaf.number not in c.uses or c.uses == {leaf.number} for c in plan.conditions)
            ):
                return link, kept, leaf
    return None


def _look_up(plan: _Plan, link: Link, kept: Instance, leaf: Instance) -> None:
    """Turn a table that only filters into a condition."""
    own = [condition for condition in plan.conditions if condition.uses == {leaf.number}]
    plan.conditions = [condition for condition in plan.conditions if condition.uses != {leaf.number}]
    plan.links.remove(link)
    del plan.instances[leaf.number]
    rows = plan.source.rows(leaf.table)
    table = f"{rows.sql} AS {leaf.sql}"
    if len(link.alternatives) == 1:
        kept_side, leaf_side = zip(*_sides(link, kept, link.alternatives[0]), strict=True)
        where = _where(own)
        test = f"({', '.join(kept_side)}) IN (SELECT {', '.join(leaf_side)} FROM {table}{where.sql})"
    else:
        where = _where([Fragment(on_sql(link)), *own])
        test = f"EXISTS (SELECT 1 FROM {table}{where.sql})"
    plan.conditions.append(Fragment(test, (*rows.parameters, *where.parameters), frozenset({kept.number})))


def _tables(plan: _Plan) -> Fragment:
    """FROM: the tables that are left, in an order in which each link has both its ends."""
    first = next(iter(plan.instances.values()))
    rows = plan.source.rows(first.table)
    parts, parameters = [f"{rows.sql} AS {first.sql}"], [*rows.parameters]
    placed, waiting = {first.number}, list(plan.links)
    while waiting:
        link = next(link for link in waiting if link.earlier.number in placed or link.newer.number in placed)
        waiting.remove(link)
        new = link.earlier if link.newer.number in placed else link.newer
        placed.add(new.number)
        rows = plan.source.rows(new.table)
        parts.append(f"{link.join.upper()} JOIN {rows.sql} AS {new.sql} ON {on_sql(link)}")
        parameters += rows.parameters
    return Fragment(" ".join(parts), tuple(parameters))


def _where(conditions: Sequence[Fragment]) -> Fragment:
    if not conditions:
        return Fragment("")
    combined = combine("AND", conditions)
    return Fragment(f" WHERE {combined.sql}", combined.parameters)


def on_sql(link: Link) -> str:
    """The condition by which a link joins its tables."""
    alternatives = [
        Fragment("(" + " AND ".join(f"{a} = {b}" for a, b in _sides(link, link.earlier, pairs)) + ")")
        for pairs in link.alternatives
    ]
    return combine("OR", alternatives).sql


def _sides(link: Link, left: Instance, pairs: Iterable[tuple[Column, Column]]) -> list[tuple[str, str]]:
    """The columns to equate, those of `left` first. Days and moments are stored differently: compare as moments."""
    sides = []
    for earlier, newer in pairs:
        mixed = len({kind_of(earlier.type).name, kind_of(newer.type).name} & _TIMES) == 2
        a = _comparable(f"{link.earlier.sql}.{earlier.sql}", earlier, mixed=mixed)
        b = _comparable(f"{link.newer.sql}.{newer.sql}", newer, mixed=mixed)
        sides.append((a, b) if left == link.earlier else (b, a))
    return sides


_TIMES = frozenset({"date", "timestamp", "timestamptz"})


def _comparable(sql: str, column: Column, *, mixed: bool) -> str:
    if not mixed:
        return sql
    match kind_of(column.type).name:
        case "date":
            return f"({sql} || ' 00:00:00')"
        case "timestamptz":
            return f"substr({sql}, 1, length({sql}) - 3)"
    return sql


def _is_unique(link: Link, end: Instance) -> bool:
    """Whether each row at the other end of a link has at most one partner at this end."""
    if len(link.alternatives) != 1:
        return False
    linked = {(newer if end == link.newer else earlier).oid for earlier, newer in link.alternatives[0]}
    return any(linked.issuperset(key.columns) for key in end.table.keys)


def _multiplies(plan: _Plan, context: Instance) -> bool:
    """Whether a row of the last table may occur in several combinations."""
    if any(link.join in {"right", "full"} for link in plan.links):
        return True
    reached, waiting = {context.number}, list(plan.links)
    while waiting:
        link = next(link for link in waiting if {link.earlier.number, link.newer.number} & reached)
        waiting.remove(link)
        end = link.newer if link.earlier.number in reached else link.earlier
        if not _is_unique(link, end) or (link.join == "left" and end == link.earlier):
            return True
        reached.add(end.number)
    return False

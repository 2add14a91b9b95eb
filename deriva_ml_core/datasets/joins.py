"""
Several tables of a bag as one: which foreign keys join them, and the joined rows, one by one.

The rule. Start at a table of members. Each other table is joined over the fewest foreign keys that lead to it, in
either direction, from the tables joined so far; tables that were not asked for may be on the way, but no vocabulary and
no table of the deriva-ml schema (everything is connected over these). Where several ways are equally short, none of
them is guessed: the user chooses one of the foreign keys.

Rows are joined as SQL's left outer join does it: a member without a match stays, with None; one with several matches
comes several times.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deriva_ml_core.catalog.tables import Table
from deriva_ml_core.errors import DerivaMLValidationError, nearest

TableId = tuple[str, str]
Row = dict[str, Any]
_HIDDEN = frozenset({"RCT", "RMT", "RCB", "RMB"})


@dataclass(frozen=True, slots=True)
class Link:
    """One foreign key as a step from `near` to `far`; `says` names it for a person: "Image.Subject"."""

    near: TableId
    near_columns: tuple[str, ...]
    far: TableId
    far_columns: tuple[str, ...]
    says: str


def plan_joins(
    tables: Mapping[TableId, Table], wanted: Sequence[TableId], ml_schema: str, chosen: Collection[str] = ()
) -> list[Link]:
    """
    The steps that join the tables, from the first of `wanted` on.

    Args:
        chosen: foreign keys ("Image.Subject") that are taken where several ways are possible.

    Raises:
        DerivaMLValidationError: no way leads to a table, or several do (the text has the choices); a name of `chosen`
            is no foreign key's.
    """
    links = _links(tables)
    known = {link.says for several in links.values() for link in several}
    if unknown := [name for name in chosen if name not in known]:
        raise DerivaMLValidationError(f"joins: {unknown[0]!r} is no foreign key{nearest(unknown[0], known)}")
    joined, steps = [wanted[0]], list[Link]()
    left = [identity for identity in wanted[1:] if identity != wanted[0]]
    while left:
        found = _shortest(tables, links, joined, left, ml_schema)
        if not found:
            raise DerivaMLValidationError(
                f"no foreign keys join {left[0][1]} with {', '.join(name for _, name in joined)}: leave it out"
            )
        target = next(identity for identity in left if identity in found)
        path = _only(target, found[target], frozenset(chosen))
        steps += path
        joined += [link.far for link in path]
        left = [identity for identity in left if identity not in joined]
    return steps


def join_rows(
    start: Iterable[Row], steps: Sequence[Link], read: Callable[[TableId], Iterable[Row]], anchor: TableId
) -> Iterator[dict[TableId, Row | None]]:
    """
    The joined rows: for each table its row, or None. Memory does not grow with their number: the tables that are
    joined to the first are indexed in a temporary file.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="deriva-ml-"))
        spool = stack.enter_context(closing(sqlite3.connect(Path(folder, "joins.db"), isolation_level=None)))
        spool.execute("PRAGMA journal_mode=OFF")
        spool.execute("PRAGMA synchronous=OFF")
        indexes = [_Index(spool, number, read(link.far), link.far_columns) for number, link in enumerate(steps)]
        for row in start:
            yield from _extend({anchor: row}, steps, indexes)


def flatten(tables: Mapping[TableId, str], joined: Mapping[TableId, Row | None], columns: Mapping[TableId, Any]) -> Row:
    """One joined row with columns called Table.Column, of the tables in `tables` (with the names given there)."""
    return {
        f"{name}.{column}": (joined.get(identity) or {}).get(column)
        for identity, name in tables.items()
        for column in shown_columns(columns[identity])
    }


def shown_columns(columns: Iterable[str]) -> list[str]:
    """Who wrote a row, and when, is nothing a model learns from."""
    return [column for column in columns if column not in _HIDDEN]


# --- inside ---


class _Index:
    """Rows of a table by the values of some columns."""

    def __init__(self, spool: sqlite3.Connection, number: int, rows: Iterable[Row], columns: Sequence[str]) -> None:
        self._spool, self._table = spool, f"t{number}"
        spool.execute(f"CREATE TABLE {self._table} (key TEXT, row TEXT)")
        spool.execute("BEGIN")
        entries = ((key, json.dumps(row)) for row in rows if (key := _key(row, columns)) is not None)
        spool.executemany(f"INSERT INTO {self._table} VALUES (?, ?)", entries)  # noqa: S608  # a name of our own
        spool.execute("COMMIT")
        spool.execute(f"CREATE INDEX {self._table}k ON {self._table} (key)")

    def find(self, key: str) -> list[Row]:
        query = f"SELECT row FROM {self._table} WHERE key = ? ORDER BY rowid"  # noqa: S608  # a name of our own
        return [json.loads(text) for (text,) in self._spool.execute(query, (key,))]


def _key(row: Row, columns: Sequence[str]) -> str | None:
    values = [row.get(column) for column in columns]
    return None if None in values else json.dumps(values)


def _extend(
    joined: dict[TableId, Row | None], steps: Sequence[Link], indexes: Sequence[_Index]
) -> Iterator[dict[TableId, Row | None]]:
    if not steps:
        yield joined
        return
    link = steps[0]
    near = joined[link.near]
    key = None if near is None else _key(near, link.near_columns)
    matches: Sequence[Row | None] = (indexes[0].find(key) if key is not None else ()) or [None]
    for match in matches:
        yield from _extend({**joined, link.far: match}, steps[1:], indexes[1:])


def _links(tables: Mapping[TableId, Table]) -> dict[TableId, list[Link]]:
    found: dict[TableId, list[Link]] = {}
    for identity, table in sorted(tables.items()):
        for key in table.foreign_keys:
            far = (key.schema, key.table)
            if far in tables and far != identity:
                says = f"{table.name}.{'+'.join(key.columns)}"
                found.setdefault(identity, []).append(Link(identity, key.columns, far, key.referenced_columns, says))
                found.setdefault(far, []).append(Link(far, key.referenced_columns, identity, key.columns, says))
    return found


def _shortest(
    tables: Mapping[TableId, Table],
    links: Mapping[TableId, Sequence[Link]],
    joined: Sequence[TableId],
    left: Sequence[TableId],
    ml_schema: str,
) -> dict[TableId, list[tuple[Link, ...]]]:
    """Table -> the shortest ways to it, for the tables of `left` that are nearest to those joined so far."""
    ways: list[tuple[TableId, tuple[Link, ...]]] = [(start, ()) for start in joined]
    while ways:
        found: dict[TableId, list[tuple[Link, ...]]] = {}
        longer: list[tuple[TableId, tuple[Link, ...]]] = []
        for at, way in ways:
            passed = {*joined, *(link.far for link in way)}
            for link in links.get(at, ()):
                if link.far in passed:
                    continue
                if link.far in left:
                    found.setdefault(link.far, []).append((*way, link))
                elif link.far[0] != ml_schema and not tables[link.far].is_vocabulary:
                    longer.append((link.far, (*way, link)))
        if found:
            return found
        ways = longer
    return {}


def _only(target: TableId, ways: Sequence[tuple[Link, ...]], chosen: frozenset[str]) -> tuple[Link, ...]:
    fitting = [way for way in ways if chosen & {link.says for link in way}] or list(ways)
    if len(fitting) == 1:
        return fitting[0]
    choices = "; ".join(" > ".join(link.says for link in way) for way in fitting)
    raise DerivaMLValidationError(
        f"several ways lead to {target[1]}: {choices}. Choose one by a foreign key that only it has: "
        f"joins=[{fitting[0][0].says!r}]"
    )

"""
Rights that depend on the row: dynamic ACL bindings as SQL conditions.

Rows that a client may not select are left out of every query, and values read as null; whoever may not write one of
the rows that a request names is refused. Projections themselves see every row, whoever asks.

Reading the past takes the rights of then and today: a row is visible if the bindings of that time grant it by the rows
of that time, and those of today by what the row is today.

Source: ERMrest docs, "Access Control Core Concepts", "Dynamic ACL Binding Technical Reference".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import apsw

from deriva_ml_core.local_catalog.auth import EVERYBODY, Client
from deriva_ml_core.local_catalog.ermrest import accesscontrol
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access, bindings_of
from deriva_ml_core.local_catalog.ermrest.bindings import BASE, bind_projection
from deriva_ml_core.local_catalog.ermrest.conditions import condition_sql
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment, combine
from deriva_ml_core.local_catalog.ermrest.model import Column, Document, Model, Table
from deriva_ml_core.local_catalog.ermrest.paths import Instance
from deriva_ml_core.local_catalog.ermrest.sql import Statement, on_sql
from deriva_ml_core.local_catalog.ermrest.types import ENCODE
from deriva_ml_core.local_catalog.errors import Refusal

_MEMBERS = 450
_NOTHING, _TRUE, _FALSE = Fragment("0"), Fragment("json('true')"), Fragment("json('false')")


class Snapshot(accesscontrol.Snapshot, Protocol):
    """What is needed of a View or a Transaction: the models of a decision, and the rows."""

    @property
    def db(self) -> apsw.Connection:
        """Where its rows are."""

    def source(self, table: Table) -> str:
        """What to write after FROM to get every row of a table."""


class RowRights:
    """What one client may do with which rows of a snapshot."""

    def __init__(self, view: Snapshot, client: Client) -> None:
        self._view = view
        self._client = client
        self._access = Access(view.model, client)

    def rows(self, table: Table) -> Fragment:
        """What to write after FROM to get the rows that the client may see, with null for values that it may not."""
        source = self._view.source(table)
        visible = self._conditions(table, "select", None)
        masks = {
            column.sql: combine("AND", hidden)
            for column in table.columns
            if _has_own(column) and (hidden := self._conditions(table, "select", column))
        }
        if not visible and not masks:
            return Fragment(source)
        columns = [f"c{slot}" for slot, _ in table.physical]
        shown = [Fragment(f"{BASE}.{c}") if c not in masks else _masked(c, masks[c]) for c in columns]
        names = ([] if self._view.past else [f"{BASE}.rowid AS rowid"]) + [item.sql for item in shown]
        where = combine("AND", visible) if visible else Fragment("1")
        parameters = [parameter for item in shown for parameter in item.parameters]
        sql = f"(SELECT {', '.join(names)} FROM {source} AS {BASE} WHERE {where.sql})"
        return Fragment(sql, (*parameters, *where.parameters))

    def granted(self, table: Table, right: str, columns: Iterable[Column] = ()) -> Fragment | None:
        """
        A condition on a row, called `BASE`: whether the client has a right on it and on these of its values.

        Returns:
            None if it has it on every row. Whether it might have it at all `accesscontrol.require` has asked before.
        """
        conditions = self._conditions(table, right, None)
        for column in columns:
            if _has_own(column):
                conditions += self._conditions(table, right, column)
        return combine("AND", conditions) if conditions else None

    def summary(self, instance: Instance, with_columns: bool) -> Fragment:
        """
        What the client may do with a row of an instance, as JSON.

        Args:
            with_columns: with each of its values, too.
        """
        table = instance.table
        members = [(right, self._answer(instance, right, None)) for right in ("update", "delete")]
        if with_columns:
            columns = [(c.name, _FALSE if c.is_system else self._answer(instance, "update", c)) for c in table.columns]
            members.append(("column_update", _json_object(columns)))
        return _json_object(members)

    def _answer(self, instance: Instance, right: str, column: Column | None) -> Fragment:
        table = instance.table
        decision = self._access.table(table, right) if column is None else self._access.column(table, column, right)
        if decision is not None:
            return _TRUE if decision else _FALSE
        conditions = self._conditions(table, right, column)
        rid, source = table.rid_column.sql, self._view.source(table)
        whole = combine("AND", [Fragment(f"({BASE}.{rid} = {instance.sql}.{rid})"), *conditions])
        sql = f"json(iif(EXISTS (SELECT 1 FROM {source} AS {BASE} WHERE {whole.sql}), 'true', 'false'))"
        return Fragment(sql, whole.parameters, frozenset({instance.number}))

    def require(self, table: Table, right: str, chosen: Statement, columns: Iterable[Column] = ()) -> None:
        """
        Refuse unless the client has the right on every chosen row, and on these of its values.

        Args:
            chosen: a query for row ids.

        Raises:
            Unauthorized, Forbidden: a row is chosen on which it has not.
        """
        condition = self.granted(table, right, columns)
        if condition is None:
            return
        sql = f"SELECT 1 FROM {table.live} AS {BASE} WHERE rowid IN ({chosen.sql}) AND NOT ifnull({condition.sql}, 0)"
        if self._view.db.execute(f"{sql} LIMIT 1", (*chosen.parameters, *condition.parameters)).fetchone():
            words = f"{right} on some of the rows of table {self._view.model.qualified(table)} that it names"
            raise self._client.refusal(f"It needs the right to {words}.")

    def require_references(
        self, table: Table, right: str, columns: Iterable[Column], which: str, parameters: Sequence[object]
    ) -> None:
        """
        Refuse unless the client may refer to every row that these columns of rows that were written refer to.

        Args:
            which: an SQL condition on the rows that were written, which are called `r`.

        Raises:
            Unauthorized, Forbidden: a row refers to one that it may not refer to.
        """
        written = {column.oid for column in columns}
        for fkey in table.foreign_keys:
            if not written.intersection(fkey.columns) or self._access.foreign_key(fkey, right) is not None:
                continue
            parent = self._view.model.tables[fkey.to_table]
            bindings = self._access.bindings(right, fkey.acl_bindings, reference=True)
            allowed = self._any(self._view.model, self._view.source, parent, bindings)
            mine = [f"r.{column.sql}" for column in table.columns_of(fkey.columns)]
            theirs = [f"{BASE}.{column.sql}" for column in parent.columns_of(fkey.to_columns)]
            filled = " AND ".join(f"{column} IS NOT NULL" for column in mine)
            same = " AND ".join(f"{a} = {b}" for a, b in zip(mine, theirs, strict=True))
            sql = (
                f"SELECT 1 FROM {table.live} AS r WHERE ({which}) AND {filled} AND NOT EXISTS"
                f" (SELECT 1 FROM {parent.live} AS {BASE} WHERE {same} AND {allowed.sql}) LIMIT 1"
            )
            if self._view.db.execute(sql, (*parameters, *allowed.parameters)).fetchone():
                words = f"set references by {fkey.name} to some of the rows that it names"
                raise self._client.refusal(f"It needs the right to {words}.")

    def _conditions(self, table: Table, right: str, column: Column | None) -> list[Fragment]:
        """What must be true of a row for a right on it, or on a value in it: of then, and of today."""
        conditions = self._bound(self._access, self._view.source, table, right, column)
        known = self._view.today.tables.get(table.oid) if self._view.past else None
        if known is not None:
            same = known.by_oid.get(column.oid) if column is not None else None
            access = Access(self._view.today, self._client)
            for condition in self._bound(access, _live, known, right, same):
                rid = table.rid_column.sql
                sql = f"{BASE}.{rid} IN (SELECT {BASE}.{rid} FROM {known.live} AS {BASE} WHERE {condition.sql})"
                conditions.append(Fragment(sql, condition.parameters))
        return conditions

    def _bound(
        self, access: Access, source: Callable[[Table], str], table: Table, right: str, column: Column | None
    ) -> list[Fragment]:
        decision = access.table(table, right) if column is None else access.column(table, column, right)
        if decision is not None:
            return []
        bindings = table.acl_bindings if column is None else bindings_of(table, column)
        return [self._any(access.model, source, table, access.bindings(right, bindings))]

    def _any(self, model: Model, source: Callable[[Table], str], base: Table, bindings: Sequence[Document]) -> Fragment:
        """Whether any of some bindings grants. One that names what has been deleted since grants nothing."""
        parts = []
        for binding in bindings:
            try:
                parts.append(self._binding(model, source, base, binding))
            except Refusal:
                continue
        return combine("OR", parts) if parts else _NOTHING

    def _binding(self, model: Model, source: Callable[[Table], str], base: Table, binding: Document) -> Fragment:
        projection = bind_projection(model, base, binding)
        path = projection.path
        conditions = [Fragment(on_sql(link)) for link in path.links]
        conditions += [condition_sql(path, placed.condition, placed.context) for placed in path.conditions]
        value = projection.column.sql
        if binding["projection_type"] == "nonnull":
            conditions.append(Fragment(f"({value} IS NOT NULL)"))
        else:
            conditions.append(self._names_client(value, is_array=projection.column.column.type.array))
        whole = combine("AND", conditions)
        if len(path.instances) == 1:
            return whole
        tables = ", ".join(f"{source(instance.table)} AS {instance.sql}" for instance in path.instances[1:])
        return Fragment(f"EXISTS (SELECT 1 FROM {tables} WHERE {whole.sql})", whole.parameters)

    def _names_client(self, value: str, *, is_array: bool) -> Fragment:
        names = ENCODE([EVERYBODY, *self._client.attributes])
        member = "IN (SELECT value FROM json_each(?))"
        if not is_array:
            return Fragment(f"({value} {member})", (names,))
        return Fragment(f"EXISTS (SELECT 1 FROM json_each({value}) AS m WHERE m.value {member})", (names,))


def _has_own(column: Column) -> bool:
    """Whether a column has a policy of its own; else its table's has been applied to the whole row."""
    return bool(column.acls or column.acl_bindings)


def _masked(column: str, condition: Fragment) -> Fragment:
    return Fragment(f"CASE WHEN {condition.sql} THEN {BASE}.{column} END AS {column}", condition.parameters)


def _json_object(members: Sequence[tuple[str, Fragment]]) -> Fragment:
    """
    A JSON object of constants and expressions.

    SQLite's functions take 1,000 arguments, which are two for each of its members; larger ones are patched together.
    """
    parts = []
    for start in range(0, len(members), _MEMBERS):
        some = members[start : start + _MEMBERS]
        sql = ", ".join(f"?, {value.sql}" for _, value in some)
        parts.append(
            Fragment(f"json_object({sql})", tuple(p for name, value in some for p in (name, *value.parameters)))
        )
    whole = parts[0].sql if parts else "json_object()"
    for part in parts[1:]:
        whole = f"json_patch({whole}, {part.sql})"
    every = tuple(parameter for part in parts for parameter in part.parameters)
    return Fragment(whole, every, frozenset().union(*(value.uses for _, value in members)))


def _live(table: Table) -> str:
    return table.live

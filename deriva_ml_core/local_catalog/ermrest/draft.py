"""
A model being changed inside one transaction: any number of changes, applied to SQLite together at the end.

One request is one draft, so that a bulk creation of thirty tables with mutual references is one change of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import apsw

from deriva_ml_core.local_catalog.ermrest import physical
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Key, Model, Schema, Table
from deriva_ml_core.local_catalog.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deriva_ml_core.local_catalog.auth import Client
    from deriva_ml_core.local_catalog.ermrest.storage import Transaction

Fill = Callable[[apsw.Connection, Table], None]
"""Gives a new column its values in the rows that are there."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """Something to do between adding columns and adding constraints."""

    table: int
    fill: Fill


class Draft:
    """The model as it will be; starts as the transaction's model."""

    def __init__(self, txn: Transaction, client: Client) -> None:
        """Start from the newest model; `client` is asked for its rights at every change."""
        self.txn = txn
        self.client = client
        self.schemas = dict(txn.model.schemas)
        self.tables = dict(txn.model.tables)
        self.annotations = txn.model.annotations
        self.acls = txn.model.acls
        self._pending: list[_Pending] = []
        self._new_foreign_keys: list[ForeignKey] = []

    @property
    def model(self) -> Model:
        """The model as changed so far."""
        return Model(self.txn.snaptime, self.schemas, self.tables, self.annotations, self.acls)

    @property
    def access(self) -> Access:
        """What the client may do."""
        return Access(self.model, self.client)

    def new_oid(self) -> int:
        """A number, and so a RID, for a new element."""
        return self.txn.allocate_oids(1)[0]

    # What is there

    def schema(self, name: str, missing: type[Conflict | NotFound] = NotFound) -> Schema:
        """A schema by name."""
        found = next((schema for schema in self.schemas.values() if schema.name == name), None)
        if found is None:
            raise missing(f"There is no schema {name!r} in this catalog.")
        return found

    def find_table(self, schema: Schema, name: str) -> Table | None:
        """A table by name, or None."""
        return next((t for t in self.tables.values() if t.schema == schema.oid and t.name == name), None)

    def table(self, schema: Schema, name: str, missing: type[Conflict | NotFound] = NotFound) -> Table:
        """A table by name."""
        found = self.find_table(schema, name)
        if found is None:
            raise missing(f"There is no table {name!r} in schema {schema.name!r}.")
        return found

    def key_names(self, schema: int) -> set[str]:
        """The names of all keys in a schema."""
        return {key.name for table in self.tables.values() if table.schema == schema for key in table.keys}

    def constraint_names(self, schema: int) -> set[str]:
        """The names of all keys and foreign keys in a schema."""
        tables = [table for table in self.tables.values() if table.schema == schema]
        return self.key_names(schema) | {fkey.name for table in tables for fkey in table.foreign_keys}

    def require_free_name(self, table: Table, name: str, *, key: bool) -> None:
        """Refuse a constraint name that is taken in the table or, for a key, by a key of the schema (PostgreSQL)."""
        table = self.tables[table.oid]
        taken = {known.name for known in table.keys} | {known.name for known in table.foreign_keys}
        if name in taken or (key and name in self.key_names(table.schema)):
            raise Conflict(f"There is a constraint {name!r} already.")

    def referring(self, table: Table) -> list[ForeignKey]:
        """The foreign keys that refer to a table, also its own."""
        return [f for other in self.tables.values() for f in other.foreign_keys if f.to_table == table.oid]

    # What the client may do

    def require_catalog(self, right: str) -> None:
        """Refuse unless the client has a right on the catalog."""
        self._require(self.access.catalog(right), f"{right} on the catalog")

    def require_schema(self, schema: Schema, right: str) -> None:
        """Refuse unless the client has a right on a schema."""
        self._require(self.access.schema(schema, right), f"{right} on schema {schema.name}")

    def require_table(self, table: Table, right: str = "owner") -> None:
        """Refuse unless the client has a right on a table."""
        self._require(self.access.table(table, right), f"{right} on table {table.name}")

    def _require(self, decision: bool | None, words: str) -> None:
        if not decision:
            raise self.client.refusal(f"It needs the right to {words}.")

    # Changes

    def put_schema(self, schema: Schema) -> Schema:
        """Add or replace a schema."""
        self.schemas[schema.oid] = schema
        return schema

    def put_table(self, table: Table) -> Table:
        """Add or replace a table."""
        self.tables[table.oid] = table
        return table

    def put_column(self, table: Table, column: Column, fill: Fill | None = None) -> Table:
        """Add or replace a column; a new slot becomes part of the table, filled by `fill`."""
        columns = _put(table.columns, column)
        extra = () if column.slot in dict(table.physical) else ((column.slot, column.type.affinity),)
        if fill is not None:
            self._pending.append(_Pending(table.oid, fill))
        return self.put_table(replace(table, columns=columns, physical=table.physical + extra))

    def put_key(self, table: Table, key: Key) -> Table:
        """Add or replace a key."""
        return self.put_table(replace(table, keys=_put(table.keys, key)))

    def put_foreign_key(self, fkey: ForeignKey) -> Table:
        """Add or replace a foreign key."""
        table = self.tables[fkey.table]
        if all(known.oid != fkey.oid for known in table.foreign_keys):
            self._new_foreign_keys.append(fkey)
        return self.put_table(replace(table, foreign_keys=_put(table.foreign_keys, fkey)))

    def finish(self) -> Model:
        """
        Apply the changes to SQLite and make them the transaction's model.

        Raises:
            Conflict: stored rows do not allow it.
        """
        old, new = self.txn.model, self.model
        db = self.txn.db
        with _constraints():
            for oid, table in new.tables.items():
                if oid in old.tables:
                    physical.add_columns(db, old.tables[oid], table)
            for pending in self._pending:
                pending.fill(db, self.tables[pending.table])
            self._check_rows(old)
            self.txn.change_model(new)
        return new

    def _check_rows(self, old: Model) -> None:
        """What SQLite itself does not check when constraints are added to a table that has rows."""
        for oid, before in old.tables.items():
            if oid in self.tables and self.tables[oid] is not before:
                self._check_not_null(before, self.tables[oid])
        for fkey in self._new_foreign_keys:
            if fkey.table in old.tables:
                self._check_references(fkey)

    def _check_not_null(self, before: Table, after: Table) -> None:
        strict = {column.slot for column in before.columns if not column.nullok}
        for column in after.columns:
            if column.nullok or column.slot in strict:
                continue
            if self.txn.db.execute(f"SELECT 1 FROM {after.live} WHERE {column.sql} IS NULL LIMIT 1").fetchone():
                raise Conflict(f"Column {column.name!r} of table {after.name!r} has rows without a value.")

    def _check_references(self, fkey: ForeignKey) -> None:
        table, parent = self.tables[fkey.table], self.tables[fkey.to_table]
        pairs = [
            (mine.sql, theirs.sql)
            for mine, theirs in zip(table.columns_of(fkey.columns), parent.columns_of(fkey.to_columns), strict=True)
        ]
        filled = " AND ".join(f"c.{mine} IS NOT NULL" for mine, _ in pairs)
        same = " AND ".join(f"p.{theirs} = c.{mine}" for mine, theirs in pairs)
        sql = (
            f"SELECT 1 FROM {table.live} AS c WHERE {filled}"
            f" AND NOT EXISTS (SELECT 1 FROM {parent.live} AS p WHERE {same}) LIMIT 1"
        )
        if self.txn.db.execute(sql).fetchone():
            raise Conflict(f"Table {table.name!r} has rows that refer to nothing in table {parent.name!r}.")


def _put(elements: tuple[Any, ...], element: Any) -> tuple[Any, ...]:
    if any(known.oid == element.oid for known in elements):
        return tuple(element if known.oid == element.oid else known for known in elements)
    return (*elements, element)


def without(elements: Iterable[Any], gone: Iterable[Any]) -> tuple[Any, ...]:
    """The elements that are not among `gone`."""
    oids = {element.oid for element in gone}
    return tuple(element for element in elements if element.oid not in oids)


@contextmanager
def _constraints() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as err:
        raise Conflict("Rows that are stored already break the new constraint.") from err

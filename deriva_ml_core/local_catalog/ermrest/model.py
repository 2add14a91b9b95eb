"""
The model of a catalog at one snapshot, as immutable values.

Elements refer to each other by object id (`oid`): a number that never changes and whose Crockford spelling is the
element's RID. Names may change at any time and never reach SQL; the SQL name of a table is `t{oid}` (history:
`h{oid}`), that of a column `c{slot}`. A slot is the column's oid until its type changes, which gives it a new one.

A change makes new values (`dataclasses.replace`) and leaves unchanged elements identical, so that the storage layer
sees by identity what must be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deriva_ml_core.local_catalog.ermrest.identifiers import encode

Document = dict[str, Any]

SYSTEM_COLUMNS = ("RID", "RCT", "RMT", "RCB", "RMB")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column type: a base type, a domain over one, or an array of one."""

    typename: str
    base: ColumnType | None = None
    is_array: bool = False
    is_domain: bool = False

    @property
    def scalar(self) -> str:
        """The base type's name below domains and arrays: text for text[], timestamptz for ermrest_rct."""
        return self.base.scalar if self.base else self.typename

    @property
    def array(self) -> bool:
        """Whether values are arrays, looking through domains."""
        return self.is_array or (self.is_domain and self.base is not None and self.base.array)

    @property
    def affinity(self) -> str:
        """The declared SQLite type of the stored form: INTEGER, REAL or TEXT (arrays are JSON text)."""
        if self.array:
            return "TEXT"
        return _AFFINITY.get(self.scalar, "TEXT")

    def document(self) -> Document:
        """The type as ERMrest's model documents show it."""
        document: Document = {"typename": self.typename}
        if self.is_domain:
            document["is_domain"] = True
        if self.is_array:
            document["is_array"] = True
        if self.base:
            document["base_type"] = self.base.document()
        return document


_AFFINITY = {
    **dict.fromkeys(["int2", "int4", "int8", "serial2", "serial4", "serial8", "boolean", "bool"], "INTEGER"),
    **dict.fromkeys(["float4", "float8"], "REAL"),
}


@dataclass(frozen=True, slots=True)
class Element:
    """What has a RID: its oid, written otherwise."""

    oid: int

    @property
    def rid(self) -> str:
        """The element's RID."""
        return encode(self.oid)


@dataclass(frozen=True, slots=True)
class Column(Element):
    """A column. `acls` has only the lists that are set."""

    slot: int
    name: str
    type: ColumnType
    nullok: bool = True
    default: Any = None
    comment: str | None = None
    annotations: Document = field(default_factory=dict)
    acls: Document = field(default_factory=dict)
    acl_bindings: Document = field(default_factory=dict)

    @property
    def sql(self) -> str:
        """The column's name in SQL, in the live and the history table; needs no quotes."""
        return f"c{self.slot}"

    @property
    def is_system(self) -> bool:
        """Whether it is one of RID, RCT, RMT, RCB, RMB."""
        return self.name in SYSTEM_COLUMNS


@dataclass(frozen=True, slots=True)
class Key(Element):
    """A unique constraint over columns (their oids, in order)."""

    name: str
    columns: tuple[int, ...]
    comment: str | None = None
    annotations: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForeignKey(Element):
    """A reference from `columns` of the table `table` to `to_columns` of `to_table`, pairwise (all are oids)."""

    name: str
    table: int
    columns: tuple[int, ...]
    to_table: int
    to_columns: tuple[int, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    comment: str | None = None
    annotations: Document = field(default_factory=dict)
    acls: Document = field(default_factory=dict)
    acl_bindings: Document = field(default_factory=dict)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (referring, referenced) columns, as oids."""
        return tuple(zip(self.columns, self.to_columns, strict=True))


@dataclass(frozen=True)
class Table(Element):
    """
    A table with its columns, keys and outgoing foreign keys.

    `physical` lists every column that the SQLite table has, in its order, as (slot, affinity): those of dropped
    columns too, because history needs them. (No slots here: the lookups below are cached in the instance.)
    """

    schema: int
    name: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    kind: str = "table"
    comment: str | None = None
    annotations: Document = field(default_factory=dict)
    acls: Document = field(default_factory=dict)
    acl_bindings: Document = field(default_factory=dict)
    physical: tuple[tuple[int, str], ...] = ()

    @property
    def live(self) -> str:
        """The SQL name of the table of live rows."""
        return f"t{self.oid}"

    @property
    def history(self) -> str:
        """The SQL name of the table of former rows: the same columns and `until` (time text, exclusive)."""
        return f"h{self.oid}"

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_oid(self) -> Mapping[int, Column]:
        """The columns by oid."""
        return {column.oid: column for column in self.columns}

    def find(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return self.by_name.get(name)

    def columns_of(self, oids: Iterable[int]) -> tuple[Column, ...]:
        """The columns with these oids, in the order asked."""
        return tuple(self.by_oid[oid] for oid in oids)

    @property
    def rid_column(self) -> Column:
        """The column RID."""
        return self.by_name["RID"]

    @property
    def rmt_column(self) -> Column:
        """The column RMT: since when a row is as it is."""
        return self.by_name["RMT"]


@dataclass(frozen=True, slots=True)
class Schema(Element):
    """A schema; its tables know it, not the other way round."""

    name: str
    comment: str | None = None
    annotations: Document = field(default_factory=dict)
    acls: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """
    Everything that /schema shows, at one time.

    `snaptime` is the newest change of the model that it includes (microseconds), a cache key; it is not the snapshot
    that it was asked for.
    """

    snaptime: int
    schemas: Mapping[int, Schema]
    tables: Mapping[int, Table]
    annotations: Document = field(default_factory=dict)
    acls: Document = field(default_factory=dict)

    @cached_property
    def schema_by_name(self) -> Mapping[str, Schema]:
        """The schemas by name."""
        return {schema.name: schema for schema in self.schemas.values()}

    @cached_property
    def _tables_by_name(self) -> Mapping[str, tuple[Table, ...]]:
        found: dict[str, tuple[Table, ...]] = {}
        for table in self.tables.values():
            found[table.name] = (*found.get(table.name, ()), table)
        return found

    @cached_property
    def _referenced_by(self) -> Mapping[int, tuple[ForeignKey, ...]]:
        found: dict[int, tuple[ForeignKey, ...]] = {}
        for table in self.tables.values():
            for fkey in table.foreign_keys:
                found[fkey.to_table] = (*found.get(fkey.to_table, ()), fkey)
        return found

    def find_tables(self, schema: str | None, name: str) -> tuple[Table, ...]:
        """The tables of that name: in one schema (0 or 1), or, with None, in any."""
        tables = self._tables_by_name.get(name, ())
        if schema is None:
            return tables
        return tuple(table for table in tables if self.schemas[table.schema].name == schema)

    def find_table(self, schema: str | None, name: str) -> Table | None:
        """The one table of that name, or None if there is none or, without a schema, several."""
        tables = self.find_tables(schema, name)
        return tables[0] if len(tables) == 1 else None

    def tables_in(self, schema: Schema) -> Iterator[Table]:
        """The tables of a schema, in the order of their making."""
        return (table for table in self.tables.values() if table.schema == schema.oid)

    def schema_of(self, table: Table) -> Schema:
        """The schema that a table is in."""
        return self.schemas[table.schema]

    def qualified(self, table: Table) -> str:
        """schema:table, for messages."""
        return f"{self.schemas[table.schema].name}:{table.name}"

    def referenced_by(self, table: Table) -> tuple[ForeignKey, ...]:
        """The foreign keys of any table (itself too) that refer to this one."""
        return self._referenced_by.get(table.oid, ())

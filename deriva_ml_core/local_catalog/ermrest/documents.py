"""
Model elements as the JSON documents that ERMrest answers, with what the asking client may see and do.

Elements that a client may not enumerate are left out; keys and foreign keys are left out where one of their columns
may not be selected. Only owners see ACLs. In the past nobody may change anything.

Source: ERMrest docs, "Access Decision Introspection" and "Model Operations"; NOTES.md "Model".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.local_catalog.ermrest.accesscontrol import CATALOG_ACLS, Access, Decision, Snapshot
from deriva_ml_core.local_catalog.ermrest.model import Column, Document, ForeignKey, Key, Model, Schema, Table

FEATURES = dict.fromkeys(
    (
        "attributegroup_rights_summary",
        "catalog_alias",
        "csv_array_json",
        "history_control",
        "implicit_fkey_index",
        "indexing_preferences",
        "quantified_value_lists",
        "rid_lease",
    ),
    True,
)
"""What the service says it can do."""

_CHANGES = ("create", "insert", "update", "delete", "owner")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes documents of one model for one client."""

    model: Model
    access: Access
    past: bool = False

    @classmethod
    def for_view(cls, view: Snapshot, access: Access) -> Writer:
        """A writer of a view's model."""
        return cls(view.model, access, view.past)

    def whole(self) -> Document:
        """What /schema answers, without its snaptime."""
        document: Document = {
            "annotations": self.model.annotations,
            "rights": self.catalog_rights(),
            "features": FEATURES,
        }
        document |= self.catalog_acls()
        document["schemas"] = {schema.name: self.schema(schema) for schema in self.visible_schemas()}
        return document

    def catalog_rights(self) -> Document:
        """What the client may do with the catalog itself."""
        return self._rights(("owner", "create"), self.access.catalog)

    def catalog_acls(self) -> Document:
        """The catalog's ACLs, every one of them, for its owners; else nothing."""
        if not self.access.catalog("owner"):
            return {}
        return {"acls": {name: self.model.acls.get(name, []) for name in CATALOG_ACLS}}

    def visible_schemas(self) -> list[Schema]:
        """The schemas that the client may know of."""
        return [schema for schema in self.model.schemas.values() if self.access.schema(schema, "enumerate")]

    def visible_tables(self, schema: Schema) -> list[Table]:
        """The tables of a schema that the client may know of."""
        return [table for table in self.model.tables_in(schema) if self.access.table(table, "enumerate")]

    def visible_columns(self, table: Table) -> list[Column]:
        """The columns of a table that the client may know of."""
        return [column for column in table.columns if self.access.column(table, column, "enumerate")]

    def schema(self, schema: Schema) -> Document:
        """A schema with its tables."""
        document = {
            "RID": schema.rid,
            "schema_name": schema.name,
            "comment": schema.comment,
            "annotations": schema.annotations,
            "rights": self._rights(("owner", "create"), lambda right: self.access.schema(schema, right)),
        }
        if self.access.schema(schema, "owner"):
            document["acls"] = schema.acls
        document["tables"] = {table.name: self.table(table) for table in self.visible_tables(schema)}
        return document

    def table(self, table: Table) -> Document:
        """A table with its columns, keys and foreign keys."""
        rights = ("owner", "insert", "update", "delete", "select")
        document: Document = {
            "RID": table.rid,
            "schema_name": self.model.schemas[table.schema].name,
            "table_name": table.name,
            "kind": table.kind,
            "comment": table.comment,
            "annotations": table.annotations,
            "rights": self._rights(rights, lambda right: self.access.table(table, right)),
        }
        document |= self._private(table, table)
        document["column_definitions"] = [self.column(table, column) for column in self.visible_columns(table)]
        document["keys"] = [self.key(table, key) for key in self.visible_keys(table)]
        document["foreign_keys"] = [self.foreign_key(fkey) for fkey in self.visible_foreign_keys(table)]
        return document

    def column(self, table: Table, column: Column) -> Document:
        """A column."""
        rights = ("insert", "update", "delete", "select")
        document = {
            "RID": column.rid,
            "name": column.name,
            "type": column.type.document(),
            "nullok": column.nullok,
            "default": column.default,
            "comment": column.comment,
            "annotations": column.annotations,
            "rights": self._rights(rights, lambda right: self.access.column(table, column, right)),
        }
        return document | self._private(table, column)

    def visible_keys(self, table: Table) -> list[Key]:
        """The keys over columns that the client may select."""
        return [key for key in table.keys if self._selectable(table, key.columns)]

    def key(self, table: Table, key: Key) -> Document:
        """A key."""
        return {
            "RID": key.rid,
            "names": [[self.model.schemas[table.schema].name, key.name]],
            "unique_columns": [column.name for column in table.columns_of(key.columns)],
            "comment": key.comment,
            "annotations": key.annotations,
        }

    def visible_foreign_keys(self, table: Table) -> list[ForeignKey]:
        """The foreign keys over columns that the client may select, to tables that it may know of."""
        return [
            fkey
            for fkey in table.foreign_keys
            if self._selectable(table, fkey.columns)
            and self._selectable(self.model.tables[fkey.to_table], fkey.to_columns)
        ]

    def foreign_key(self, fkey: ForeignKey) -> Document:
        """A foreign key."""
        table = self.model.tables[fkey.table]
        document = {
            "RID": fkey.rid,
            "names": [[self.model.schemas[table.schema].name, fkey.name]],
            "foreign_key_columns": self._references(table, fkey.columns),
            "referenced_columns": self._references(self.model.tables[fkey.to_table], fkey.to_columns),
            "on_delete": fkey.on_delete,
            "on_update": fkey.on_update,
            "comment": fkey.comment,
            "annotations": fkey.annotations,
            "rights": self._rights(("insert", "update"), lambda right: self.access.foreign_key(fkey, right)),
        }
        return document | self._private(table, fkey)

    def _references(self, table: Table, oids: Iterable[int]) -> list[Document]:
        schema = self.model.schemas[table.schema].name
        return [
            {"schema_name": schema, "table_name": table.name, "column_name": column.name}
            for column in table.columns_of(oids)
        ]

    def _selectable(self, table: Table, oids: Iterable[int]) -> bool:
        """Whether the client may select these columns. A right that depends on the row counts as one."""
        if not self.access.table(table, "enumerate"):
            return False
        return all(self.access.column(table, column, "select") is not False for column in table.columns_of(oids))

    def _private(self, table: Table, element: Any) -> Document:
        """ACLs and bindings, for the owners of the table."""
        if not self.access.table(table, "owner"):
            return {}
        return {"acls": element.acls, "acl_bindings": element.acl_bindings}

    def _rights(self, names: Iterable[str], decide: Any) -> Document:
        rights: dict[str, Decision] = {name: decide(name) for name in names}
        if self.past:
            rights |= {name: False for name in rights if name in _CHANGES}
        return rights

"""
Changes of schemas, tables, columns, keys and foreign keys, and their end.

A PUT is sparse: fields that its document lacks keep their values; other fields are ignored.

Source: ERMrest docs, the Alteration and Deletion sections of "Model Operations"; NOTES.md "Model".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from deriva_ml_core.local_catalog.ermrest import definitions as says
from deriva_ml_core.local_catalog.ermrest.bindings import read_bindings
from deriva_ml_core.local_catalog.ermrest.creating import comparable
from deriva_ml_core.local_catalog.ermrest.draft import Draft, Fill, without
from deriva_ml_core.local_catalog.ermrest.model import Column, ColumnType, Document, ForeignKey, Key, Schema, Table
from deriva_ml_core.local_catalog.ermrest.typenames import read_type
from deriva_ml_core.local_catalog.ermrest.values import convert_column, same_form, shown_default
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

SYSTEM_SCHEMA = "public"
SYSTEM_TABLES = frozenset({"ERMrest_Client", "ERMrest_Group", "ERMrest_RID_Lease"})

E = TypeVar("E", Schema, Table, Column, Key, ForeignKey)


def alter_schema(draft: Draft, schema: Schema, document: Any) -> Schema:
    """Rename a schema, or change its comment, annotations or ACLs."""
    says.read_object(document, "schema")
    draft.require_schema(schema, "owner")
    changed = _described(schema, document)
    if "schema_name" in document and document["schema_name"] != schema.name:
        name = says.read_name(document, "schema_name")
        _refuse_system(schema.name == SYSTEM_SCHEMA, f"schema {schema.name!r}")
        if any(other.name == name for other in draft.schemas.values()):
            raise Conflict(f"Schema {name!r} exists already.")
        changed = replace(changed, name=name)
    if "acls" in document:
        changed = replace(changed, acls=says.read_acls("schema", document["acls"]))
    draft.put_schema(changed)
    draft.require_schema(changed, "owner")
    return changed


def drop_schema(draft: Draft, schema: Schema) -> None:
    """Remove an empty schema."""
    draft.require_schema(schema, "owner")
    _refuse_system(schema.name == SYSTEM_SCHEMA, f"schema {schema.name!r}")
    if any(table.schema == schema.oid for table in draft.tables.values()):
        raise Conflict(f"Schema {schema.name!r} has tables; delete them first.")
    del draft.schemas[schema.oid]


def alter_table(draft: Draft, table: Table, document: Any) -> Table:
    """Rename or move a table, or change its comment, annotations, ACLs or ACL bindings."""
    says.read_object(document, "table")
    draft.require_table(table)
    changed = _moved(draft, _described(table, document), document)
    if "acls" in document:
        changed = replace(changed, acls=says.read_acls("table", document["acls"]))
    if "acl_bindings" in document:
        bindings = read_bindings(draft.model, "table", table, document["acl_bindings"])
        changed = replace(changed, acl_bindings=bindings)
    draft.put_table(changed)
    draft.require_table(changed)
    return changed


def _moved(draft: Draft, table: Table, document: Document) -> Table:
    schema = draft.schemas[table.schema]
    target = schema
    if document.get("schema_name", schema.name) != schema.name:
        target = draft.schema(says.read_name(document, "schema_name"), Conflict)
        draft.require_schema(target, "create")
    name = says.read_name(document, "table_name", table.name)
    if (target.oid, name) == (schema.oid, table.name):
        return table
    _refuse_system(is_system_table(draft, table), f"table {table.name!r}")
    if draft.find_table(target, name):
        raise Conflict(f"Table {name!r} exists already in schema {target.name!r}.")
    return replace(table, schema=target.oid, name=name)


def drop_table(draft: Draft, table: Table) -> None:
    """Remove a table to which no other table refers; its rows stay readable in the past."""
    draft.require_table(table)
    _refuse_system(is_system_table(draft, table), f"table {table.name!r}")
    for fkey in draft.referring(table):
        if fkey.table != table.oid:
            raise Conflict(f"Table {draft.tables[fkey.table].name!r} refers to it (foreign key {fkey.name}).")
    del draft.tables[table.oid]


def alter_column(draft: Draft, table: Table, column: Column, document: Any) -> Column:
    """Rename or retype a column, or change its nullok, default, comment, annotations, ACLs or ACL bindings."""
    says.read_object(document, "column")
    draft.require_table(table)
    changed = _renamed(table, _described(column, document), document)
    changed, fill = _retyped(draft, table, changed, document)
    changed = replace(changed, nullok=says.read_bool(document, "nullok", default=column.nullok))
    if "default" in document or changed.type != column.type:
        default = document.get("default", column.default)
        changed = replace(changed, default=shown_default(changed.type, default))
    shape = (changed.name, changed.type, changed.nullok, changed.default)
    if column.is_system and shape != (column.name, column.type, column.nullok, column.default):
        raise Conflict(f"Column {column.name!r} belongs to the system: its name, type, nullok and default are fixed.")
    if "acls" in document:
        changed = replace(changed, acls=says.read_acls("column", document["acls"]))
    if "acl_bindings" in document:
        bindings = read_bindings(draft.model, "column", table, document["acl_bindings"])
        changed = replace(changed, acl_bindings=bindings)
    draft.put_column(table, changed, fill)
    return changed


def _renamed(table: Table, column: Column, document: Document) -> Column:
    name = says.read_name(document, "name", column.name)
    if name != column.name and table.find(name):
        raise Conflict(f"Table {table.name!r} has a column {name!r} already.")
    return replace(column, name=name)


def _retyped(draft: Draft, table: Table, column: Column, document: Document) -> tuple[Column, Fill | None]:
    if document.get("type") is None:
        return column, None
    column_type = read_type(document["type"])
    if column_type == column.type:
        return column, None
    if column_type.scalar.startswith("serial"):
        raise Conflict(f"Column {column.name!r} cannot become serial; only a new column can be.")
    _check_references(draft, table, column, column_type)
    if same_form(column.type, column_type):
        return replace(column, type=column_type), _converting(column, column_type, None)
    slot = draft.new_oid()
    return replace(column, type=column_type, slot=slot), _converting(column, column_type, slot)


def _check_references(draft: Draft, table: Table, column: Column, column_type: ColumnType) -> None:
    """A new type must still be comparable with what the column refers to and what refers to it."""
    if column_type.scalar == "json" and any(column.oid in key.columns for key in table.keys):
        raise Conflict(f"Column {column.name!r} is part of a key, which a column of type json cannot be.")
    for fkey in (*table.foreign_keys, *draft.referring(table)):
        sides = (draft.tables[fkey.table], draft.tables[fkey.to_table])
        for mine, theirs in fkey.pairs:
            ends = [side.by_oid[oid] for side, oid in zip(sides, (mine, theirs), strict=True)]
            types = [column_type if end.oid == column.oid else end.type for end in ends]
            if column.oid in (mine, theirs) and not comparable(*types):
                raise Conflict(f"Foreign key {fkey.name} cannot compare {types[0].typename} and {types[1].typename}.")


def _converting(column: Column, new: ColumnType, slot: int | None) -> Fill:
    return lambda db, table: convert_column(db, table, column, new, slot)


def drop_column(draft: Draft, table: Table, column: Column) -> None:
    """Remove a column and the keys and foreign keys that use it; the past keeps its values."""
    draft.require_table(table)
    if column.is_system:
        raise Conflict(f"Column {column.name!r} belongs to the system and cannot be deleted.")
    gone = [fkey for fkey in table.foreign_keys if column.oid in fkey.columns]
    for fkey in draft.referring(table):
        if column.oid in fkey.to_columns and fkey not in gone:
            raise Conflict(f"Table {draft.tables[fkey.table].name!r} refers to it (foreign key {fkey.name}).")
    keys = [key for key in table.keys if column.oid in key.columns]
    draft.put_table(
        replace(
            table,
            columns=without(table.columns, [column]),
            keys=without(table.keys, keys),
            foreign_keys=without(table.foreign_keys, gone),
        )
    )


def alter_key(draft: Draft, table: Table, key: Key, document: Any) -> Key:
    """Rename a key, or change its comment or annotations."""
    says.read_object(document, "key")
    draft.require_table(table)
    if "unique_columns" in document:
        names = says.read_names(document, "unique_columns")
        if not says.same_names(names, [column.name for column in table.columns_of(key.columns)]):
            raise BadRequest("The columns of a key cannot be changed; make another key.")
    changed = _described(key, document)
    changed = replace(changed, name=_new_name(draft, table, key, document))
    draft.put_key(table, changed)
    return changed


def _new_name(draft: Draft, table: Table, constraint: Key | ForeignKey, document: Document) -> str:
    name = says.read_constraint_name(document)
    if name is None or name == constraint.name:
        return constraint.name
    draft.require_free_name(table, name, key=isinstance(constraint, Key))
    return name


def drop_key(draft: Draft, table: Table, key: Key) -> None:
    """Remove a key to which nothing refers."""
    draft.require_table(table)
    if key.columns == (table.rid_column.oid,):
        raise Conflict("The key on RID belongs to the system and cannot be deleted.")
    for fkey in draft.referring(table):
        if sorted(fkey.to_columns) == sorted(key.columns):
            raise Conflict(f"Table {draft.tables[fkey.table].name!r} refers to it (foreign key {fkey.name}).")
    draft.put_table(replace(table, keys=without(table.keys, [key])))


def alter_foreign_key(draft: Draft, fkey: ForeignKey, document: Any) -> ForeignKey:
    """Rename a foreign key, or change its actions, comment, annotations, ACLs or ACL bindings."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    says.read_object(document, "foreign key")
    table = draft.tables[fkey.table]
    draft.require_table(table)
    changed = replace(_described(fkey, document), name=_new_name(draft, table, fkey, document))
    if "on_delete" in document:
        changed = replace(changed, on_delete=says.read_action(document, "on_delete"))
    if "on_update" in document:
        changed = replace(changed, on_update=says.read_action(document, "on_update"))
    if "acls" in document:
        acls = {"insert": ["*"], "update": ["*"], **says.read_acls("fkey", document["acls"])}
        changed = replace(changed, acls=acls)
    if "acl_bindings" in document:
        bindings = read_bindings(draft.model, "fkey", draft.tables[fkey.to_table], document["acl_bindings"])
        changed = replace(changed, acl_bindings=bindings)
    draft.put_foreign_key(changed)
    return changed


def drop_foreign_key(draft: Draft, fkey: ForeignKey) -> None:
    """Remove a foreign key."""
    table = draft.tables[fkey.table]
    draft.require_table(table)
    draft.put_table(replace(table, foreign_keys=without(table.foreign_keys, [fkey])))


def _described(element: E, document: Document) -> E:
    """With the comment and the annotations of the document, where it has them."""
    changes: dict[str, Any] = {}
    if "comment" in document:
        changes["comment"] = says.read_comment(document)
    if "annotations" in document:
        changes["annotations"] = says.read_annotations(document)
    return replace(element, **changes)


def is_system_table(draft: Draft, table: Table) -> bool:
    """Whether the service itself needs the table."""
    return table.name in SYSTEM_TABLES and draft.schemas[table.schema].name == SYSTEM_SCHEMA


def _refuse_system(is_system: bool, what: str) -> None:
    if is_system:
        raise Conflict(f"The {what} belongs to the system: it keeps its name and stays.")

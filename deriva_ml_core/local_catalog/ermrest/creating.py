"""
New schemas, tables, columns, keys and foreign keys from the documents of clients.

Source: ERMrest docs, "Bulk Schemata and Table Creation" and the Creation sections of "Model Operations".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from deriva_ml_core.local_catalog.ermrest import definitions as says
from deriva_ml_core.local_catalog.ermrest.bindings import read_bindings
from deriva_ml_core.local_catalog.ermrest.draft import Draft, Fill
from deriva_ml_core.local_catalog.ermrest.model import (
    SYSTEM_COLUMNS,
    Column,
    ColumnType,
    Document,
    ForeignKey,
    Key,
    Schema,
    Table,
)
from deriva_ml_core.local_catalog.ermrest.typenames import SYSTEM_TYPES, read_type
from deriva_ml_core.local_catalog.ermrest.values import shown_default, stored_default
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

_NOT_NULL = {"RID": False, "RCT": False, "RMT": False, "RCB": True, "RMB": True}
_INTEGERS = frozenset({"int2", "int4", "int8", "serial2", "serial4", "serial8"})
_FLOATS = frozenset({"float4", "float8"})


@dataclass(slots=True)
class Waiting:
    """What waits until all tables of a request are there: their foreign keys, and then what their bindings say."""

    foreign_keys: list[tuple[Table, Any]] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)


def create_many(draft: Draft, document: Any) -> Any:
    """
    Create what a bulk document lists.

    Returns:
        The same shape with the new elements in the place of their documents.
    """
    if isinstance(document, dict) and "schemas" in document:
        return {"schemas": _create_schemas(draft, document["schemas"])}
    if isinstance(document, dict):
        return next(iter(_create_listed(draft, [document])), {})
    return _create_listed(draft, says.read_list(document, "The body"))


def _create_schemas(draft: Draft, document: Any) -> dict[str, Schema]:
    waiting = Waiting()
    made = {}
    for name, schema in says.read_object(document, "set of schemas").items():
        if says.read_object(schema, "schema").get("schema_name", name) != name:
            raise Conflict(f"Schema {name!r} names itself {schema['schema_name']!r}.")
        made[name] = create_schema(draft, {**schema, "schema_name": name}, waiting)
    _create_waiting(draft, waiting)
    return made


def _create_listed(draft: Draft, documents: list[Any]) -> list[Schema | Table]:
    """What a list asks for; the answer leaves out foreign keys that stand by themselves (observed)."""
    waiting = Waiting()
    made: list[Schema | Table] = []
    loose: list[Document] = []
    for document in documents:
        says.read_object(document, "member of the list")
        if "foreign_key_columns" in document:
            loose.append(document)
        elif "table_name" in document:
            schema = draft.schema(says.read_name(document, "schema_name"), Conflict)
            made.append(create_table(draft, schema, document, waiting))
        else:
            made.append(create_schema(draft, document, waiting))
    waiting.foreign_keys += [(_table_of_loose(draft, document), document) for document in loose]
    _create_waiting(draft, waiting)
    return made


def _create_waiting(draft: Draft, waiting: Waiting) -> None:
    """The foreign keys of all tables, which may refer to each other; then what the bindings say, which may use them."""
    for table, document in waiting.foreign_keys:
        create_foreign_key(draft, draft.tables[table.oid], document)
    for oid in waiting.tables:
        table = draft.tables[oid]
        read_bindings(draft.model, "table", table, table.acl_bindings)
        for column in table.columns:
            read_bindings(draft.model, "column", table, column.acl_bindings)


def _table_of_loose(draft: Draft, document: Document) -> Table:
    """The table of a foreign key that stands by itself in a list: its own columns say which."""
    schema, table, _ = says.read_column_references(document, "foreign_key_columns")[0]
    if schema is None or table is None:
        raise BadRequest("The foreign_key_columns need schema_name and table_name.")
    return draft.table(draft.schema(schema, Conflict), table, Conflict)


def create_schema(draft: Draft, document: Document, waiting: Waiting | None = None) -> Schema:
    """A schema, with the tables in its document; their foreign keys go to `waiting`, or are made at once."""
    name = says.read_name(document, "schema_name")
    draft.require_catalog("create")
    if any(schema.name == name for schema in draft.schemas.values()):
        raise Conflict(f"Schema {name!r} exists already.")
    schema = Schema(
        draft.new_oid(),
        name,
        says.read_comment(document),
        says.read_annotations(document),
        _own(says.read_acls("schema", document.get("acls")), draft, is_owner=draft.access.catalog("owner")),
    )
    draft.put_schema(schema)
    later = Waiting() if waiting is None else waiting
    for table_name, table in says.read_object(document.get("tables") or {}, "set of tables").items():
        named = {"table_name": table_name, **says.read_object(table, "table")}
        if named["table_name"] != table_name:
            raise Conflict(f"Table {table_name!r} names itself {named['table_name']!r}.")
        create_table(draft, schema, named, later)
    if waiting is None:
        _create_waiting(draft, later)
    return schema


def _own(acls: Document, draft: Draft, *, is_owner: bool) -> Document:
    """Whoever may create an element without owning what holds it owns the element."""
    if is_owner or "owner" in acls or draft.client.id is None:
        return acls
    return {**acls, "owner": [draft.client.id]}


def create_table(draft: Draft, schema: Schema, document: Document, waiting: Waiting | None = None) -> Table:
    """A table with its columns and keys; its foreign keys go to `waiting`, or are made at once."""
    name = says.read_name(document, "table_name")
    if document.get("schema_name") not in (None, schema.name):
        raise Conflict(f"Table {name!r} cannot be made in schema {schema.name!r}: it says {document['schema_name']!r}.")
    draft.require_schema(schema, "create")
    if document.get("kind", "table") != "table":
        raise Conflict(f"Kind {document['kind']!r} cannot be made, only 'table'.")
    if draft.find_table(schema, name):
        raise Conflict(f"Table {name!r} exists already in schema {schema.name!r}.")
    oid = draft.new_oid()
    columns = _read_columns(draft, document, name)
    table = Table(
        oid,
        schema.oid,
        name,
        columns,
        comment=says.read_comment(document),
        annotations=says.read_annotations(document),
        acls=_own(says.read_acls("table", document.get("acls")), draft, is_owner=draft.access.schema(schema, "owner")),
        acl_bindings=read_bindings(None, "table", None, document.get("acl_bindings")),
        physical=tuple((column.slot, column.type.affinity) for column in columns),
    )
    draft.put_table(table)
    for key in says.read_list(document.get("keys") or [], "The field keys"):
        create_key(draft, draft.tables[oid], key)
    _require_rid_key(draft.tables[oid])
    later = Waiting() if waiting is None else waiting
    fkeys = says.read_list(document.get("foreign_keys") or [], "The field foreign_keys")
    later.foreign_keys += [(table, fkey) for fkey in fkeys]
    later.tables.append(oid)
    if waiting is None:
        _create_waiting(draft, later)
    return draft.tables[oid]


def _read_columns(draft: Draft, document: Document, table: str) -> tuple[Column, ...]:
    documents = says.read_list(document.get("column_definitions"), f"Table {table!r}: column_definitions")
    columns = tuple(read_column(draft, column) for column in documents)
    names = [column.name for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Conflict(f"Table {table!r} has two columns {twice!r}.")
    for name in SYSTEM_COLUMNS:
        if name not in names:
            raise BadRequest(f"Table {table!r} lacks the system column {name}.")
    return columns


def _require_rid_key(table: Table) -> None:
    if not any(key.columns == (table.rid_column.oid,) for key in table.keys):
        raise BadRequest(f"Table {table.name!r} lacks a key on the system column RID.")


def read_column(draft: Draft, document: Any) -> Column:
    """A new column from its document, not yet in a table."""
    says.read_object(document, "column")
    name = says.read_name(document, "name")
    if "type" not in document:
        raise BadRequest(f"Column {name!r} has no type.")
    column_type = read_type(document["type"])
    nullok = says.read_bool(document, "nullok", default=True)
    if name in SYSTEM_TYPES:
        if column_type != SYSTEM_TYPES[name]:
            raise BadRequest(f"The system column {name} must have type {SYSTEM_TYPES[name].typename}.")
        nullok = _NOT_NULL[name]
    oid = draft.new_oid()
    default = None if name in SYSTEM_TYPES else shown_default(column_type, document.get("default"))
    return Column(
        oid,
        oid,
        name,
        column_type,
        nullok,
        default,
        says.read_comment(document),
        says.read_annotations(document),
        says.read_acls("column", document.get("acls")),
        read_bindings(None, "column", None, document.get("acl_bindings")),
    )


def create_column(draft: Draft, table: Table, document: Any) -> Column:
    """A column of an existing table; rows that are there get its default."""
    draft.require_table(table)
    column = read_column(draft, document)
    if table.find(column.name):
        raise Conflict(f"Table {table.name!r} has a column {column.name!r} already.")
    changed = draft.put_column(table, column, _filling(draft, column))
    read_bindings(draft.model, "column", changed, column.acl_bindings)
    return column


def _filling(draft: Draft, column: Column) -> Fill | None:
    if column.type.scalar.startswith("serial"):
        return lambda db, table: _number(draft, db, table, column)
    value = stored_default(column.type, column.default)
    if value is None:
        return None
    return lambda db, table: _fill(db, table, column, value)


def _number(draft: Draft, db: apsw.Connection, table: Table, column: Column) -> None:
    rowids = db.execute(f"SELECT rowid FROM {table.live} ORDER BY rowid").fetchall()
    numbers = draft.txn.allocate_serials(column, len(rowids))
    pairs = [(number, rowid) for number, (rowid,) in zip(numbers, rowids, strict=True)]
    db.executemany(f"UPDATE {table.live} SET {column.sql} = ? WHERE rowid = ?", pairs)


def _fill(db: apsw.Connection, table: Table, column: Column, value: str | int | float) -> None:
    expression = "?1"
    if isinstance(value, str) and column.type.typename in ("ermrest_uri", "ermrest_curie"):
        expression = f"replace(?1, '{{RID}}', {table.rid_column.sql})"
    db.execute(f"UPDATE {table.live} SET {column.sql} = {expression}", (value,))


def create_key(draft: Draft, table: Table, document: Any) -> Key:
    """A key of a table."""
    says.read_object(document, "key")
    names = says.read_names(document, "unique_columns")
    columns = [table.find(name) for name in names]
    missing = next((name for name, column in zip(names, columns, strict=True) if column is None), None)
    if missing is not None:
        raise BadRequest(f"Table {table.name!r} has no column {missing!r} for a key.")
    known = [column for column in columns if column is not None]
    if any(column.type.scalar == "json" for column in known):
        raise Conflict("A column of type json cannot be part of a key: such values cannot be compared.")
    oids = tuple(column.oid for column in known)
    if any(sorted(key.columns) == sorted(oids) for key in table.keys):
        raise Conflict(f"Table {table.name!r} has a key on {', '.join(names)} already.")
    name = _constraint_name(draft, table, document, names, "key")
    key = Key(draft.new_oid(), name, oids, says.read_comment(document), says.read_annotations(document))
    draft.put_key(table, key)
    return key


def _constraint_name(draft: Draft, table: Table, document: Document, columns: Sequence[str], suffix: str) -> str:
    """The name that the document gives, or a free one of the form T_col1_col2_key."""
    given = says.read_constraint_name(document)
    if given is not None:
        draft.require_free_name(table, given, key=suffix == "key")
        return given
    taken = draft.constraint_names(table.schema)
    number = 0
    while True:
        ending = f"_{suffix}{number or ''}"
        stem = "_".join([table.name, *columns]).encode()[: says.MAX_NAME_BYTES - len(ending)]
        name = stem.decode(errors="ignore") + ending
        if name not in taken:
            return name
        number += 1


def create_foreign_key(draft: Draft, table: Table, document: Any) -> ForeignKey:
    """A foreign key of a table; rows that are there must fit it."""
    says.read_object(document, "foreign key")
    draft.require_table(table)
    columns = _own_columns(draft, table, says.read_column_references(document, "foreign_key_columns"))
    parent, to_columns = _referenced(draft, table, says.read_column_references(document, "referenced_columns"))
    if len(columns) != len(to_columns):
        raise BadRequest("A foreign key needs as many foreign_key_columns as referenced_columns.")
    pairs = list(zip(columns, to_columns, strict=True))
    _check_pairs(table, parent, pairs)
    oids, to_oids = tuple(column.oid for column in columns), tuple(column.oid for column in to_columns)
    fkey = ForeignKey(
        draft.new_oid(),
        _constraint_name(draft, table, document, [column.name for column in columns], "fkey"),
        table.oid,
        oids,
        parent.oid,
        to_oids,
        says.read_action(document, "on_delete"),
        says.read_action(document, "on_update"),
        says.read_comment(document),
        says.read_annotations(document),
        {"insert": ["*"], "update": ["*"], **says.read_acls("fkey", document.get("acls"))},
        read_bindings(draft.model, "fkey", parent, document.get("acl_bindings")),
    )
    draft.put_foreign_key(fkey)
    return fkey


def _own_columns(draft: Draft, table: Table, references: list[tuple[str | None, str | None, str]]) -> list[Column]:
    schema = draft.schemas[table.schema].name
    for schema_name, table_name, _ in references:
        if (schema_name or schema, table_name or table.name) != (schema, table.name):
            raise Conflict(f"The foreign_key_columns must be of table {table.name!r}, not {table_name!r}.")
    return [_column(table, name) for _, _, name in references]


def _referenced(
    draft: Draft, table: Table, references: list[tuple[str | None, str | None, str]]
) -> tuple[Table, list[Column]]:
    if len({(schema, name) for schema, name, _ in references}) != 1:
        raise Conflict("The referenced_columns must be of one table.")
    schema_name, table_name, _ = references[0]
    if table_name is None:
        raise BadRequest("The referenced_columns need table_name.")
    schema = draft.schemas[table.schema] if schema_name is None else draft.schema(schema_name, Conflict)
    parent = draft.table(schema, table_name, Conflict)
    return parent, [_column(parent, name) for _, _, name in references]


def _column(table: Table, name: str) -> Column:
    column = table.find(name)
    if column is None:
        raise Conflict(f"Table {table.name!r} has no column {name!r}.")
    return column


def _check_pairs(table: Table, parent: Table, pairs: list[tuple[Column, Column]]) -> None:
    mine = sorted(column.oid for column, _ in pairs)
    theirs = sorted(column.oid for _, column in pairs)
    if len(set(mine)) != len(mine):
        raise Conflict("A foreign key names a column twice.")
    if not any(sorted(key.columns) == theirs for key in parent.keys):
        names = ", ".join(column.name for _, column in pairs)
        raise Conflict(f"The columns {names} of table {parent.name!r} are no key, so that nothing can refer to them.")
    for column, other in pairs:
        if not comparable(column.type, other.type):
            words = f"{column.name!r} ({column.type.typename}) and {other.name!r} ({other.type.typename})"
            raise Conflict(f"The columns {words} cannot be compared.")
    wanted = {(column.oid, other.oid) for column, other in pairs}
    for known in table.foreign_keys:
        if known.to_table == parent.oid and set(known.pairs) == wanted:
            raise Conflict(f"Table {table.name!r} has this foreign key already: {known.name}.")


def comparable(one: ColumnType, other: ColumnType) -> bool:
    """Whether values of two types may be equal, so that one may refer to the other."""
    if one.array != other.array:
        return False
    numbers = _INTEGERS | _FLOATS
    return one.scalar == other.scalar or ({one.scalar, other.scalar} <= numbers and not one.array)

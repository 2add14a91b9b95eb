"""
Model elements as JSON text, the form in which catalog.db keeps every version of them.

One text holds the catalog's own annotations and ACLs, one each schema, one each table with all that it has. A change
of one table thus writes one text, however large the model is.
"""

from __future__ import annotations

import json
from typing import Any

from deriva_ml_core.local_catalog.ermrest.model import Column, ColumnType, ForeignKey, Key, Model, Schema, Table

CATALOG = 0
"""The object id under which the catalog's own annotations and ACLs are kept."""

Element = Schema | Table | tuple[dict[str, Any], dict[str, Any]]


def elements_of(model: Model) -> dict[int, Element]:
    """Everything of a model that is stored as one text, by object id."""
    return {**model.schemas, **model.tables, CATALOG: (model.annotations, model.acls)}


def model_of(snaptime: int, elements: dict[int, Element]) -> Model:
    """The model that consists of these elements; tables and schemas in the order of their making."""
    annotations: dict[str, Any] = {}
    acls: dict[str, Any] = {}
    schemas: dict[int, Schema] = {}
    tables: dict[int, Table] = {}
    for oid, element in sorted(elements.items()):
        if isinstance(element, Schema):
            schemas[oid] = element
        elif isinstance(element, Table):
            tables[oid] = element
        else:
            annotations, acls = element
    return Model(snaptime, schemas, tables, annotations, acls)


def dump(element: Element) -> str:
    """The stored text of one element."""
    if isinstance(element, Schema):
        document: Any = {"schema": [element.oid, element.name, element.comment, element.annotations, element.acls]}
    elif isinstance(element, Table):
        document = {"table": _dump_table(element)}
    else:
        document = {"catalog": element}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True)


def load(text: str) -> Element:
    """The element of a stored text."""
    [(kind, document)] = json.loads(text).items()
    if kind == "schema":
        return Schema(*document)
    if kind == "table":
        return _load_table(document)
    annotations, acls = document
    return annotations, acls


def _dump_table(table: Table) -> dict[str, Any]:
    return {
        "oid": table.oid,
        "schema": table.schema,
        "name": table.name,
        "kind": table.kind,
        "comment": table.comment,
        "annotations": table.annotations,
        "acls": table.acls,
        "acl_bindings": table.acl_bindings,
        "physical": table.physical,
        "columns": [_dump_column(column) for column in table.columns],
        "keys": [[key.oid, key.name, key.columns, key.comment, key.annotations] for key in table.keys],
        "foreign_keys": [_dump_foreign_key(fkey) for fkey in table.foreign_keys],
    }


def _dump_column(column: Column) -> list[Any]:
    return [
        column.oid,
        column.slot,
        column.name,
        column.type.document(),
        column.nullok,
        column.default,
        column.comment,
        column.annotations,
        column.acls,
        column.acl_bindings,
    ]


def _dump_foreign_key(fkey: ForeignKey) -> list[Any]:
    return [
        fkey.oid,
        fkey.name,
        fkey.table,
        fkey.columns,
        fkey.to_table,
        fkey.to_columns,
        fkey.on_delete,
        fkey.on_update,
        fkey.comment,
        fkey.annotations,
        fkey.acls,
        fkey.acl_bindings,
    ]


def _load_table(document: dict[str, Any]) -> Table:
    columns = tuple(_load_column(column) for column in document.pop("columns"))
    keys = tuple(
        Key(oid, name, tuple(columns_), comment, annotations)
        for oid, name, columns_, comment, annotations in document.pop("keys")
    )
    fkeys = tuple(_load_foreign_key(fkey) for fkey in document.pop("foreign_keys"))
    physical = tuple((slot, affinity) for slot, affinity in document.pop("physical"))
    return Table(columns=columns, keys=keys, foreign_keys=fkeys, physical=physical, **document)


def _load_column(document: list[Any]) -> Column:
    oid, slot, name, column_type, *rest = document
    return Column(oid, slot, name, _load_type(column_type), *rest)


def _load_type(document: dict[str, Any]) -> ColumnType:
    base = document.get("base_type")
    return ColumnType(
        document["typename"],
        _load_type(base) if base else None,
        is_array=document.get("is_array", False),
        is_domain=document.get("is_domain", False),
    )


def _load_foreign_key(document: list[Any]) -> ForeignKey:
    oid, name, table, columns, to_table, to_columns, *rest = document
    return ForeignKey(oid, name, table, tuple(columns), to_table, tuple(to_columns), *rest)

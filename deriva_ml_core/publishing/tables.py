"""The project's tables in a catalog that lacks them, as the other catalog defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLAuthenticationError, DerivaMLTableNotFound
from deriva_ml_core.publishing.rights import may_not_create

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

_COLUMN = ("name", "type", "nullok", "default", "comment", "annotations")
_KEY = ("unique_columns", "names", "comment", "annotations")
_FOREIGN_KEY = (
    "foreign_key_columns",
    "referenced_columns",
    "names",
    "comment",
    "annotations",
    "on_delete",
    "on_update",
)


def needed_tables(source: CatalogSession, tables: Iterable[Table]) -> list[Table]:
    """The tables, what links them with executions and types, and all that these refer to, which come first."""
    ordered: dict[tuple[str, str], Table] = {}
    for table in tables:
        _visit(source, table, ordered, set())
    for table in list(ordered.values()):
        for companion in _companions(source, table):
            _visit(source, companion, ordered, set())
    return list(ordered.values())


def create_tables(source: CatalogSession, target: CatalogSession, tables: Iterable[Table]) -> list[str]:
    """
    Define in the target those tables that it lacks, with their schemas. Names of those that were made.

    Raises:
        DerivaMLAuthenticationError: the login creates no tables there.
    """
    ours = source.model.ml_schema
    lacking = [
        table for table in tables if table.schema != ours and not target.model.has_table((table.schema, table.name))
    ]
    try:
        _create(source, target, lacking)
    except DerivaMLAuthenticationError as err:
        raise may_not_create(target, lacking) from err
    finally:
        target.forget_model()
    return list(map(str, lacking))


def _create(source: CatalogSession, target: CatalogSession, tables: Iterable[Table]) -> None:
    schemas = {schema for schema, _ in target.model.tables}
    for table in tables:
        if table.schema not in schemas:
            target.request("POST", f"/schema/{quote(table.schema, safe='')}", accept=(409,))
            schemas.add(table.schema)
        target.post_json(f"/schema/{quote(table.schema, safe='')}/table", _definition(source, target, table))


def _companions(source: CatalogSession, table: Table) -> Iterator[Table]:
    """An asset table is of no use without its links."""
    if table.is_asset:
        for link in (source.model.execution_link, source.model.type_link):
            try:
                yield link(table).table
            except DerivaMLTableNotFound:
                continue


def _visit(
    source: CatalogSession, table: Table, ordered: dict[tuple[str, str], Table], above: set[tuple[str, str]]
) -> None:
    """What a table refers to comes before it; tables that refer to each other can't be made one by one."""
    identity = (table.schema, table.name)
    if identity in ordered or identity in above or table.schema in (source.model.ml_schema, "public"):
        return
    for key in table.foreign_keys:
        other = source.model.tables.get((key.schema, key.table))
        if other is not None:
            _visit(source, other, ordered, above | {identity})
    ordered[identity] = table


def _definition(source: CatalogSession, target: CatalogSession, table: Table) -> dict[str, Any]:
    """The table's own document, without what belongs to the catalog that it is in: rights and RIDs."""
    document = table.document
    return {
        "schema_name": table.schema,
        "table_name": table.name,
        "kind": "table",
        "comment": document.get("comment"),
        "annotations": document.get("annotations") or {},
        "column_definitions": [_picked(column, _COLUMN) for column in document["column_definitions"]],
        "keys": [_picked(key, _KEY) for key in document["keys"]],
        "foreign_keys": [
            _referring(_picked(key, _FOREIGN_KEY), source, target)
            for key in document["foreign_keys"]
            if key["referenced_columns"][0]["schema_name"] != "public"
        ],
    }


def _picked(part: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: part[name] for name in names if part.get(name) is not None}


def _referring(key: dict[str, Any], source: CatalogSession, target: CatalogSession) -> dict[str, Any]:
    """To the target's deriva-ml schema, whatever its name."""
    names = {source.model.ml_schema: target.model.ml_schema}
    columns = [
        {**column, "schema_name": names.get(column["schema_name"], column["schema_name"])}
        for column in key["referenced_columns"]
    ]
    return {**key, "referenced_columns": columns}

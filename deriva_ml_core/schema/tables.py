"""
Tables that a project adds: its schema, asset tables, vocabularies, plain tables. Each in one request.

The new tables follow the patterns of the deriva-ml schema, so that runs, bags and Chaise know what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLTableTypeError, nearest
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.definition import DEFAULT_CURIE_PREFIX
from deriva_ml_core.schema.elements import VOCABULARY_COLUMNS, ColumnDef, ForeignKeyDef, TableDef
from deriva_ml_core.schema.generations import ML_SCHEMA
from deriva_ml_core.schema.ports import CatalogPort

# PostgreSQL cuts identifiers at 63 bytes, ERMrest refuses longer ones.
MAX_NAME_BYTES = 63
# Folder names on disk and parts of Hatrac paths are made of table names.
_NAME = re.compile(r"[^\W\d][\w .-]*")


def create_domain_schema(session: CatalogPort, name: str, *, comment: str = "") -> None:
    """
    Make a schema for a project's own tables, unless it is there.

    Raises:
        DerivaMLConfigurationError: the name can't be used.
    """
    require_name("schema", name)
    if name in session.get_json("/schema")["schemas"]:
        return
    session.post_json("/schema", {"schemas": {name: {"schema_name": name, "comment": comment, "tables": {}}}})
    session.forget_model()


def create_asset_table(
    session: CatalogPort,
    schema: str,
    name: str,
    *,
    columns: Sequence[ColumnDef] = (),
    foreign_keys: Sequence[ForeignKeyDef] = (),
    references: Iterable[tuple[str, str]] = (),
    comment: str = "",
    ml_schema: str = ML_SCHEMA,
) -> list[TableDef]:
    """
    Make an asset table with its two associations, and the term of Asset_Type that is called like it; 2 requests.

    Args:
        columns: the project's own columns, beside URL, Filename, Description, Length and MD5.
        references: tables (schema, name) to which an asset may refer, each by a column called like the table.

    Returns:
        The three tables: <name>, <name>_Asset_Type, <name>_Execution.

    Raises:
        DerivaMLConfigurationError: a name can't be used, a column is one of those that every asset table has, or a
            table that is referred to is not there.
        DerivaMLTableTypeError: there is such a table.
    """
    require_name("table", name)
    links = references_to(session, name, references)
    asset = patterns.asset_table(
        name,
        comment or f"Files of kind {name}",
        schema=schema,
        columns=(*columns, *(column for column, _ in links)),
        foreign_keys=(*foreign_keys, *(key for _, key in links)),
    )
    _require_distinct_columns(asset)
    tables = [
        asset,
        patterns.asset_type_link(name, schema=schema, ml_schema=ml_schema),
        patterns.asset_execution_link(name, schema=schema, ml_schema=ml_schema),
    ]
    create_tables(session, schema, tables)
    term = [{"Name": name, "Description": comment or f"A file of the table {name}", "Synonyms": []}]
    session.post_json(f"/entity/{quote(ml_schema, safe='')}:Asset_Type?defaults=ID,URI&onconflict=skip", term)
    session.forget_model()
    return tables


def references_to(
    session: CatalogPort, table: str, targets: Iterable[tuple[str, str]]
) -> list[tuple[ColumnDef, ForeignKeyDef]]:
    """
    Columns that refer to rows of other tables (schema, name), each called like its table: to terms by Name, as they
    are written, to others by RID.

    Raises:
        DerivaMLConfigurationError: a table is not there.
    """
    wanted = list(targets)
    there = session.get_json("/schema")["schemas"] if wanted else {}
    found = []
    for schema, name in wanted:
        tables = there.get(schema, {}).get("tables", {})
        if name not in tables:
            raise DerivaMLConfigurationError(
                f"{table} can't refer to {schema}:{name}, which the catalog does not have{nearest(name, tables)}"
            )
        columns = [column["name"] for column in tables[name]["column_definitions"]]
        is_vocabulary = {column.upper() for column in columns} >= VOCABULARY_COLUMNS
        to = next(column for column in columns if column.upper() == ("NAME" if is_vocabulary else "RID"))
        key = patterns.foreign_key(table, name, schema, name, to=to)
        found.append((ColumnDef(name, comment=f"The {name} that it refers to"), key))
    return found


def create_vocabulary(
    session: CatalogPort, schema: str, name: str, *, comment: str = "", curie_prefix: str = DEFAULT_CURIE_PREFIX
) -> TableDef:
    """
    Make a controlled vocabulary without terms; one request.

    Raises:
        DerivaMLConfigurationError: the name can't be used. DerivaMLTableTypeError: there is such a table.
    """
    table = patterns.vocabulary(name, comment or f"Controlled vocabulary {name}", curie_prefix=curie_prefix)
    create_tables(session, schema, [table])
    return table


def create_association(
    session: CatalogPort, schema: str, ends: Sequence[tuple[str, str]], *, name: str | None = None, comment: str = ""
) -> TableDef:
    """
    Make a table that links rows of two tables, each named (schema, table), by their RIDs; one request.

    It is called <first>_<second> by default, and its columns like the tables.
    """
    wanted = name or "_".join(table for _, table in ends)
    keys = [patterns.foreign_key(wanted, table, place, table, cascade=True) for place, table in ends]
    link = patterns.link(wanted, comment or f"Links {' and '.join(table for _, table in ends)}", keys)
    create_tables(session, schema, [link])
    return link


def create_tables(session: CatalogPort, schema: str, tables: Sequence[TableDef]) -> list[dict[str, Any]]:
    """
    Make tables that may refer to each other; all or none, one request.

    Raises:
        DerivaMLConfigurationError: a name can't be used. DerivaMLTableTypeError: one of them is there.
    """
    for table in tables:
        require_name("table", table.name)
        for column in table.columns:
            require_name("column", column.name)
    there = session.get_json("/schema")["schemas"]
    if schema not in there:
        raise DerivaMLConfigurationError(f"the catalog has no schema '{schema}'; it has: {', '.join(sorted(there))}")
    for table in tables:
        if table.name in there[schema]["tables"]:
            raise DerivaMLTableTypeError(f"schema '{schema}' has a table '{table.name}' already")
    # Foreign keys come after all tables, as the protocol's list form has them.
    documents = [{**table.document(schema), "foreign_keys": []} for table in tables]
    keys = [key.document(schema, table.name) for table in tables for key in table.foreign_keys]
    made: list[dict[str, Any]] = session.post_json("/schema", documents + keys)
    session.forget_model()
    return made[: len(tables)]


def require_name(what: str, name: str) -> None:
    """
    Refuse a name that ERMrest, a folder or a Hatrac path would not take.

    Raises:
        DerivaMLConfigurationError: says why.
    """
    if not _NAME.fullmatch(name):
        raise DerivaMLConfigurationError(
            f"{name!r} can't be the name of a {what}: use letters, digits, '_', '-', '.' and blanks, a letter first"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise DerivaMLConfigurationError(
            f"{name!r} is too long for the name of a {what}: {MAX_NAME_BYTES} bytes at most"
        )


def _require_distinct_columns(table: TableDef) -> None:
    names = [column.name.lower() for column in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DerivaMLConfigurationError(f"table {table.name} would have the column {', '.join(twice)} twice")

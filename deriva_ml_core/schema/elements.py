"""
Values that describe tables, and the ERMrest documents that create them.

One description serves three ends: it is installed (`TableDef.document`), checked against a live catalog (check.py),
and used for the tables that a project adds (tables.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

# Domain types of ERMrest and the type that each restricts.
_DOMAINS = {
    "ermrest_rid": "text",
    "ermrest_rct": "timestamptz",
    "ermrest_rmt": "timestamptz",
    "ermrest_rcb": "text",
    "ermrest_rmb": "text",
    "ermrest_curie": "text",
    "ermrest_uri": "text",
    "markdown": "text",
    "longtext": "text",
    "color_rgb_hex": "text",
}

SYSTEM_COLUMNS = ("RID", "RCT", "RMT", "RCB", "RMB")
VOCABULARY_COLUMNS = frozenset({"ID", "URI", "NAME", "DESCRIPTION", "SYNONYMS"})
"""Of a table whose rows are terms, in upper case: older catalogs write them in lower case."""


def type_document(name: str) -> Document:
    """ERMrest's description of a type, from its name: "text", "markdown", "int4", "text[]"."""
    if name.endswith("[]"):
        return {"typename": name, "is_array": True, "base_type": type_document(name[:-2])}
    if name in _DOMAINS:
        return {"typename": name, "is_domain": True, "base_type": {"typename": _DOMAINS[name]}}
    return {"typename": name}


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """One column. `type` is ERMrest's name of it; `default` None means none.

    Example:
        >>> ColumnDef("Age", "float8", nullok=False, comment="in years").document()["type"]
        {'typename': 'float8'}
    """

    name: str
    type: str = "text"
    nullok: bool = True
    default: Any = None
    comment: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> Document:
        """The document that ERMrest takes for this column."""
        return {
            "name": self.name,
            "type": type_document(self.type),
            "nullok": self.nullok,
            "default": self.default,
            "comment": self.comment,
            "annotations": dict(self.annotations),
        }


@dataclass(frozen=True, slots=True)
class ForeignKeyDef:
    """One reference from `columns` to `referenced_columns` of `schema`:`table`; `name` without its schema."""

    name: str
    columns: tuple[str, ...]
    schema: str
    table: str
    referenced_columns: tuple[str, ...] = ("RID",)
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    comment: str | None = None

    def document(self, schema: str, table: str) -> Document:
        """The document that ERMrest takes, for the table that holds this reference."""
        return {
            "names": [[schema, self.name]],
            "foreign_key_columns": [
                {"schema_name": schema, "table_name": table, "column_name": column} for column in self.columns
            ],
            "referenced_columns": [
                {"schema_name": self.schema, "table_name": self.table, "column_name": column}
                for column in self.referenced_columns
            ],
            "on_delete": self.on_delete,
            "on_update": self.on_update,
            "comment": self.comment,
        }


@dataclass(frozen=True, slots=True)
class TableDef:
    """One table; its system columns and the key on RID go without saying. `keys` are sets of unique columns."""

    name: str
    columns: tuple[ColumnDef, ...]
    comment: str = ""
    keys: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKeyDef, ...] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def document(self, schema: str) -> Document:
        """The document that ERMrest takes to create this table in `schema`, all of it in one request."""
        return {
            "schema_name": schema,
            "table_name": self.name,
            "kind": "table",
            "comment": self.comment,
            "annotations": dict(self.annotations),
            "column_definitions": [*_system_columns(), *(column.document() for column in self.columns)],
            "keys": [_key_document(schema, self.name, columns) for columns in (("RID",), *self.keys)],
            "foreign_keys": [reference.document(schema, self.name) for reference in self.foreign_keys],
        }


@dataclass(frozen=True, slots=True)
class TermDef:
    """One term of a controlled vocabulary."""

    name: str
    description: str
    synonyms: tuple[str, ...] = ()

    def row(self) -> Document:
        """The row to insert; ID and URI come from their defaults."""
        return {"Name": self.name, "Description": self.description, "Synonyms": list(self.synonyms)}


def with_system_columns(table: Mapping[str, Any]) -> Document:
    """A table's document with the five system columns and the key on RID, where it left them out."""
    columns, keys = list(table.get("column_definitions") or ()), list(table.get("keys") or ())
    named = {column["name"] for column in columns}
    missing = [column for column in _system_columns() if column["name"] not in named]
    if not any(key.get("unique_columns") == ["RID"] for key in keys):
        keys.insert(0, {"unique_columns": ["RID"]})
    return {"kind": "table", **table, "column_definitions": [*missing, *columns], "keys": keys}


def _system_columns() -> list[Document]:
    """The five columns that every ERMrest table must have."""
    return [
        ColumnDef(name, f"ermrest_{name.lower()}", nullok=name in ("RCB", "RMB")).document() for name in SYSTEM_COLUMNS
    ]


def _key_document(schema: str, table: str, columns: tuple[str, ...]) -> Document:
    suffix = "RIDkey1" if columns == ("RID",) else "_".join((*columns, "key"))
    return {"names": [[schema, constraint_name(f"{table}_{suffix}")]], "unique_columns": list(columns)}


def constraint_name(wanted: str) -> str:
    """A name that ERMrest accepts: at most 63 bytes, cut in the middle so that both ends stay readable."""
    encoded = wanted.encode()
    if len(encoded) <= 63:
        return wanted
    return (encoded[:40].decode(errors="ignore") + "_" + encoded[-22:].decode(errors="ignore"))[:63]

"""Tables, columns, foreign keys and associations of a catalog, as frozen values read from the /schema document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLTableTypeError, nearest
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS, VOCABULARY_COLUMNS

_ASSET_COLUMNS = frozenset({"URL", "Filename", "Length", "MD5"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `type` is ERMrest's name of it ("text", "text[]", "markdown", "int4")."""

    name: str
    type: str
    nullok: bool
    default: Any
    comment: str | None

    @property
    def is_required(self) -> bool:
        """A row without a value for it is refused."""
        return not self.nullok and self.default is None and self.name not in SYSTEM_COLUMNS


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One reference of a table, column by column, to `referenced_columns` of `schema`:`table`."""

    name: str
    columns: tuple[str, ...]
    schema: str
    table: str
    referenced_columns: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass(frozen=True, slots=True)
class Table:
    """
    One table.

    Args:
        keys: the sets of unique columns, RID's among them.
        rights: what this session may do: select, insert, update, delete, owner; None where it depends on the row.
        document: the table's own part of the /schema document, for what this view leaves out.
    """

    schema: str
    name: str
    columns: Mapping[str, Column] = field(repr=False)
    keys: tuple[tuple[str, ...], ...] = field(repr=False)
    foreign_keys: tuple[ForeignKey, ...] = field(repr=False)
    comment: str | None = field(repr=False)
    rights: Mapping[str, bool | None] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False, compare=False, hash=False)

    def __str__(self) -> str:
        return f"{self.schema}:{self.name}"

    @property
    def url_name(self) -> str:
        """schema:table, escaped for an ERMrest URL."""
        return f"{quote(self.schema, safe='')}:{quote(self.name, safe='')}"

    @property
    def user_columns(self) -> tuple[str, ...]:
        """Names of the columns that are not the system's."""
        return tuple(name for name in self.columns if name not in SYSTEM_COLUMNS)

    @property
    def is_asset(self) -> bool:
        """Its rows describe files: URL, Filename, Length, MD5."""
        return self.columns.keys() >= _ASSET_COLUMNS

    @property
    def is_vocabulary(self) -> bool:
        """Its rows are terms: ID, URI, Name, Description, Synonyms (older catalogs write them in lower case)."""
        return {name.upper() for name in self.columns} >= VOCABULARY_COLUMNS

    def column(self, name: str) -> Column:
        """
        The column called `name`, its case ignored where that is not ambiguous.

        Raises:
            DerivaMLTableTypeError: there is none; the message offers the nearest names.
        """
        if name in self.columns:
            return self.columns[name]
        alike = [column for column in self.columns if column.lower() == name.lower()]
        if len(alike) == 1:
            return self.columns[alike[0]]
        raise DerivaMLTableTypeError(f"table {self} has no column '{name}'{nearest(name, self.columns)}")

    def references(self, other: Table) -> tuple[ForeignKey, ...]:
        """The foreign keys of this table that lead to `other`."""
        return tuple(key for key in self.foreign_keys if (key.schema, key.table) == (other.schema, other.name))


@dataclass(frozen=True, slots=True)
class Association:
    """A table that links rows of two others: `near_column` holds the key of `near`, `far_column` that of `far`."""

    table: Table
    near: Table
    near_column: str
    far: Table
    far_column: str

    @property
    def other_columns(self) -> tuple[str, ...]:
        """The columns beside the two that link: Asset_Role, Sequence, ..."""
        return tuple(name for name in self.table.user_columns if name not in (self.near_column, self.far_column))


TableName = str | tuple[str, str] | Table


def read_tables(schemas: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of the `schemas` part of a /schema document."""
    for schema, content in schemas.items():
        for name, document in content["tables"].items():
            yield Table(
                schema=schema,
                name=name,
                columns={column["name"]: _column(column) for column in document["column_definitions"]},
                keys=tuple(tuple(key["unique_columns"]) for key in document["keys"]),
                foreign_keys=tuple(_foreign_key(key) for key in document["foreign_keys"]),
                comment=document.get("comment"),
                rights=document.get("rights", {}),
                document=document,
            )


def _column(document: Mapping[str, Any]) -> Column:
    return Column(
        name=document["name"],
        type=document["type"]["typename"],
        nullok=document.get("nullok", True),
        default=document.get("default"),
        comment=document.get("comment"),
    )


def _foreign_key(document: Mapping[str, Any]) -> ForeignKey:
    target = document["referenced_columns"]
    names = document.get("names") or [["", ""]]
    return ForeignKey(
        name=names[0][1],
        columns=tuple(column["column_name"] for column in document["foreign_key_columns"]),
        schema=target[0]["schema_name"],
        table=target[0]["table_name"],
        referenced_columns=tuple(column["column_name"] for column in target),
        on_delete=document.get("on_delete") or "NO ACTION",
        on_update=document.get("on_update") or "NO ACTION",
    )

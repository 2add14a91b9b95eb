"""
URLs of model resources, from `schema`, `annotation` or `acl` on, and the elements that they name.

    schema[/S[/table[/T[/column[/C] | /key[/c1,c2] | /foreignkey[/c1,c2[/reference[/S:T[/c1,c2]]]]]]]]
    and after any element: comment | annotation[/KEY] | acl[/NAME] | acl_binding[/NAME]

Paths are split before they are unescaped, so that names may hold any character.

Source: ERMrest docs, "Model Resource Naming".
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.definitions import same_names
from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Key, Model, Schema, Table
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, NotFound, NotProvided, Refusal, Unrouted

_SUBRESOURCES = {
    "comment": frozenset({"schema", "table", "column", "key", "foreignkey"}),
    "annotation": frozenset({"catalog", "schema", "table", "column", "key", "foreignkey"}),
    "acl": frozenset({"catalog", "schema", "table", "column", "foreignkey"}),
    "acl_binding": frozenset({"table", "column", "foreignkey"}),
}
"""Which elements have which sub-resources."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    What a URL names.

    Attributes:
        kind: catalog, schemas, schema, tables, table, columns, column, keys, key, foreignkeys, foreignkeys_of (a list
            by columns, perhaps by table) or foreignkey.
        part: "" for the element itself, else comment, annotation, acl or acl_binding.
        name: the annotation key, ACL or binding; None: all of them.
    """

    kind: str
    schema: str = ""
    table: str = ""
    columns: tuple[str, ...] = ()
    to_table: tuple[str | None, str] | None = None
    to_columns: tuple[str, ...] = ()
    part: str = ""
    name: str | None = None


def parse(raw: str) -> Target:
    """
    The target of a raw path without the catalog, such as schema/S/table/T/comment.

    Raises:
        Unrouted: no such resource.
        BadRequest: an escape that is not UTF-8.
    """
    segments = raw.split("/")
    if len(segments) > 1 and not segments[-1]:
        del segments[-1]
    if not all(segments):
        raise Unrouted(raw)
    element, rest = _element(segments)
    return _with_part(element, rest, raw) if rest else element


def _element(segments: list[str]) -> tuple[Target, list[str]]:
    """The element that the first segments name, and the segments after it."""
    if segments[0] != "schema":
        return Target("catalog"), segments
    match segments[1:]:
        case []:
            return Target("schemas"), []
        case [schema, "table"]:
            return Target("tables", unescape(schema)), []
        case [schema, "table", table, *rest]:
            return _below_table(unescape(schema), unescape(table), rest)
        case [schema, *rest]:
            return Target("schema", unescape(schema)), rest
    raise Unrouted


def _below_table(  # noqa: PLR0911 - one return a form of URL
    schema: str, table: str, segments: list[str]
) -> tuple[Target, list[str]]:
    match segments:
        case ["column"]:
            return Target("columns", schema, table), []
        case ["column", column, *rest]:
            return Target("column", schema, table, (unescape(column),)), rest
        case ["key"]:
            return Target("keys", schema, table), []
        case ["key", columns, *rest]:
            return Target("key", schema, table, _names(columns)), rest
        case ["foreignkey"]:
            return Target("foreignkeys", schema, table), []
        case ["foreignkey", columns] | ["foreignkey", columns, "reference"]:
            return Target("foreignkeys_of", schema, table, _names(columns)), []
        case ["foreignkey", columns, "reference", to_table]:
            return Target("foreignkeys_of", schema, table, _names(columns), _table_name(to_table)), []
        case ["foreignkey", columns, "reference", to_table, to_columns, *rest]:
            names = _names(columns), _table_name(to_table), _names(to_columns)
            return Target("foreignkey", schema, table, *names), rest
        case ["index", *_]:
            raise NotProvided("Indexes are not managed here: keys and foreign keys have theirs.")
    return Target("table", schema, table), segments


def _with_part(element: Target, rest: list[str], raw: str) -> Target:
    part, names = rest[0], rest[1:]
    if element.kind not in _SUBRESOURCES.get(part, ()) or len(names) > (0 if part == "comment" else 1):
        raise Unrouted(raw)
    return Target(
        element.kind,
        element.schema,
        element.table,
        element.columns,
        element.to_table,
        element.to_columns,
        part,
        unescape(names[0]) if names else None,
    )


def unescape(text: str) -> str:
    """A name out of a URL; BadRequest if its bytes are not UTF-8."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as err:
        raise BadRequest(f"{text!r} is not escaped UTF-8.") from err


def _names(raw: str) -> tuple[str, ...]:
    return tuple(unescape(name) for name in raw.split(","))


def _table_name(raw: str) -> tuple[str | None, str]:
    parts = [unescape(part) for part in raw.removeprefix(":").split(":")]
    if len(parts) > 2:
        raise BadRequest(f"{raw!r} is not the name of a table.")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


Element = Schema | Table | Column | Key | ForeignKey | None
"""None is the catalog itself."""


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the elements that a target names, as far as a client may know of them."""

    model: Model
    client: Client

    @property
    def access(self) -> Access:
        """What the client may do."""
        return Access(self.model, self.client)

    def element(self, target: Target) -> tuple[Table | None, Element]:
        """The element of a target, and the table that it is in or is."""
        match target.kind:
            case "schema":
                return None, self.schema(target)
            case "table":
                table = self.table(target)
                return table, table
            case "column":
                return self.column(target)
            case "key":
                return self.key(target)
            case "foreignkey":
                return self.table(target), self.foreign_key(target)
        return None, None

    def schema(self, target: Target, missing: type[Refusal] = NotFound) -> Schema:
        """The schema of a target."""
        schema = self.model.schema_by_name.get(target.schema)
        if schema is None:
            raise missing(f"There is no schema {target.schema!r} in this catalog.")
        self._visible(self.access.schema(schema, "enumerate"), f"schema {schema.name}")
        return schema

    def table(self, target: Target, missing: type[Refusal] = NotFound) -> Table:
        """The table of a target."""
        self.schema(target, missing)
        table = self.model.find_table(target.schema, target.table)
        if table is None:
            raise missing(f"There is no table {target.table!r} in schema {target.schema!r}.")
        self._visible(self.access.table(table, "enumerate"), f"table {table.name}")
        return table

    def column(self, target: Target, missing: type[Refusal] = NotFound) -> tuple[Table, Column]:
        """The column of a target, with its table."""
        table = self.table(target)
        column = table.find(target.columns[0])
        if column is None:
            raise missing(f"There is no column {target.columns[0]!r} in table {table.name!r}.")
        self._visible(self.access.column(table, column, "enumerate"), f"column {column.name}")
        return table, column

    def key(self, target: Target) -> tuple[Table, Key]:
        """The key of a target, with its table; the order of the columns is free."""
        table = self.table(target)
        _require_columns(table, target.columns)
        for key in table.keys:
            if same_names([column.name for column in table.columns_of(key.columns)], target.columns):
                return table, key
        raise NotFound(f"Table {table.name!r} has no key on {', '.join(target.columns)}.")

    def foreign_keys_of(self, target: Target) -> list[ForeignKey]:
        """The foreign keys over the columns of a target, to its `to_table` if it names one."""
        table = self.table(target)
        _require_columns(table, target.columns)
        found = [
            fkey
            for fkey in table.foreign_keys
            if same_names([column.name for column in table.columns_of(fkey.columns)], target.columns)
        ]
        if target.to_table is not None:
            parent = self._to_table(target)
            return [fkey for fkey in found if fkey.to_table == parent.oid]
        if not found:
            raise NotFound(f"Table {table.name!r} has no foreign key on {', '.join(target.columns)}.")
        return found

    def foreign_key(self, target: Target) -> ForeignKey:
        """The foreign key of a target; a missing one is a conflict (observed)."""
        table = self.table(target)
        _require_columns(table, target.columns)
        parent = self._to_table(target)
        _require_columns(parent, target.to_columns)
        if len(target.columns) != len(target.to_columns):
            raise BadRequest("A foreign key has as many columns as it refers to.")
        pairs = set(zip(target.columns, target.to_columns, strict=True))
        for fkey in table.foreign_keys:
            if fkey.to_table == parent.oid and pairs == {
                (table.by_oid[mine].name, parent.by_oid[theirs].name) for mine, theirs in fkey.pairs
            }:
                return fkey
        words = f"{', '.join(target.columns)} to {', '.join(target.to_columns)} of table {parent.name!r}"
        raise Conflict(f"Table {table.name!r} has no foreign key from {words}.")

    def _to_table(self, target: Target) -> Table:
        schema, name = target.to_table or (None, "")
        table = self.model.find_table(schema, name) if schema else self._nearest(target.schema, name)
        if table is None:
            raise Conflict(f"There is no table {name!r}" + (f" in schema {schema!r}." if schema else "."))
        return table

    def _nearest(self, schema: str, name: str) -> Table | None:
        return self.model.find_table(None, name) or self.model.find_table(schema, name)

    def _visible(self, decision: bool | None, what: str) -> None:
        if not decision:
            raise self.client.refusal(f"It needs the right to enumerate {what}.")


def _require_columns(table: Table, names: tuple[str, ...]) -> None:
    for name in names:
        if table.find(name) is None:
            raise Conflict(f"There is no column {name!r} in table {table.name!r}.")

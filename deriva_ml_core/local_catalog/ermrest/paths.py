"""
From a path's syntax to tables and joins: which table instances it has, how they are linked, where it ends.

Source: ERMrest API documentation, "Data Paths" (docs/api-doc/data/naming.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Model, Table
from deriva_ml_core.local_catalog.ermrest.sqlforms import Form, form_of
from deriva_ml_core.local_catalog.ermrest.syntax import (
    ColumnLink,
    Condition,
    Context,
    Element,
    Filter,
    Join,
    Reference,
    TableLink,
)
from deriva_ml_core.local_catalog.ermrest.types import kind_of
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

MAX_TABLES = 60
"""SQLite joins at most 64 tables."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One occurrence of a table in a path."""

    number: int
    table: Table

    @property
    def sql(self) -> str:
        """Its name in SQL."""
        return f"i{self.number}"


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column of a table instance; in an outer join it may be null whatever the model says."""

    instance: Instance
    column: Column
    outer: bool = False

    @property
    def form(self) -> Form:
        """The form of its values."""
        form = form_of(self.column)
        return replace(form, nullable=True) if self.outer else form

    @property
    def sql(self) -> str:
        """Its name in SQL."""
        return f"{self.instance.sql}.{self.column.sql}"


Pairs = tuple[tuple[Column, Column], ...]
"""Columns of the earlier and of the newer table that must be equal."""


@dataclass(frozen=True, slots=True)
class Link:
    """How a table instance joins an earlier one: by any of the alternatives."""

    join: Join
    earlier: Instance
    newer: Instance
    alternatives: tuple[Pairs, ...]


@dataclass(frozen=True, slots=True)
class PlacedCondition:
    """A filter with the instance that its unqualified columns belong to."""

    condition: Condition
    context: Instance


@dataclass(slots=True)
class Path:
    """A bound path. `context` is the instance where it ends (or, while it is being bound, has come to)."""

    model: Model
    instances: list[Instance] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    conditions: list[PlacedCondition] = field(default_factory=list)
    aliases: dict[str, Instance] = field(default_factory=dict)
    read: dict[int, dict[int, Column]] = field(default_factory=dict)
    """The columns that the URL names, by the oids of their tables and their own: it needs the right to each."""
    visible: Callable[[Table], Sequence[Column]] = lambda table: table.columns
    """The columns of a table that `*` stands for."""
    first: int = 0
    """The number of its first instance: one path may stand inside the query of another."""

    @property
    def context(self) -> Instance:
        """Where unqualified names are looked up."""
        return self._context or self.instances[-1]

    _context: Instance | None = None

    def add(self, table: Table, alias: str | None) -> Instance:
        """A new instance, which becomes the context."""
        if len(self.instances) >= MAX_TABLES:
            raise BadRequest(f"A path may have at most {MAX_TABLES} tables.")
        if alias in self.aliases:
            raise BadRequest(f"The alias '{alias}' is bound twice.")
        instance = Instance(self.first + len(self.instances), table)
        self.instances.append(instance)
        if alias is not None:
            self.aliases[alias] = instance
        self._context = instance
        return instance

    def reset(self, alias: str) -> None:
        """Make an earlier instance the context."""
        if alias not in self.aliases:
            raise BadRequest(f"'${alias}' is not bound in the path. {nearest(alias, self.aliases)}")
        self._context = self.aliases[alias]

    def column(self, instance: Instance, column: Column) -> BoundColumn:
        """A column that the URL names."""
        self.read.setdefault(instance.table.oid, {})[column.oid] = column
        outer = any(link.join != "inner" for link in self.links)
        return BoundColumn(instance, column, outer)


def bind_path(model: Model, elements: Sequence[Element]) -> Path:
    """
    Look up every table and link of a path.

    Raises:
        BadRequest: it does not start with a table, an alias is unbound or bound twice, or it is too long.
        Conflict: a table, column or link is not there or not unique.
    """
    path = Path(model)
    for element in elements:
        match element:
            case TableLink():
                _bind_table(path, element)
            case _ if not path.instances:
                raise BadRequest("A path starts with a table.")
            case ColumnLink():
                _bind_link(path, element)
            case Context():
                path.reset(element.alias)
            case Filter():
                path.conditions.append(PlacedCondition(element.condition, path.context))
    return path


def find_table(model: Model, parts: Sequence[str]) -> Table:
    """
    The table that a name of one or two parts means.

    Raises:
        BadRequest: more parts. Conflict: there is none, or several of that name.
    """
    if len(parts) > 2:
        raise BadRequest(f"'{':'.join(parts)}' is no table name; write table or schema:table.")
    schema, name = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])
    tables = model.find_tables(schema, name)
    if len(tables) > 1:
        names = ", ".join(model.qualified(table) for table in tables if _is_known(model, table))
        raise Conflict(f"Table '{name}' is ambiguous; say which{f': {names}' if names else ' schema it is of'}.")
    if not tables:
        known = [model.qualified(table) for table in model.tables.values() if _is_known(model, table)]
        known = known if schema is not None else [name.partition(":")[2] for name in known]
        raise Conflict(f"There is no table '{':'.join(parts)}'. {nearest(':'.join(parts), known)}")
    return tables[0]


def find_column(model: Model, table: Table, name: str) -> Column:
    """
    The column of that name.

    Raises:
        Conflict: there is none.
    """
    column = table.find(name)
    if column is None:
        known = [c.name for c in table.columns if _is_known(model, table) and "enumerate" not in c.acls]
        raise Conflict(f"Table {model.qualified(table)} has no column '{name}'. {nearest(name, known)}")
    return column


def _is_known(model: Model, table: Table) -> bool:
    """Whether whoever may know the catalog may know the table, so that a message may name it to anybody."""
    return "enumerate" not in table.acls and "enumerate" not in model.schemas[table.schema].acls


def nearest(name: str, known: Sequence[str] | dict[str, Instance]) -> str:
    """A sentence with the names that somebody may have meant."""
    close = get_close_matches(name, list(known)[:5000], n=3, cutoff=0.6) if len(name) < 200 else []
    return f"Did you mean {' or '.join(close)}?" if close else ""


def resolve(path: Path, reference: Reference, context: Instance, unbound: type[BadRequest | Conflict]) -> BoundColumn:
    """
    The column that a filter or a projection names: of the context, or of an alias.

    Args:
        unbound: what to raise for an alias that is not bound: 409 in filters, 400 in projections (NOTES.md).
    """
    instance = resolve_instance(path, reference.parts[:-1], context, unbound)
    return path.column(instance, find_column(path.model, instance.table, reference.parts[-1]))


def resolve_instance(
    path: Path, qualifier: Sequence[str], context: Instance, unbound: type[BadRequest | Conflict]
) -> Instance:
    """The instance that a qualifier of a column means; the context if there is none."""
    if not qualifier:
        return context
    alias = ":".join(qualifier)
    if len(qualifier) > 1 or alias not in path.aliases:
        raise unbound(f"'{alias}' is no alias bound in the path. {nearest(alias, path.aliases)}")
    return path.aliases[alias]


def _bind_table(path: Path, element: TableLink) -> None:
    table = find_table(path.model, element.table.parts)
    if not path.instances:
        path.add(table, element.alias)
        return
    earlier = path.context
    outgoing = [fkey for fkey in earlier.table.foreign_keys if fkey.to_table == table.oid]
    incoming = [fkey for fkey in table.foreign_keys if fkey.to_table == earlier.table.oid]
    names = f"{path.model.qualified(earlier.table)} and {path.model.qualified(table)}"
    if earlier.table.oid == table.oid:
        raise Conflict("A table is linked to itself only by columns, as in (column)=(table:column).")
    if not outgoing and not incoming:
        raise Conflict(f"No foreign key links {names}.")
    newer = path.add(table, element.alias)
    pairs = [_pairs(path.model, fkey, earlier.table) for fkey in (*outgoing, *incoming)]
    path.links.append(Link("inner", earlier, newer, tuple(pairs)))


def _pairs(model: Model, fkey: ForeignKey, earlier: Table) -> Pairs:
    """The columns that a foreign key equates, those of the earlier table first."""
    mine = model.tables[fkey.table].columns_of(fkey.columns)
    theirs = model.tables[fkey.to_table].columns_of(fkey.to_columns)
    pairs = zip(mine, theirs, strict=True) if fkey.table == earlier.oid else zip(theirs, mine, strict=True)
    return tuple(pairs)


def _bind_link(path: Path, element: ColumnLink) -> None:
    if element.right is not None:
        earlier, table, pairs = _explicit(path, element.left, element.right)
    else:
        earlier, table, pairs = _by_endpoint(path, element.left)
    newer = path.add(table, element.alias)
    path.links.append(Link(element.join, earlier, newer, (pairs,)))


def _explicit(path: Path, left: Sequence[Reference], right: Sequence[Reference]) -> tuple[Instance, Table, Pairs]:
    earlier = _left_instance(path, left[0])
    table = _right_table(path, right[0])
    lefts = [_endpoint_column(path, earlier.table, reference) for reference in left]
    rights = [_endpoint_column(path, table, reference) for reference in right]
    for mine, theirs in zip(lefts, rights, strict=True):
        _check_comparable(mine, theirs)
    return earlier, table, tuple(zip(lefts, rights, strict=True))


def _left_instance(path: Path, reference: Reference) -> Instance:
    qualifier = reference.parts[:-1]
    if not qualifier:
        return path.context
    if len(qualifier) == 1 and qualifier[0] in path.aliases:
        return path.aliases[qualifier[0]]
    raise Conflict(f"'{reference}' is no column of the path; its left side needs a column of {_here(path)}.")


def _right_table(path: Path, reference: Reference) -> Table:
    if len(reference.parts) < 2:
        raise BadRequest(f"'{reference}' needs its table: (left)=(schema:table:right).")
    return find_table(path.model, reference.parts[:-1])


def _endpoint_column(path: Path, table: Table, reference: Reference) -> Column:
    """A column of the table of the first column; its own qualifier, if any, must mean that table too."""
    qualifier = reference.parts[:-1]
    if qualifier and not (len(qualifier) == 1 and qualifier[0] in path.aliases):
        if find_table(path.model, qualifier).oid != table.oid:
            raise Conflict(f"The columns of a link belong to one table; '{reference}' does not.")
    elif qualifier and path.aliases[qualifier[0]].table.oid != table.oid:
        raise Conflict(f"The columns of a link belong to one table; '{reference}' does not.")
    return find_column(path.model, table, reference.parts[-1])


def _check_comparable(mine: Column, theirs: Column) -> None:
    families = {_family(mine), _family(theirs)}
    if len(families) > 1 and families != {"day", "moment"}:
        raise Conflict(
            f"Column {mine.name} ({mine.type.typename}) and column {theirs.name} ({theirs.type.typename})"
            " cannot be compared."
        )


def _family(column: Column) -> str:
    kind = kind_of(column.type)
    if column.type.array:
        return f"{kind.name}[]"
    return kind.family or f"incomparable {kind.name} {column.oid}"


def _by_endpoint(path: Path, columns: Sequence[Reference]) -> tuple[Instance, Table, Pairs]:
    first = columns[0].parts
    in_path = len(first) == 1 or (len(first) == 2 and first[0] in path.aliases)
    earlier = _left_instance(path, columns[0]) if in_path else path.context
    table = earlier.table if in_path else find_table(path.model, first[:-1])
    wanted = {_endpoint_column(path, table, reference).oid for reference in columns}
    links = _links_at(path.model, table, wanted)
    if not in_path:
        links = [fkey for fkey in links if _other_end(fkey, table) == earlier.table.oid]
    names = ", ".join(str(reference) for reference in columns)
    if len(links) != 1:
        count = "no" if not links else str(len(links))
        raise Conflict(f"({names}) is the end of {count} foreign keys of {_here(path)}; a link needs exactly one.")
    newer = path.model.tables[_other_end(links[0], table)] if in_path else table
    return earlier, newer, _oriented(path.model, links[0], table, wanted, in_path=in_path)


def _links_at(model: Model, table: Table, wanted: set[int]) -> list[ForeignKey]:
    """The foreign keys that have exactly these columns of the table at one of their ends."""
    outgoing = [fkey for fkey in table.foreign_keys if set(fkey.columns) == wanted]
    incoming = [fkey for fkey in model.referenced_by(table) if set(fkey.to_columns) == wanted]
    return outgoing + [fkey for fkey in incoming if fkey not in outgoing]


def _other_end(fkey: ForeignKey, table: Table) -> int:
    return fkey.to_table if fkey.table == table.oid else fkey.table


def _oriented(model: Model, fkey: ForeignKey, table: Table, wanted: set[int], *, in_path: bool) -> Pairs:
    """The pairs of a foreign key, the columns of the earlier table first; a table may refer to itself."""
    mine = model.tables[fkey.table].columns_of(fkey.columns)
    theirs = model.tables[fkey.to_table].columns_of(fkey.to_columns)
    named_is_mine = fkey.table == table.oid and set(fkey.columns) == wanted
    earlier_is_mine = named_is_mine == in_path
    return tuple(zip(mine, theirs, strict=True) if earlier_is_mine else zip(theirs, mine, strict=True))


def _here(path: Path) -> str:
    return path.model.qualified(path.context.table)

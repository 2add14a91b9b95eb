"""
What a data URL says, before any name in it is looked up: an immutable syntax tree.

Source: ERMrest API documentation, "Data Resource Naming" (docs/api-doc/data/naming.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Join = Literal["inner", "left", "right", "full"]
Quantifier = Literal["any", "all"]


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A table or a column as written: `Name`, `alias:Name`, `schema:table:Name`, `*`, `alias:*`.

    `parts` are unescaped; with `star` they qualify the `*`.
    """

    parts: tuple[str, ...]
    star: bool = False

    def __str__(self) -> str:
        return ":".join((*self.parts, "*") if self.star else self.parts)


@dataclass(frozen=True, slots=True)
class ValueList:
    """`any(a,b)` or `all(a,b)`."""

    quantifier: Quantifier
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator value`; the operator is `=`, `null` (no value) or a word such as `lt`."""

    column: Reference
    operator: str
    value: str | ValueList | None


@dataclass(frozen=True, slots=True)
class Not:
    """`!condition`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Logical:
    """Two or more conditions joined by `&` (and) or `;` (or)."""

    word: Literal["AND", "OR"]
    conditions: tuple[Condition, ...]


Condition = Comparison | Not | Logical


@dataclass(frozen=True, slots=True)
class TableLink:
    """`table` or `alias:=table`: the root of a path, or a link by whatever foreign keys there are."""

    table: Reference
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnLink:
    """`(column,...)` by a foreign key's endpoint, or `(left,...)=(right,...)` by an explicit map."""

    left: tuple[Reference, ...]
    right: tuple[Reference, ...] | None = None
    join: Join = "inner"
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition as an element of a path."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Context:
    """`$alias`: go on from an earlier table."""

    alias: str


Element = TableLink | ColumnLink | Filter | Context


@dataclass(frozen=True, slots=True)
class Call:
    """`function(column;argument;...)`."""

    function: str
    columns: tuple[Reference, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One member of a projection, with the output name that the client gave it, if any."""

    source: Reference | Call
    output: str | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """An output column to sort by."""

    output: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class DataName:
    """
    A whole data URL below `/entity/`, `/attribute/`, `/attributegroup/` or `/aggregate/`.

    Attributes:
        items: the projection; the group keys of an attributegroup; None for an entity.
        targets: the part after `;` of an attributegroup; None if there is none.
        after, before: page keys, one value for each sort key; None in one is `::null::`.
    """

    elements: tuple[Element, ...]
    items: tuple[Item, ...] | None = None
    targets: tuple[Item, ...] | None = None
    sort: tuple[SortKey, ...] = ()
    after: tuple[str | None, ...] | None = None
    before: tuple[str | None, ...] | None = None

"""
Dynamic ACL bindings in model documents: read, checked, and bound to the tables that their projections name.

Source: ERMrest docs, "Dynamic ACL Binding Technical Reference"; the base of a foreign key's: "Dynamic Reference ACLs".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from deriva_ml_core.local_catalog.ermrest import definitions as says
from deriva_ml_core.local_catalog.ermrest.conditions import SYMBOLS, condition_sql
from deriva_ml_core.local_catalog.ermrest.model import Column, Document, ForeignKey, Model, Table
from deriva_ml_core.local_catalog.ermrest.paths import BoundColumn, Instance, Link, Pairs, Path, PlacedCondition
from deriva_ml_core.local_catalog.ermrest.syntax import Comparison, Condition, Logical, Not, Reference
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

FIRST = 1000
"""The number of a projection's base: its query stands inside those of data URLs, which begin at 0."""
BASE = f"i{FIRST}"
"""The name of the base row in SQL."""
_OPERATORS = frozenset(SYMBOLS) | {"regexp", "ciregexp", "null"}
_GROUPS: tuple[tuple[str, Literal["AND", "OR"]], ...] = (("and", "AND"), ("or", "OR"))


@dataclass(frozen=True, slots=True)
class Projection:
    """A projection bound to a model: a path whose first instance is the base row, and the column at its end."""

    path: Path
    column: BoundColumn


def read_bindings(model: Model | None, kind: str, base: Table | None, document: Any) -> Document:
    """A whole set of bindings, by name; see `check_binding`."""
    if document is None:
        return {}
    bindings = says.read_object(document, "set of ACL bindings")
    return {name: check_binding(model, kind, base, binding) for name, binding in bindings.items()}


def check_binding(model: Model | None, kind: str, base: Table | None, binding: Any) -> Document | bool:
    """
    One binding with its defaults filled in, or False where a column suppresses one of its table's.

    Args:
        kind: table, column or fkey.
        base: where its projection starts (`base_of`); None: the table is being made, the projection is not followed.

    Raises:
        BadRequest: not a binding. Conflict: the projection names what is not there.
    """
    if binding is False and kind != "table":
        return False
    says.read_object(binding, "ACL binding")
    says.check_storable(binding)
    types = says.check_binding_types(kind, binding)
    projection_type = binding.get("projection_type", "acl")
    if projection_type not in ("acl", "nonnull"):
        raise BadRequest("The projection_type of an ACL binding is 'acl' or 'nonnull'.")
    if "projection" not in binding:
        raise BadRequest("An ACL binding needs a projection.")
    scope = says.read_list(binding.get("scope_acl", ["*"]), "The scope_acl")
    checked = {
        "types": types,
        "projection": binding["projection"],
        "projection_type": projection_type,
        "scope_acl": scope,
    }
    if model is not None and base is not None:
        path = bind_projection(model, base, checked).path
        for placed in path.conditions:
            condition_sql(path, placed.condition, placed.context)
    return checked


def base_of(model: Model, element: Table | Column | ForeignKey, table: Table) -> Table:
    """The table in whose rows the projections of an element's bindings start: a foreign key's in those referred to."""
    return model.tables[element.to_table] if isinstance(element, ForeignKey) else table


def bind_projection(model: Model, base: Table, binding: Document) -> Projection:
    """
    Look up what a binding's projection names.

    Raises:
        BadRequest: it is no projection. Conflict: it names what is not there, or ends where no ACL can be.
    """
    projection = binding["projection"]
    elements = projection if isinstance(projection, list) else [projection]
    if not elements or not isinstance(elements[-1], str):
        raise BadRequest("The projection of an ACL binding ends with the name of a column.")
    path = Path(model, first=FIRST)
    path.add(base, "base")
    for element in elements[:-1]:
        _follow(path, says.read_object(element, "element of a projection"))
    column = path.context.table.find(elements[-1])
    if column is None:
        raise Conflict(f"The projection of the ACL binding names column {elements[-1]!r}, which is not there.")
    if binding["projection_type"] == "acl" and column.type.scalar != "text":
        raise Conflict(
            f"The projection of the ACL binding ends with {column.name!r}, which is neither text nor text[]."
        )
    return Projection(path, BoundColumn(path.context, column))


def _follow(path: Path, element: Document) -> None:
    if "inbound" not in element and "outbound" not in element:
        path.conditions.append(PlacedCondition(_condition(path, element), path.context))
        return
    context, alias = element.get("context"), element.get("alias")
    left = path.aliases.get(context) if isinstance(context, str) else path.context
    if left is None:
        raise Conflict(f"The projection of the ACL binding uses {context!r}, which is not bound.")
    outbound = "outbound" in element
    fkey = _foreign_key(path.model, left.table, element["outbound" if outbound else "inbound"], outbound=outbound)
    target = path.model.tables[fkey.to_table if outbound else fkey.table]
    newer = path.add(target, alias if isinstance(alias, str) else None)
    path.links.append(Link("inner", left, newer, (_pairs(path.model, fkey, outbound=outbound),)))


def _foreign_key(model: Model, left: Table, name: Any, *, outbound: bool) -> ForeignKey:
    if not isinstance(name, list) or len(name) != 2:
        raise BadRequest("A link in a projection names a foreign key as [schema, constraint].")
    for fkey in left.foreign_keys if outbound else model.referenced_by(left):
        if [model.schema_of(model.tables[fkey.table]).name, fkey.name] == name:
            return fkey
    raise Conflict(f"The projection of the ACL binding uses foreign key {name!r}, which is not there.")


def _pairs(model: Model, fkey: ForeignKey, *, outbound: bool) -> Pairs:
    """The columns that a link equates, those of the earlier table first."""
    mine = model.tables[fkey.table].columns_of(fkey.columns)
    theirs = model.tables[fkey.to_table].columns_of(fkey.to_columns)
    return tuple(zip(mine, theirs, strict=True) if outbound else zip(theirs, mine, strict=True))


def _condition(path: Path, element: Document) -> Condition:
    """A filter, or a conjunction or disjunction of some."""
    condition: Condition | None = None
    for group, word in _GROUPS:
        if group in element:
            members = says.read_list(element[group], f"The {group} of a projection")
            parts = tuple(_condition(path, says.read_object(member, "filter")) for member in members)
            if not parts:
                raise BadRequest(f"The {group} of a projection lists one or more filters.")
            condition = Logical(word, parts) if len(parts) > 1 else parts[0]
    if condition is None:
        condition = _comparison(path, element)
    return Not(condition) if element.get("negate") is True else condition


def _comparison(path: Path, element: Document) -> Comparison:
    if "filter" not in element:
        raise BadRequest("An element of a projection is a link or a filter.")
    chosen = element["filter"] if isinstance(element["filter"], list) else [None, element["filter"]]
    if len(chosen) != 2 or not isinstance(chosen[1], str):
        raise BadRequest("A filter in a projection names one column.")
    alias, name = chosen
    instance: Instance | None = path.aliases.get(alias) if isinstance(alias, str) else path.context
    if instance is None or instance.table.find(name) is None:
        raise Conflict(f"The projection of the ACL binding filters by {name!r}, which is not there.")
    word = element.get("operator", "=")
    operator = word.strip(":") if isinstance(word, str) else ""
    if operator not in _OPERATORS:
        raise BadRequest(f"There is no operator {word!r} for a filter in a projection.")
    reference = Reference((name,) if alias is None else (alias, name))
    return Comparison(reference, operator, None if operator == "null" else _operand(element))


def _operand(element: Document) -> str:
    operand = element.get("operand")
    if isinstance(operand, str):
        return operand
    if operand is None or isinstance(operand, (list, dict)):
        raise BadRequest("A filter in a projection needs an operand: a text, a number, true or false.")
    return json.dumps(operand)

"""
Dynamic ACL bindings in model documents: kept and checked, not evaluated (accesscontrol.py).

Source: ERMrest docs, "Dynamic ACL Binding Technical Reference".
"""

from __future__ import annotations

from typing import Any

from deriva_ml_core.local_catalog.ermrest import definitions as says
from deriva_ml_core.local_catalog.ermrest.model import Document, Model, Table
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict


def read_bindings(model: Model | None, kind: str, table: Table | None, document: Any) -> Document:
    """A whole set of bindings, by name; see `check_binding`."""
    if document is None:
        return {}
    bindings = says.read_object(document, "set of ACL bindings")
    return {name: check_binding(model, kind, table, binding) for name, binding in bindings.items()}


def check_binding(model: Model | None, kind: str, table: Table | None, binding: Any) -> Document | bool:
    """
    One binding with its defaults filled in, or False where a column suppresses one of its table's.

    Args:
        kind: table, column or fkey.
        table: where its projection starts; None: the table is being made, and the projection is not followed.

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
    if model is not None and table is not None:
        _follow(model, table, binding["projection"], projection_type)
    return {
        "types": types,
        "projection": binding["projection"],
        "projection_type": projection_type,
        "scope_acl": scope,
    }


def _follow(model: Model, base: Table, projection: Any, projection_type: str) -> None:
    path = projection if isinstance(projection, list) else [projection]
    if not path or not isinstance(path[-1], str):
        raise BadRequest("The projection of an ACL binding ends with the name of a column.")
    here, aliases = base, {"base": base}
    for element in path[:-1]:
        here = _step(model, here, aliases, element)
    column = here.find(path[-1])
    if column is None:
        raise Conflict(f"The projection of the ACL binding names column {path[-1]!r}, which is not there.")
    if projection_type == "acl" and column.type.scalar != "text":
        raise Conflict(f"The projection of the ACL binding ends with {path[-1]!r}, which is neither text nor text[].")


def _step(model: Model, here: Table, aliases: dict[str, Table], element: Any) -> Table:
    says.read_object(element, "element of a projection")
    if "inbound" not in element and "outbound" not in element:
        _check_filter(here, aliases, element)
        return here
    left = aliases.get(element["context"]) if isinstance(element.get("context"), str) else here
    if left is None:
        raise Conflict(f"The projection of the ACL binding uses {element['context']!r}, which is not bound.")
    reached = _linked(model, left, element)
    if isinstance(element.get("alias"), str):
        aliases[element["alias"]] = reached
    return reached


def _linked(model: Model, left: Table, element: Document) -> Table:
    outbound = "outbound" in element
    name = element["outbound" if outbound else "inbound"]
    if not isinstance(name, list) or len(name) != 2:
        raise BadRequest("A link in a projection names a foreign key as [schema, constraint].")
    candidates = left.foreign_keys if outbound else model.referenced_by(left)
    for fkey in candidates:
        table = model.tables[fkey.table]
        if [model.schema_of(table).name, fkey.name] == name:
            return model.tables[fkey.to_table] if outbound else table
    raise Conflict(f"The projection of the ACL binding uses foreign key {name!r}, which is not there.")


def _check_filter(here: Table, aliases: dict[str, Table], element: Document) -> None:
    for part in ("and", "or"):
        for member in says.read_list(element.get(part, []), f"The {part} of a projection"):
            _check_filter(here, aliases, says.read_object(member, "filter"))
    if "filter" not in element:
        if "and" not in element and "or" not in element:
            raise BadRequest("An element of a projection is a link or a filter.")
        return
    chosen = element["filter"] if isinstance(element["filter"], list) else [None, element["filter"]]
    table = aliases.get(chosen[0]) if isinstance(chosen[0], str) else here
    if len(chosen) != 2 or not isinstance(chosen[1], str):
        raise BadRequest("A filter in a projection names one column.")
    if table is None or table.find(chosen[1]) is None:
        raise Conflict(f"The projection of the ACL binding filters by {chosen[1]!r}, which is not there.")

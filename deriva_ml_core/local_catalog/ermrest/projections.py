"""
What a data URL asks for: output columns, with names, as SQL.

Source: ERMrest API documentation, "Attribute Names", "Aggregate Names", "Attribute Group Names".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.local_catalog.ermrest.aggregates import AGGREGATES, aggregate
from deriva_ml_core.local_catalog.ermrest.bins import bin_of
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import BoundColumn, Instance, Path, resolve, resolve_instance
from deriva_ml_core.local_catalog.ermrest.sqlforms import Form
from deriva_ml_core.local_catalog.ermrest.syntax import Call, Item, Reference
from deriva_ml_core.local_catalog.errors import BadRequest

Visible = Callable[[Table], Iterable[Column]]
"""The columns of a table that `*` stands for."""


@dataclass(frozen=True, slots=True)
class Output:
    """
    An output column.

    Attributes:
        value: the expression to group and sort by.
        finish: makes the final value from the SQL name of `value`, where the two differ.
    """

    name: str
    value: Fragment
    form: Form
    finish: Callable[[str], Fragment] | None = None


def entity_outputs(path: Path, visible: Visible) -> list[Output]:
    """Every column of the path's last table."""
    return [_column_output(path.column(path.context, column), None) for column in visible(path.context.table)]


def attribute_outputs(path: Path, items: Sequence[Item], visible: Visible) -> list[Output]:
    """
    The projection of an attribute URL, or the group keys of an attributegroup.

    Raises:
        BadRequest: an aggregate, an unbound alias, or an output name twice. Conflict: no such column.
    """
    return distinct([output for item in items for output in _attribute(path, item, visible)])


def group_outputs(path: Path, items: Sequence[Item], rights: Any, visible: Visible) -> list[Output]:
    """
    The part of an attributegroup after its keys: aggregates, and columns of which any value of the group will do.

    Args:
        rights, visible: see aggregates.aggregate.
    """
    outputs: list[Output] = []
    for item in items:
        if isinstance(item.source, Call) and item.source.function != "bin":
            outputs.append(_aggregate(path, item, item.source, rights, visible))
        else:
            outputs += _attribute(path, item, visible)
    return outputs


def aggregate_outputs(path: Path, items: Sequence[Item], rights: Any, visible: Visible) -> list[Output]:
    """
    The projection of an aggregate URL.

    Raises:
        BadRequest: a plain column, or what group_outputs raises.
    """
    outputs = []
    for item in items:
        if not isinstance(item.source, Call) or item.source.function == "bin":
            what = f"{item.source.function}(...)" if isinstance(item.source, Call) else item.source
            raise BadRequest(f"'{what}' is no aggregate; write name:=function(column).")
        outputs.append(_aggregate(path, item, item.source, rights, visible))
    return distinct(outputs)


def distinct(outputs: list[Output]) -> list[Output]:
    """
    The outputs, if no name occurs twice.

    Raises:
        BadRequest: one does.
    """
    seen: set[str] = set()
    for output in outputs:
        if output.name in seen:
            raise BadRequest(f"The output column '{output.name}' occurs twice; rename one with new:={output.name}.")
        seen.add(output.name)
    return outputs


def _attribute(path: Path, item: Item, visible: Visible) -> list[Output]:
    if isinstance(item.source, Call):
        return [_bin(path, item, item.source)]
    if item.source.star:
        return _star(path, item.source, item.output, visible)
    return [_column_output(resolve(path, item.source, path.context, BadRequest), item.output)]


def _column_output(column: BoundColumn, name: str | None) -> Output:
    value = Fragment(column.sql, (), frozenset({column.instance.number}))
    return Output(name if name is not None else column.column.name, value, column.form)


def _star(path: Path, reference: Reference, name: str | None, visible: Visible) -> list[Output]:
    instance = resolve_instance(path, reference.parts, path.context, BadRequest)
    if named := instance.table.find("*"):
        return [_column_output(path.column(instance, named), name)]
    if name is not None:
        raise BadRequest(f"'{reference}' stands for several columns and cannot be renamed to '{name}'.")
    prefix = "".join(f"{part}:" for part in reference.parts)
    columns = [path.column(instance, column) for column in visible(instance.table)]
    return [_column_output(column, prefix + column.column.name) for column in columns]


def _bin(path: Path, item: Item, call: Call) -> Output:
    if call.function != "bin":
        what = "an aggregate; aggregates belong" if call.function in AGGREGATES else "no function known here; these go"
        raise BadRequest(f"'{call.function}(...)' is {what} in aggregate or, after ;, in attributegroup.")
    if len(call.columns) != 1 or call.columns[0].star or len(call.arguments) != 3:
        raise BadRequest("A bin is written bin(column;number;lowest;highest).")
    column = resolve(path, call.columns[0], path.context, BadRequest)
    value, finish = bin_of(column, *call.arguments)
    name = item.output if item.output is not None else column.column.name
    return Output(name, value, Form("bin"), finish)


def _aggregate(path: Path, item: Item, call: Call, rights: Any, visible: Visible) -> Output:
    if call.function not in AGGREGATES:
        raise BadRequest(f"There is no function '{call.function}'; there are {', '.join(sorted(AGGREGATES))}.")
    if item.output is None:
        raise BadRequest(f"{call.function}(...) needs an output alias: name:={call.function}(...).")
    if len(call.columns) != 1 or call.arguments:
        raise BadRequest(f"{call.function}(...) takes one column.")
    reference = call.columns[0]
    column: Instance | BoundColumn
    if reference.star:
        instance = resolve_instance(path, reference.parts, path.context, BadRequest)
        named = instance.table.find("*")
        column = path.column(instance, named) if named else instance
    else:
        column = resolve(path, reference, path.context, BadRequest)
    value, form = aggregate(call.function, column, bare=not reference.parts, rights=rights, visible=visible)
    return Output(item.output, value, form)

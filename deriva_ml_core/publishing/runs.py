"""Rows of Execution with their workflows, and who is whose child."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.durations import duration_text
from deriva_ml_core.executions.record import ExecutionRecord
from deriva_ml_core.workflows import registry

if TYPE_CHECKING:
    from deriva_ml_core.publishing.copying import Copier

Row = dict[str, Any]
EXECUTION = "Execution"


def copy_runs(copier: Copier, rids: Collection[str]) -> None:
    """These executions as rows, in the words of the target's generation."""
    if not rids:
        return
    table = copier.source.model.ml_table(EXECUTION)
    found = rows.select_by_rids(copier.source, table, rids)
    records = {rid: ExecutionRecord.from_row(copier.source, found[rid]) for rid in rids if rid in found}
    copy_workflows(copier, records.values())
    copier.put(table, {rid: _row(copier, record) for rid, record in records.items()}, is_found_again=False)


def _row(copier: Copier, record: ExecutionRecord) -> Row:
    generation = copier.target.model.generation
    columns = {generation.duration_column(phase): duration_text(s) for phase, s in record.durations.items()}
    return {
        "Workflow": copier.mapping[record.workflow_rid] if record.workflow_rid else None,
        "Description": record.description,
        "Status": generation.status_word(record.status.value),
        "Status_Detail": record.status_detail,
        **{column: text for column, text in columns.items() if column is not None},
    }


def copy_workflows(copier: Copier, executions: Iterable[ExecutionRecord]) -> None:
    """One that the target has, by its code, is that one."""
    source, model = copier.source, copier.source.model
    table = model.ml_table("Workflow")
    rids = sorted({one.workflow_rid for one in executions if one.workflow_rid})
    found = rows.select_by_rids(source, table, rids)
    for rid in rids:
        if copier.mapping.get(rid) is None:
            same = registry.find_same(copier.target, registry.lookup(source, rid))
            if same is not None:
                copier.mapping.add(str(table), {rid: str(same["RID"])})
    copier.copy(table, found)
    copier.link_terms(model.association(table, model.ml_table("Workflow_Type")), rids)


def link_children(copier: Copier, executions: Mapping[str, ExecutionRecord]) -> None:
    """The sweeps' structure: parents, children and their numbers."""
    table = copier.source.model.ml_table(EXECUTION)
    links = [
        {"Execution": link.parent, "Nested_Execution": link.child, "Sequence": link.sequence}
        for link in nesting.neighbours(copier.source, executions, "children")
    ]
    columns = {"Execution": table, "Nested_Execution": table, "Sequence": None}
    copier.link(copier.source.model.ml_table("Execution_Execution"), links, columns)

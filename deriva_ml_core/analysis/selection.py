"""Which executions there are that fulfill conditions, in the order that is asked for: `deriva-ml-executions list`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.conditions import Condition
from deriva_ml_core.analysis.facts import Facts, Kind, read_facts
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLValidationError, nearest
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.listing import Document, summary, workflow_rows, workflow_types
from deriva_ml_core.executions.record import ExecutionRecord, find_executions, lookup_execution
from deriva_ml_core.executions.states import Status, as_status
from deriva_ml_core.schema.terms import UNKNOWN_EXECUTION_DESCRIPTION

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

SORT_KEYS = ("created", "status", "time", "type", "workflow")
"""What every execution can be sorted by, besides its metrics, parameters and choices."""


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which executions, and in which order.

    Args:
        statuses: any of these, in any case.
        workflow: RID or name.
        parent: none but the children of this execution.
        jobs: False: none that is the child of another, such as the jobs of a sweep.
        choices, parameters, metrics: all of these; see `conditions`.
        sort: one of SORT_KEYS, or the name of a metric, parameter or group; None is the newest first.
        show: metrics, parameters and choices of groups to tell of besides those that are asked for.
    """

    statuses: tuple[str, ...] = ()
    workflow: str | None = None
    workflow_type: str | None = None
    dataset: str | None = None
    parent: str | None = None
    jobs: bool = True
    since: datetime | None = None
    until: datetime | None = None
    choices: tuple[Condition, ...] = ()
    parameters: tuple[Condition, ...] = ()
    metrics: tuple[Condition, ...] = ()
    sort: str | None = None
    descending: bool = False
    limit: int | None = None
    show: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether there can be executions that it leaves out, however many are shown."""
        return replace(self, sort=None, descending=False, limit=None, show=()) != Selection()

    @property
    def named(self) -> tuple[str, ...]:
        """The metrics, parameters and choices that a list of these executions should tell, each once."""
        conditions = (one.name for one in (*self.metrics, *self.parameters))
        sort = self.either[: len(self.either) - len(self.show)]
        names = (*sort, *conditions, *self.show)
        return tuple(dict.fromkeys(names))

    @property
    def either(self) -> tuple[str, ...]:
        """Names that may be a metric's, a parameter's or a group's."""
        sort = [self.sort] if self.sort and self.sort not in SORT_KEYS else []
        return (*sort, *self.show)

    @property
    def kinds(self) -> set[Kind]:
        """The files that have to be read for it; the others too, where a name of `either` is no metric's."""
        needed: dict[Kind, bool] = {
            "configuration": bool(self.choices),
            "hydra": bool(self.parameters),
            "metrics": bool(self.metrics or self.either),
        }
        return {kind for kind, is_needed in needed.items() if is_needed}


def list_documents(session: CatalogSession, cache_dir: Path, selection: Selection) -> list[Document]:
    """
    The executions of a selection, each with what a list says of it, and `values` of the names that were asked for.

    Two or three requests; where recorded files decide, those of all executions that the rest leaves are read.

    Raises:
        DerivaMLNotFoundError: no such workflow, parent, choice, metric or parameter.
        DerivaMLValidationError: no such status.
    """
    records = list(_records(session, selection))
    facts = _facts(session, cache_dir, [one.execution_rid for one in records], selection)
    _require_known(selection, facts)
    kept = [one for one in records if _fulfills(facts[one.execution_rid], selection)]
    workflows = workflow_rows(session, {one.workflow_rid for one in kept if one.workflow_rid})
    documents = [_document(one, workflows, facts[one.execution_rid], selection) for one in kept]
    if selection.sort == "type":
        types = workflow_types(session, workflows)
        for one, document in zip(kept, documents, strict=True):
            document["types"] = types.get(one.workflow_rid or "", [])
    return _sorted(documents, selection)[: selection.limit]


def _records(session: CatalogSession, selection: Selection) -> Iterator[ExecutionRecord]:
    """The executions that the catalog's own rows leave; the sentinel that stands for unknown runs is none of them."""
    statuses = {_status(word) for word in selection.statuses}
    all_told = selection.kinds or selection.sort or len(statuses) > 1 or not selection.jobs
    jobs = set() if selection.jobs else nesting.all_children(session)
    found = find_executions(
        session,
        workflow=_workflow(session, selection.workflow) if selection.workflow else None,
        workflow_type=selection.workflow_type,
        status=next(iter(statuses)) if len(statuses) == 1 else None,
        dataset=selection.dataset,
        since=selection.since,
        until=selection.until,
        rids=_children(session, selection.parent) if selection.parent else None,
        limit=None if all_told or selection.limit is None else selection.limit + 1,
    )
    for record in found:
        if record.description == UNKNOWN_EXECUTION_DESCRIPTION or record.execution_rid in jobs:
            continue
        if not statuses or record.status in statuses:
            yield record


def _facts(session: CatalogSession, cache_dir: Path, rids: list[str], selection: Selection) -> dict[str, Facts]:
    """What the conditions and the order look at; what costs more than metrics only where no metric has the name."""
    facts = read_facts(session, cache_dir, rids, selection.kinds)
    metrics = {name for one in facts.values() for name in one.metrics.final}
    others: set[Kind] = {"configuration", "hydra"}
    if others - selection.kinds and not metrics.issuperset(selection.either):
        for rid, more in read_facts(session, cache_dir, rids, others).items():
            facts[rid].parameters, facts[rid].choices = more.parameters, more.choices
    return facts


def _status(word: str) -> Status:
    known = {status.value.lower(): status.value for status in Status}
    if word.lower() not in known:
        raise DerivaMLValidationError(
            f"{word!r} is no status{nearest(word, known.values())} (there are: {', '.join(known.values())})"
        )
    return as_status(known[word.lower()])


def _workflow(session: CatalogSession, text: str) -> str:
    """The RID of a workflow that is named by it, or by its name."""
    table = session.model.ml_table("Workflow")
    if rows.is_rid(text) and rows.select_by_rids(session, table, [text], columns=["RID"]):
        return rows.normal_rid(text)
    names = {row["Name"]: row["RID"] for row in rows.select(session, table, columns=["RID", "Name"])}
    if text not in names:
        raise DerivaMLNotFoundError(f"no workflow has the RID or the name {text!r}{nearest(text, map(str, names))}")
    return str(names[text])


def _children(session: CatalogSession, parent: str) -> list[str]:
    rid = lookup_execution(session, parent).execution_rid
    return nesting.relatives(session, rid, "children", recurse=True)


def _require_known(selection: Selection, facts: Mapping[str, Facts]) -> None:
    """Refuse a name that no execution knows: it is misspelt, and would find nothing."""
    if not facts:
        return
    choices = {name for one in facts.values() for name in one.choices}
    metrics = {name for one in facts.values() for name in one.metrics.final}
    parameters = {name for one in facts.values() for name in one.parameters}
    asked: list[tuple[str, Iterable[str], set[str]]] = [
        ("choice of a group", (one.name for one in selection.choices), choices),
        ("metric", (one.name for one in selection.metrics), metrics),
        ("parameter", (one.name for one in selection.parameters), parameters),
        ("metric, parameter or choice", selection.either, metrics | parameters | choices | {*SORT_KEYS}),
    ]
    for what, names, known in asked:
        for name in names:
            if name not in known:
                there = ", ".join(sorted(known)[:20]) or "none"
                raise DerivaMLNotFoundError(
                    f"none of these {len(facts)} executions has recorded a {what} {name!r}{nearest(name, known)} "
                    f"(recorded: {there})"
                )


def _fulfills(facts: Facts, selection: Selection) -> bool:
    wanted = (
        (selection.choices, facts.choices),
        (selection.parameters, facts.parameters),
        (selection.metrics, facts.metrics.final),
    )
    return all(one.holds(known.get(one.name)) for conditions, known in wanted for one in conditions)


def _document(
    record: ExecutionRecord, workflows: Mapping[str, Mapping[str, Any]], facts: Facts, selection: Selection
) -> Document:
    document = summary(record, workflows)
    if selection.named:
        known = {**facts.choices, **facts.parameters, **facts.metrics.final}
        document["values"] = {name: _plain(known.get(name)) for name in selection.named}
    return document


def _plain(value: Any) -> Any:
    """JSON has no word for what is no number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sorted(documents: Sequence[Document], selection: Selection) -> list[Document]:
    """In the order asked for; those without the value come last, whatever the order."""
    if selection.sort is None:
        return list(documents)
    key = _KEYS.get(selection.sort)
    there = [(key(one) if key else one["values"][selection.sort], one) for one in documents]
    has = [pair for pair in there if pair[0] is not None]
    numbers = all(isinstance(value, int | float) for value, _ in has)
    order = sorted(
        has, key=lambda pair: pair[0] if numbers else str(pair[0]), reverse=selection.descending
    )  # stable, so that equals stay the newest first
    return [one for _, one in order] + [one for value, one in there if value is None]


_KEYS: Mapping[str, Callable[[Document], Any]] = {
    "created": lambda one: one["created"],
    "status": lambda one: one["status"],
    "time": lambda one: one["durations"].get("execution"),
    "type": lambda one: ", ".join(one["types"]) or None,
    "workflow": lambda one: one["workflow"],
}

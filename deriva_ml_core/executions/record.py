"""ExecutionRecord: an execution as the catalog has it, whoever ran it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.filters import Between
from deriva_ml_core.catalog.handle import Handle, session_of
from deriva_ml_core.datasets.former_calls import ignore_extras
from deriva_ml_core.errors import DerivaMLExecutionError, DerivaMLExecutionNotFound
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.assets_of import linked_assets
from deriva_ml_core.executions.durations import parse_duration
from deriva_ml_core.executions.states import Status, as_status, check_transition

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.executions.asset import Asset
    from deriva_ml_core.workflows.workflow import Workflow


class ExecutionRecord:
    """
    One execution's row, and what hangs on it. Setting `status` or `description` writes to the catalog.

    Args:
        session: its catalog, or the user's handle on it; a record without one only holds values.
        start_time, stop_time: of the model; the catalog has no columns for them, so None where nobody else knows.
        duration: the text of the catalog.
    """

    def __init__(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        execution_rid: str,
        workflow: str | None = None,
        status: Status | str = Status.created,
        description: str | None = None,
        start_time: datetime | None = None,
        stop_time: datetime | None = None,
        duration: str | None = None,
        *,
        session: CatalogSession | Handle | None = None,
        status_detail: str | None = None,
        durations: dict[str, float] | None = None,
        created: str | None = None,
        **extras: object,
    ) -> None:
        ignore_extras("ExecutionRecord", extras, ("workflow", "status", "description", "duration"))
        self.execution_rid = execution_rid
        self.workflow_rid = workflow
        self._status, self._description = as_status(status), description
        self.status_detail = status_detail
        self.start_time, self.stop_time, self.duration = start_time, stop_time, duration
        self.durations = durations or {}
        self.created = created
        self._opened_by = session

    @classmethod
    def from_row(cls, catalog: CatalogSession | Handle, row: dict[str, Any]) -> ExecutionRecord:
        """The record of a row of Execution, of either generation."""
        generation = session_of(catalog).model.generation
        columns = {phase: row.get(column) for phase, column in generation.durations.items()}
        return cls(
            row["RID"],
            row.get("Workflow"),
            generation.read_status(row.get("Status")),
            row.get("Description"),
            duration=columns.get("execution"),
            session=catalog,
            status_detail=row.get("Status_Detail"),
            durations={p: seconds for p, text in columns.items() if (seconds := parse_duration(text)) is not None},
            created=row.get("RCT"),
        )

    def __repr__(self) -> str:
        return f"ExecutionRecord({self.execution_rid!r}, status={self._status.value})"

    # --- what the row says ---

    @property
    def status(self) -> Status:
        """Its status when the record was read."""
        return self._status

    @status.setter
    def status(self, value: Status | str) -> None:
        self.update_status(value)

    def update_status(self, status: Status | str, status_detail: str = "") -> None:
        """
        Write a status that follows the present one.

        Raises:
            InvalidTransitionError: it does not follow.
        """
        target = as_status(status)
        check_transition(self.execution_rid, self._status, target)
        word = self._catalog.model.generation.status_word(target.value)
        self._write(Status=word, Status_Detail=status_detail or None)
        self._status, self.status_detail = target, status_detail or None

    @property
    def description(self) -> str | None:
        """Its description, Markdown."""
        return self._description

    @description.setter
    def description(self, value: str) -> None:
        self._write(Description=value)
        self._description = value

    @property
    def workflow(self) -> Workflow | None:
        """The workflow that it ran; None where it has none."""
        from deriva_ml_core.workflows import registry

        return registry.lookup(self._catalog, self.workflow_rid) if self.workflow_rid else None

    # --- what it used and made ---

    def list_input_datasets(self) -> list[Dataset]:
        """The datasets that it used."""
        from deriva_ml_core.datasets.dataset import Dataset

        table = self._catalog.model.ml_table("Dataset_Execution")
        links = rows.select(self._catalog, table, {"Execution": self.execution_rid})
        return [Dataset(self._owner, rid) for rid in sorted({row["Dataset"] for row in links})]

    def list_assets(self, asset_role: str | None = None) -> list[Asset]:
        """The assets that it used ("Input") or made ("Output"); all without a role."""
        from deriva_ml_core.executions.asset import Asset

        found = linked_assets(self._catalog, self.execution_rid, asset_role)
        return [Asset.of(self._owner, linked.asset) for linked in found]

    # --- parents and children ---

    def add_nested_execution(self, child: ExecutionRecord | str, sequence: int | None = None) -> None:
        """Make another execution a child of this one."""
        rid = child if isinstance(child, str) else child.execution_rid
        nesting.link_nested(self._catalog, self.execution_rid, rid, sequence)

    def list_nested_executions(self, recurse: bool = False, _visited: object = None) -> list[ExecutionRecord]:
        """Its children in the order of their numbers; with `recurse`, theirs too."""
        return self._records(nesting.relatives(self._catalog, self.execution_rid, "children", recurse=recurse))

    def list_parent_executions(self, recurse: bool = False, _visited: object = None) -> list[ExecutionRecord]:
        """The executions that it is a child of; with `recurse`, theirs too."""
        return self._records(nesting.relatives(self._catalog, self.execution_rid, "parents", recurse=recurse))

    list_execution_children, list_execution_parents = list_nested_executions, list_parent_executions

    def is_nested(self) -> bool:
        """Whether it is a child of another."""
        return bool(nesting.neighbours(self._catalog, [self.execution_rid], "parents"))

    def is_parent(self) -> bool:
        """Whether it has children."""
        return bool(nesting.neighbours(self._catalog, [self.execution_rid], "children"))

    # --- inside ---

    @property
    def _owner(self) -> CatalogSession | Handle:
        if self._opened_by is None:
            raise DerivaMLExecutionError(f"the record of execution {self.execution_rid} is not tied to a catalog")
        return self._opened_by

    @property
    def _catalog(self) -> CatalogSession:
        return session_of(self._owner)

    def _write(self, **columns: Any) -> None:
        table = self._catalog.model.ml_table("Execution")
        rows.update(self._catalog, table, [{"RID": self.execution_rid, **columns}])

    def _records(self, rids: Sequence[str]) -> list[ExecutionRecord]:
        found = rows.select_by_rids(self._catalog, self._catalog.model.ml_table("Execution"), rids) if rids else {}
        return [ExecutionRecord.from_row(self._owner, found[rid]) for rid in rids if rid in found]


def lookup_execution(catalog: CatalogSession | Handle, rid: str) -> ExecutionRecord:
    """
    The record of one execution.

    Raises:
        DerivaMLExecutionNotFound: the RID is no execution's; the message says what it is, where it is something.
    """
    session = session_of(catalog)
    known = rows.select_by_rids(session, session.model.ml_table("Execution"), [rid]) if rows.is_rid(rid) else {}
    row = known.get(rows.normal_rid(rid))
    if row is None:
        other = rows.locate_rid(session, rid) if rows.is_rid(rid) else None
        what = f"it is a row of {other[1]}" if other else "there is no such row"
        raise DerivaMLExecutionNotFound(
            f"{rid} is not an execution of catalog {session.catalog_id}: {what}; "
            "`deriva-ml-executions list` shows those there are"
        )
    return ExecutionRecord.from_row(catalog, row)


def find_executions(
    catalog: CatalogSession | Handle,
    *,
    workflow: str | Workflow | None = None,
    workflow_type: str | None = None,
    status: Status | str | None = None,
    dataset: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    rids: Iterable[str] | None = None,
    limit: int | None = None,
) -> Iterator[ExecutionRecord]:
    """
    Executions, the newest first.

    Args:
        workflow: a workflow or its RID.
        workflow_type: a term of Workflow_Type.
        status: of either generation of catalogs.
        dataset: RID of a dataset that they used.
        since, until: when they were created: not before, and before.
        rids: none but these.
        limit: at most so many.
    """
    session = session_of(catalog)
    filters: dict[str, Any] = {}
    if workflow is not None:
        filters["Workflow"] = [workflow if isinstance(workflow, str) else workflow.workflow_rid]
    if workflow_type is not None:
        of_type = _workflows_of_type(session, workflow_type)
        filters["Workflow"] = [rid for rid in of_type if rid in filters.get("Workflow", of_type)]
    if dataset is not None:
        filters["RID"] = _users_of(session, dataset)
    if rids is not None:
        known = {rows.normal_rid(rid) for rid in rids}
        filters["RID"] = sorted(known.intersection(filters.get("RID", known)))
    if status is not None:
        filters["Status"] = _stored_words(session, as_status(status))
    if since is not None or until is not None:
        filters["RCT"] = Between(since and since.isoformat(), until and until.isoformat())
    if any(value == [] for value in filters.values()):
        return
    table = session.model.ml_table("Execution")
    if "RID" in filters:  # these may need several requests, which no server can sort together
        some = sorted(rows.select(session, table, filters), key=lambda row: str(row["RCT"]), reverse=True)
        found: Iterable[dict[str, Any]] = some[:limit]
    else:
        found = rows.select(session, table, filters, sort=("-RCT",), limit=limit)
    yield from (ExecutionRecord.from_row(catalog, row) for row in found)


def _workflows_of_type(session: CatalogSession, workflow_type: str) -> list[str]:
    term = session.vocabularies.lookup(session.model.ml_table("Workflow_Type"), workflow_type)
    links = rows.select(session, session.model.ml_table("Workflow_Workflow_Type"), {"Workflow_Type": term.name})
    return sorted({row["Workflow"] for row in links})


def _users_of(session: CatalogSession, dataset: str) -> list[str]:
    links: Iterable[dict[str, Any]] = rows.select(
        session, session.model.ml_table("Dataset_Execution"), {"Dataset": rows.normal_rid(dataset)}
    )
    return sorted({row["Execution"] for row in links})


def _stored_words(session: CatalogSession, status: Status) -> list[str]:
    """Every word of this catalog that we read as the status."""
    generation = session.model.generation
    words = {generation.status_word(status.value), *generation.readings, *(s.value for s in Status)}
    return sorted(word for word in words if generation.read_status(word) == status.value)

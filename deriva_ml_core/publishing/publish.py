"""What is published, in which order, and that it has arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.links import AssetLink, asset_links
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.members import nested_datasets
from deriva_ml_core.datasets.reach import DATASET, element_types
from deriva_ml_core.errors import ChecksumMismatch, DerivaMLValidationError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.durations import duration_text
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.states import Status
from deriva_ml_core.publishing.copying import Copier
from deriva_ml_core.publishing.datasets import copy_datasets
from deriva_ml_core.publishing.mapping import RidMapping
from deriva_ml_core.publishing.tables import create_tables, needed_tables
from deriva_ml_core.workflows import registry

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

Row = dict[str, Any]
_DONE = (Status.uploaded, Status.failed, Status.aborted)


@dataclass(frozen=True, slots=True)
class Published:
    """
    What was done.

    Args:
        executions: RID here -> RID there, children of those that were named among them.
        made: table -> how many rows were new; empty where all of it was there.
        mapping: the file that knows every RID.
    """

    executions: Mapping[str, str]
    made: Mapping[str, int]
    files: int
    bytes: int
    mapping: Path


def publish(
    source: CatalogSession,
    target: CatalogSession,
    rids: Sequence[str],
    working_dir: Path,
    *,
    create_missing_tables: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Published:
    """
    Copy executions, with children, workflows, inputs, outputs and datasets. May be repeated, and interrupted anywhere.

    Args:
        working_dir: of the source; the mapping of RIDs is kept there.
        create_missing_tables: define in the target the project's tables that it lacks; without it they are refused.
        say: hears of each step.

    Raises:
        DerivaMLExecutionNotFound: a RID is no execution's.
        DerivaMLValidationError: an execution has not ended, the target lacks tables, or it is the source; nothing has
            been written.
        DerivaMLUploadError: a file could not be copied; repeat, and it goes on there.
        ChecksumMismatch: the target does not have what was sent.
    """
    if (source.base_url, source.catalog_id) == (target.base_url, target.catalog_id):
        raise DerivaMLValidationError(f"catalog {source.catalog_id} of {source.hostname} is where they are already")
    executions = _executions(source, rids)
    copier = Copier(source, target, RidMapping.between(working_dir, target))
    links = asset_links(source, executions=executions)
    used = list(rows.select(source, source.model.ml_table("Dataset_Execution"), {"Execution": sorted(executions)}))
    made = list(rows.select(source, source.model.ml_table("Dataset_Version"), {"Execution": sorted(executions)}))
    datasets = {row["Dataset"] for row in (*used, *made)}
    tables = needed_tables(source, _tables(source, links, datasets))
    if create_missing_tables:
        for table in create_tables(source, target, tables):
            say(f"made table {table}")
    copier.require_tables(tables)
    with copier.mapping.locked():
        say(f"{len(executions)} executions with {len({link.rid for link in links})} files, {len(datasets)} datasets")
        _copy_workflows(copier, executions.values())
        _copy_executions(copier, executions)
        say("files")
        _copy_assets(copier, links)
        if datasets:
            say("datasets")
            versions = {row["Dataset_Version"] for row in used if row.get("Dataset_Version")}
            copy_datasets(copier, datasets, versions | {row["RID"] for row in made})
            _link_datasets(copier, used)
        _verify(copier, executions, links)
    return Published(
        {rid: copier.mapping[rid] for rid in executions},
        {table: count for table, count in copier.made.items() if count},
        copier.files,
        copier.bytes,
        copier.mapping.path,
    )


def _executions(source: CatalogSession, rids: Sequence[str]) -> dict[str, ExecutionRecord]:
    """Those that are named, and all below them, by RID; all of them have ended."""
    wanted: dict[str, None] = {}
    for rid in rids:
        known = lookup_execution(source, rid).execution_rid
        wanted.update(dict.fromkeys([known, *nesting.relatives(source, known, "children", recurse=True)]))
    found = rows.select_by_rids(source, source.model.ml_table("Execution"), wanted)
    records = {rid: ExecutionRecord.from_row(source, found[rid]) for rid in wanted if rid in found}
    open_ = [f"{rid} is {record.status.value}" for rid, record in records.items() if record.status not in _DONE]
    if open_:
        raise DerivaMLValidationError("executions that have not ended can't be published", open_)
    return records


def _tables(source: CatalogSession, links: Iterable[AssetLink], datasets: Iterable[str]) -> list[Table]:
    """The tables that rows will go to, as far as deriva-ml's own do not say."""
    model = source.model
    found = [model.table(tuple(name.split(":", 1))) for name in sorted({link.table for link in links})]  # type: ignore[arg-type]
    if datasets:
        every = sorted(nested_datasets(source, datasets))
        for element in element_types(model).values():
            if element.table.name != DATASET and any(
                rows.select(source, element.link, {element.dataset_column: every}, limit=1)
            ):
                found += [element.table, element.link]
    return found


def _copy_workflows(copier: Copier, executions: Iterable[ExecutionRecord]) -> None:
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
    types = list(rows.select(source, model.ml_table("Workflow_Workflow_Type"), {"Workflow": rids}))
    copier.add_terms(model.ml_table("Workflow_Type"), {row["Workflow_Type"] for row in types})
    copier.link(model.ml_table("Workflow_Workflow_Type"), types, {"Workflow": table, "Workflow_Type": None})


def _copy_executions(copier: Copier, executions: Mapping[str, ExecutionRecord]) -> None:
    """In the words of the target's generation; then who is whose child."""
    table = copier.source.model.ml_table("Execution")
    generation = copier.target.model.generation
    wanted: dict[str, Row] = {}
    for rid, record in executions.items():
        columns = {generation.duration_column(phase): duration_text(s) for phase, s in record.durations.items()}
        wanted[rid] = {
            "Workflow": copier.mapping[record.workflow_rid] if record.workflow_rid else None,
            "Description": record.description,
            "Status": generation.status_word(record.status.value),
            "Status_Detail": record.status_detail,
            **{column: text for column, text in columns.items() if column is not None},
        }
    copier.put(table, wanted)
    links = [
        {"Execution": link.parent, "Nested_Execution": link.child, "Sequence": link.sequence}
        for link in nesting.neighbours(copier.source, executions, "children")
    ]
    columns_ = {"Execution": table, "Nested_Execution": table, "Sequence": None}
    copier.link(copier.source.model.ml_table("Execution_Execution"), links, columns_)


def _copy_assets(copier: Copier, links: Iterable[AssetLink]) -> None:
    """Rows, objects, types, and the links to executions."""
    source, model = copier.source, copier.source.model
    by_table: dict[str, list[AssetLink]] = {}
    for link in links:
        by_table.setdefault(link.table, []).append(link)
    for name, some in sorted(by_table.items()):
        table = model.table(tuple(name.split(":", 1)))  # type: ignore[arg-type]
        rids = sorted({link.rid for link in some})
        copier.copy(table, rows.select_by_rids(source, table, rids))
        kind = model.type_link(table)
        types = list(rows.select(source, kind.table, {kind.near_column: rids}))
        copier.add_terms(kind.far, {row[kind.far_column] for row in types})
        copier.link(kind.table, types, {kind.near_column: table, kind.far_column: None})
        use = model.execution_link(table)
        uses = [{use.near_column: one.rid, use.far_column: one.execution, "Asset_Role": one.role} for one in some]
        copier.link(use.table, uses, {use.near_column: table, use.far_column: use.far, "Asset_Role": None})


def _link_datasets(copier: Copier, used: Sequence[Row]) -> None:
    """Which execution used which version."""
    model = copier.source.model
    columns = {
        "Dataset": model.ml_table(DATASET),
        "Execution": model.ml_table("Execution"),
        "Dataset_Version": model.ml_table("Dataset_Version"),
    }
    copier.link(model.ml_table("Dataset_Execution"), used, columns)


def _verify(copier: Copier, executions: Iterable[str], links: Sequence[AssetLink]) -> None:
    """Ask the target for what should be there now: every execution, and every file with its checksum and length."""
    table = copier.target_table(copier.source.model.ml_table("Execution"))
    there = rows.select_by_rids(copier.target, table, [copier.mapping[rid] for rid in executions], columns=["RID"])
    wrong = [f"execution {rid}" for rid in executions if copier.mapping[rid] not in there]
    for name in sorted({link.table for link in links}):
        some = {link.rid: link for link in links if link.table == name}
        assets = copier.target_table(copier.source.model.table(tuple(name.split(":", 1))))  # type: ignore[arg-type]
        rids = [copier.mapping[rid] for rid in some]
        found = rows.select_by_rids(copier.target, assets, rids, columns=["RID", "MD5", "Length"])
        for rid, link in some.items():
            row = found.get(copier.mapping[rid], {})
            if (row.get("MD5"), row.get("Length")) != (link.md5, link.size_bytes):
                wrong.append(f"{link.name} ({name} {rid})")
    if wrong:
        raise ChecksumMismatch(
            f"catalog {copier.target.catalog_id} of {copier.target.hostname} does not have what was sent: "
            f"{', '.join(wrong[:5])}; repeat the command"
        )

"""What is published, in which order, and that it has arrived."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.links import AssetLink, asset_links
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.members import nested_datasets
from deriva_ml_core.datasets.reach import DATASET, element_types
from deriva_ml_core.errors import ChecksumMismatch, DerivaMLValidationError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.states import Status
from deriva_ml_core.publishing.copying import Copier
from deriva_ml_core.publishing.datasets import copy_datasets
from deriva_ml_core.publishing.features import copy_values, feature_tables, values_of_executions
from deriva_ml_core.publishing.mapping import RidMapping
from deriva_ml_core.publishing.origins import Origins, began, is_origin_file
from deriva_ml_core.publishing.rights import require_rights
from deriva_ml_core.publishing.runs import copy_runs, link_children
from deriva_ml_core.publishing.tables import create_tables, needed_tables

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.features import Feature

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
    origins = Origins(source, target)
    copier = Copier(source, target, RidMapping.between(working_dir, target, (began(target), began(source))), origins)
    links = [link for link in asset_links(source, executions=executions) if not is_origin_file(link.name)]
    used = list(rows.select(source, source.model.ml_table("Dataset_Execution"), {"Execution": sorted(executions)}))
    made = list(rows.select(source, source.model.ml_table("Dataset_Version"), {"Execution": sorted(executions)}))
    values = values_of_executions(source, executions)
    datasets = {row["Dataset"] for row in (*used, *made)} | _datasets_spoken_of(source, values)
    _require_tables(copier, _tables(source, executions, links, datasets), create=create_missing_tables, say=say)
    with copier.mapping.locked():
        origins.learn(copier.mapping)
        say(f"{len(executions)} executions with {len({link.rid for link in links})} files, {len(datasets)} datasets")
        copy_runs(copier, executions)
        origins.link(copier.mapping[next(iter(executions))])
        link_children(copier, executions)
        say("files")
        _copy_assets(copier, links)
        if datasets:
            say("datasets")
            versions = {row["Dataset_Version"] for row in used if row.get("Dataset_Version")}
            copy_datasets(copier, datasets, versions | {row["RID"] for row in made})
            _link_datasets(copier, used)
        for feature, said in values:
            say(f"{len(said)} values of {feature.feature_name}")
            copy_values(copier, feature, said)
        origins.link(copier.mapping[next(iter(executions))])
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


def _tables(
    source: CatalogSession, executions: Collection[str], links: Iterable[AssetLink], datasets: Iterable[str]
) -> list[Table]:
    """The tables that rows will go to, as far as deriva-ml's own do not say."""
    model = source.model
    found = [model.table(tuple(name.split(":", 1))) for name in sorted({link.table for link in links})]  # type: ignore[arg-type]
    members: list[Table] = []
    if datasets:
        every = sorted(nested_datasets(source, datasets))
        for element in element_types(model).values():
            if element.table.name != DATASET and any(
                rows.select(source, element.link, {element.dataset_column: every}, limit=1)
            ):
                members.append(element.table)
                found += [element.table, element.link]
    return found + feature_tables(source, executions, members)


def _require_tables(copier: Copier, tables: Iterable[Table], *, create: bool, say: Callable[[str], None]) -> None:
    """Those that the target lacks are made, or all named in a refusal."""
    needed = needed_tables(copier.source, tables)
    require_rights(copier.target, (copier.target_table(table) for table in needed if copier.has_target(table)))
    if create:
        for table in create_tables(copier.source, copier.target, needed):
            say(f"made table {table}")
    copier.require_tables(needed)


def _datasets_spoken_of(source: CatalogSession, values: Iterable[tuple[Feature, list[Row]]]) -> set[str]:
    """Datasets about which an execution said something."""
    dataset = source.model.ml_table(DATASET)
    return {row[feature.target_column] for feature, said in values if feature.target_table == dataset for row in said}


def _copy_assets(copier: Copier, links: Iterable[AssetLink]) -> None:
    """Rows, objects, types, and the links to executions."""
    source, model = copier.source, copier.source.model
    by_table: dict[str, list[AssetLink]] = {}
    for link in links:
        by_table.setdefault(link.table, []).append(link)
    for name, some in sorted(by_table.items()):
        table = model.table(tuple(name.split(":", 1)))  # type: ignore[arg-type]
        copier.copy(table, rows.select_by_rids(source, table, sorted({link.rid for link in some})))
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

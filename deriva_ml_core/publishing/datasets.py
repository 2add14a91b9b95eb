"""
Datasets into another catalog, version by version: a version is a snapshot, and the target has snapshots of its own.

Versions are made there in the order in which they were made here: members become what the version had, then the version
is released (history.py says how). Copied are the versions that the executions used or made, and the present one.
A member's row is as the first of these versions had it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.members import nested_datasets
from deriva_ml_core.datasets.reach import DATASET, ElementType, element_types

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.publishing.copying import Copier

Row = dict[str, Any]


def copy_datasets(copier: Copier, datasets: Iterable[str], versions: Iterable[str]) -> None:
    """
    Datasets with their nested ones, types, members, and versions.

    Args:
        versions: RIDs of those to copy, besides the present one of each.
    """
    source, model = copier.source, copier.source.model
    wanted = sorted(nested_datasets(source, datasets))
    table, version_table = model.ml_table(DATASET), model.ml_table("Dataset_Version")
    found = rows.select_by_rids(source, table, wanted)
    copier.put(table, {rid: {"Description": row.get("Description")} for rid, row in found.items()})
    types = list(rows.select(source, model.ml_table("Dataset_Dataset_Type"), {"Dataset": wanted}))
    copier.add_terms(model.ml_table("Dataset_Type"), {row["Dataset_Type"] for row in types})
    copier.link(model.ml_table("Dataset_Dataset_Type"), types, {"Dataset": table, "Dataset_Type": None})
    needed = {*versions, *(row["Version"] for row in found.values() if row.get("Version"))}
    known = rows.select(source, version_table, {"Dataset": wanted})
    for version in sorted((row for row in known if row["RID"] in needed), key=lambda row: str(row["RCT"])):
        _copy_version(copier, version)
    _deleted(copier, found.values())


def _copy_version(copier: Copier, version: Row) -> None:
    """Nothing is done for one that the target has, whole."""
    target = copier.target
    table = copier.source.model.ml_table("Dataset_Version")
    there = copier.target_table(table)
    done = copier.mapping.get(version["RID"])
    stored = rows.select_by_rids(target, there, [done]).get(done) if done else None
    if stored and stored.get("Snapshot"):
        return
    at = copier.source.at(version["Snapshot"]) if version.get("Snapshot") else copier.source
    for dataset in sorted(nested_datasets(at, [version["Dataset"]])):
        _sync_members(copier, at, dataset)
    execution = copier.mapping.get(version["Execution"]) if version.get("Execution") else None
    row = {
        "Dataset": copier.mapping[version["Dataset"]],
        "Version": version["Version"],
        "Description": version.get("Description"),
        "Execution": execution,
    }
    copier.put(table, {version["RID"]: row})
    made = copier.mapping[version["RID"]]
    rows.update(
        target, copier.target_table(copier.source.model.ml_table(DATASET)), [{"RID": row["Dataset"], "Version": made}]
    )
    rows.update(target, there, [{"RID": made, "Snapshot": target.latest_snaptime()}])


def _sync_members(copier: Copier, at: CatalogSession, dataset: str) -> None:
    """Make the members in the target those of the source at that moment."""
    if copier.mapping.get(dataset) is None:  # nested then, and not any more
        table = copier.source.model.ml_table(DATASET)
        copier.put(
            table, {dataset: {"Description": rows.select_by_rids(at, table, [dataset])[dataset].get("Description")}}
        )
    for element in element_types(copier.source.model).values():
        if not at.model.has_table((element.link.schema, element.link.name)):
            continue  # became possible later
        members = [
            row[element.member_column] for row in rows.select(at, element.link, {element.dataset_column: dataset})
        ]
        if members and element.table.name != DATASET:
            copier.copy(element.table, rows.select_by_rids(at, element.table, members))
        _relink(copier, element, dataset, members)


def _relink(copier: Copier, element: ElementType, dataset: str, members: list[str]) -> None:
    if not copier.target.model.has_table((copier.target_table(element.link).schema, element.link.name)):
        return
    there = copier.target_table(element.link)
    filters = {element.dataset_column: copier.mapping[dataset]}
    present = {row[element.member_column]: row["RID"] for row in rows.select(copier.target, there, filters)}
    wanted = {copier.mapping[rid] for rid in members if copier.mapping.get(rid) is not None}
    rows.delete(copier.target, there, [rid for member, rid in present.items() if member not in wanted])
    links = [{**filters, element.member_column: member} for member in sorted(wanted - present.keys())]
    if links:
        rows.insert(copier.target, there, links, skip_existing=True)


def _deleted(copier: Copier, found: Iterable[Row]) -> None:
    """A dataset that was deleted is so there, once its versions are."""
    table = copier.target_table(copier.source.model.ml_table(DATASET))
    gone = [copier.mapping[row["RID"]] for row in found if row.get("Deleted")]
    known = rows.select_by_rids(copier.target, table, gone) if gone else {}
    if changed := [{"RID": rid, "Deleted": True} for rid, row in known.items() if not row.get("Deleted")]:
        rows.update(copier.target, table, changed)

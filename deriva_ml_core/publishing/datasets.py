"""
Datasets into another catalog, version by version: a version is a snapshot, and the target has snapshots of its own.

Versions are made there in the order in which they were made here: members become what the version had, then the version
is released (history.py says how). Copied are the versions that the executions used or made, and the present one.
A member's row is as the first of these versions had it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.members import nested_datasets
from deriva_ml_core.datasets.reach import DATASET, ElementType, element_types
from deriva_ml_core.publishing.features import copy_values_of_members

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
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
    _put_datasets(copier, table, found)
    copier.link_terms(model.association(table, model.ml_table("Dataset_Type")), wanted)
    _copy_folders(copier, table, wanted)
    needed = {*versions, *(row["Version"] for row in found.values() if row.get("Version"))}
    known = rows.select(source, version_table, {"Dataset": wanted})
    for version in sorted((row for row in known if row["RID"] in needed), key=lambda row: str(row["RCT"])):
        _copy_version(copier, version)
    _deleted(copier, found.values())


def _put_datasets(copier: Copier, table: Table, found: Mapping[str, Row]) -> None:
    wanted = {rid: {"Description": row.get("Description")} for rid, row in found.items()}
    copier.put(table, wanted, is_found_again=False)


def _copy_folders(copier: Copier, table: Table, datasets: Iterable[str]) -> None:
    """The folders for which datasets stand, where both generations know of such."""
    folders = copier.source.model.tables.get((copier.source.model.ml_schema, "Directory_Dataset"))
    if folders is not None and copier.has_target(folders):
        found = list(rows.select(copier.source, folders, {"Dataset": sorted(datasets)}))
        copier.link(folders, found, {"Dataset": table, "Path": None})


def _copy_version(copier: Copier, version: Row) -> None:
    """Nothing is done for one that the target has, whole."""
    target = copier.target
    table = copier.source.model.ml_table("Dataset_Version")
    there = copier.target_table(table)
    stored = _find_version(copier, there, version)
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
    copier.put(table, {version["RID"]: row}, is_found_again=True)
    made = copier.mapping[version["RID"]]
    rows.update(
        target, copier.target_table(copier.source.model.ml_table(DATASET)), [{"RID": row["Dataset"], "Version": made}]
    )
    rows.update(target, there, [{"RID": made, "Snapshot": target.latest_snaptime()}])


def _find_version(copier: Copier, there: Table, version: Row) -> Row | None:
    """The target's, by the dataset and its number."""
    key = {"Dataset": copier.mapping[version["Dataset"]], "Version": version["Version"]}
    stored = next(rows.select(copier.target, there, key), None)
    if stored is not None:
        copier.mapping.add(str(there), {version["RID"]: stored["RID"]})
    return stored


def _sync_members(copier: Copier, at: CatalogSession, dataset: str) -> None:
    """Make the members in the target those of the source at that moment."""
    if copier.mapping.get(dataset) is None:  # nested then, and not any more
        table = copier.source.model.ml_table(DATASET)
        _put_datasets(copier, table, rows.select_by_rids(at, table, [dataset]))
    for element in element_types(copier.source.model).values():
        if not at.model.has_table((element.link.schema, element.link.name)):
            continue  # became possible later
        members = [
            row[element.member_column] for row in rows.select(at, element.link, {element.dataset_column: dataset})
        ]
        if members and element.table.name != DATASET:
            copier.copy(element.table, rows.select_by_rids(at, element.table, members))
            copy_values_of_members(copier, at, element.table, members)
        _relink(copier, element, dataset, members)


def _relink(copier: Copier, element: ElementType, dataset: str, members: list[str]) -> None:
    if not copier.has_target(element.link):
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

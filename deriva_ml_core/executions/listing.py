"""One execution as a document for people and scripts: `deriva-ml-executions show`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.assets_of import LinkedAsset, linked_assets
from deriva_ml_core.executions.hydra_facts import told_overrides
from deriva_ml_core.executions.journal import JournalEntry, executions_folder, read_entry
from deriva_ml_core.executions.owner import slurm_job
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.recorder import parse_times

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Document = dict[str, Any]


def show_document(session: CatalogSession, working_dir: Path, rid: str) -> Document:
    """
    All that is known of one execution: its row, its journal where this working folder has one, and what hangs on it.

    Raises:
        DerivaMLExecutionNotFound: there is none of this RID.
    """
    record = lookup_execution(session, rid)
    rid = record.execution_rid
    assets = linked_assets(session, rid)
    folder = executions_folder(working_dir) / rid
    entry = read_entry(folder)
    workflows = workflow_rows(session, [record.workflow_rid] if record.workflow_rid else [])
    return {
        **summary(record, workflows),
        "description": record.description,
        "url": None if session.is_embedded else session.record_url(rid),
        "workflow": _workflow(session, record, workflows),
        **(_times(entry) if not entry.damaged else _recorded_times(assets)),
        "inputs": {"datasets": _datasets(session, rid), "assets": _assets(assets, "Input")},
        "outputs": _assets(assets, "Output"),
        "parents": _relatives(session, rid, "parents"),
        "children": _relatives(session, rid, "children"),
        "folder": str(folder) if folder.is_dir() else None,
        "not_in_catalog": sorted(entry.pending),
    }


def summary(record: ExecutionRecord, workflows: Mapping[str, Mapping[str, Any]]) -> Document:
    """What a list says of an execution."""
    description = (record.description or "").strip().splitlines()
    return {
        "rid": record.execution_rid,
        "status": record.status.value,
        "status_detail": record.status_detail,
        "description": description[0] if description else "",
        "workflow": workflows.get(record.workflow_rid or "", {}).get("Name"),
        "created": record.created,
        "durations": record.durations,
    }


# --- parts ------------------------------------------------------------------------------------------------------------


def workflow_rows(session: CatalogSession, rids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of workflows, by RID."""
    wanted = list(rids)
    return rows.select_by_rids(session, session.model.ml_table("Workflow"), wanted) if wanted else {}


def workflow_types(session: CatalogSession, rids: Iterable[str]) -> dict[str, list[str]]:
    """The types of workflows, in alphabetical order, by RID."""
    types: dict[str, list[str]] = {rid: [] for rid in rids}
    if types:
        links = session.model.ml_table("Workflow_Workflow_Type")
        for link in rows.select(session, links, {"Workflow": sorted(types)}):
            types[link["Workflow"]].append(link["Workflow_Type"])
    return {rid: sorted(names) for rid, names in types.items()}


def _workflow(
    session: CatalogSession, record: ExecutionRecord, workflows: Mapping[str, Mapping[str, Any]]
) -> Document | None:
    row = workflows.get(record.workflow_rid or "")
    if row is None:
        return None
    types = workflow_types(session, [row["RID"]])[row["RID"]]
    named = {name.lower(): row.get(name) for name in ("Name", "URL", "Checksum", "Version")}
    return {"rid": row["RID"], "types": types, **named}


def _datasets(session: CatalogSession, rid: str) -> list[Document]:
    links = list(rows.select(session, session.model.ml_table("Dataset_Execution"), {"Execution": rid}))
    wanted = [link["Dataset_Version"] for link in links if link.get("Dataset_Version")]
    table = session.model.ml_table("Dataset_Version")
    versions = rows.select_by_rids(session, table, wanted) if wanted else {}
    return [
        {"rid": link["Dataset"], "version": versions.get(link.get("Dataset_Version") or "", {}).get("Version")}
        for link in sorted(links, key=lambda link: str(link["Dataset"]))
    ]


def _assets(linked: Iterable[LinkedAsset], role: str) -> list[Document]:
    return [
        {
            "rid": asset.rid,
            "table": f"{asset.schema}/{asset.table}",
            "file": asset.row.get("Filename"),
            "bytes": asset.row.get("Length"),
            "md5": asset.row.get("MD5"),
            "url": asset.row.get("URL"),
        }
        for asset in (one.asset for one in linked if one.role == role)
    ]


def _relatives(session: CatalogSession, rid: str, direction: nesting.Direction) -> list[Document]:
    links = nesting.neighbours(session, [rid], direction)
    far = [link.child if direction == "children" else link.parent for link in links]
    known = rows.select_by_rids(session, session.model.ml_table("Execution"), far) if far else {}
    records = {one: ExecutionRecord.from_row(session, row) for one, row in known.items()}
    return [
        {"rid": one, "sequence": link.sequence, **_relative(records[one])}
        for one, link in zip(far, links, strict=True)
        if one in records
    ]


def _relative(record: ExecutionRecord) -> Document:
    told = {name: value for name, value in summary(record, {}).items() if name not in ("rid", "workflow", "created")}
    return {**told, "overrides": told_overrides(told["description"])}


# --- when -------------------------------------------------------------------------------------------------------------


def _times(entry: JournalEntry) -> Document:
    """From the journal."""
    owner = entry.owner
    return {
        "start_time": _text(entry.start_time),
        "stop_time": _text(entry.stop_time),
        "host": owner.host if owner else None,
        "slurm_job_id": slurm_job(entry.slurm),
        "slurm": dict(entry.slurm),
        "restarts": entry.restarts,
    }


def _recorded_times(linked: Iterable[LinkedAsset]) -> Document:
    """From the environment snapshot in the catalog; empty where the run has not stopped or its release says nothing."""
    descriptions = (one.asset.row.get("Description") for one in linked if one.role == "Output")
    start, stop = next((times for text in descriptions if (times := parse_times(text))), (None, None))
    return {"start_time": start, "stop_time": stop, "host": None, "slurm_job_id": None, "slurm": {}, "restarts": None}


def _text(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time else None

"""Tells plugins what happens to an execution. None of them can change it: a failure is reported, and that is all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.hookvalues import CommittedOutput, ExecutionFacts, InputFile
from deriva_ml_core.plugins import Plugins

if TYPE_CHECKING:
    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.executions.journal import Journal, JournalEntry
    from deriva_ml_core.executions.opening import Opened


def facts_of(entry: JournalEntry, folder: Path) -> ExecutionFacts:
    """An execution as its journal has it."""
    return ExecutionFacts(
        rid=entry.rid,
        hostname=entry.hostname,
        catalog_id=entry.catalog_id,
        status=entry.status.value,
        folder=folder,
        description=entry.description or "",
        detail=entry.detail,
        workflow_rid=entry.workflow_rid,
        workflow_name=entry.workflow_name,
        parent=entry.parent,
        sequence=entry.sequence,
        durations=dict(entry.durations),
    )


def tell(plugins: Plugins, hook: str, journal: Journal, **more: Any) -> None:
    """Call an observers' hook with the execution as it is now."""
    if plugins.implements(hook):
        plugins.gather(hook, execution=facts_of(journal.entry, journal.folder), **more)


def tell_inputs_ready(plugins: Plugins, opened: Opened) -> None:
    """All inputs are on disk."""
    assets = [InputFile(Path(p), table, p.asset_rid) for table, paths in opened.asset_paths.items() for p in paths]
    datasets = [f"{bag.dataset_rid}@{bag.current_version}" for bag in opened.bags]
    tell(plugins, "deriva_inputs_ready", opened.recorder.journal, assets=assets, datasets=datasets)


def tell_committed(plugins: Plugins, journal: Journal, report: UploadReport) -> None:
    """Outputs are in the catalog; nothing is told where none came."""
    outputs = [
        CommittedOutput(path.asset_rid, table, path.file_name, Path(path), tuple(path.asset_types))
        for table, paths in report.assets.items()
        for path in paths
        if path.asset_rid is not None
    ]
    if outputs:
        tell(plugins, "deriva_outputs_committed", journal, outputs=outputs)


def tell_ended(plugins: Plugins, journal: Journal) -> None:
    """It has an end."""
    entry = journal.entry
    error = entry.detail if entry.status.value in ("Failed", "Aborted") else None
    tell(plugins, "deriva_execution_ended", journal, error=error)

"""The executions that have a folder below a working folder, from their journals: nothing is asked of a catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deriva_ml_core.executions.journal import JournalEntry, read_journals
from deriva_ml_core.executions.pending import waiting_of
from deriva_ml_core.executions.states import as_status

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def list_executions(
    working_dir: Path, *, status: Any = None, workflow_rid: str | None = None, since: datetime | None = None
) -> list[JournalEntry]:
    """
    What the journals say, the newest first; one that can't be read comes last, marked `damaged`.

    Args:
        status: only those of this status, or these.
        since: only those made then or later; a time without a zone is this machine's.

    Raises:
        InvalidTransitionError: no such status.
    """
    words = status if isinstance(status, list | tuple | set | frozenset) else () if status is None else (status,)
    wanted = {as_status(word) for word in words}
    found = [
        entry
        for _, entry in read_journals(working_dir)
        if (not wanted or entry.status in wanted)
        and workflow_rid in (None, entry.workflow_rid)
        and (since is None or _made(entry) >= since.astimezone())
    ]
    return sorted(found, key=_made, reverse=True)


def incomplete_executions(working_dir: Path) -> list[JournalEntry]:
    """Those whose record has no end yet, or of which something is not in the catalog, the newest first."""
    found = [
        entry
        for folder, entry in read_journals(working_dir)
        if not entry.damaged and (entry.unfinished or entry.pending or waiting_of(folder, entry) is not None)
    ]
    return sorted(found, key=_made, reverse=True)


def _made(entry: JournalEntry) -> datetime:
    return entry.changes[0].at if entry.changes else _LONG_AGO

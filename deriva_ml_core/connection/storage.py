"""The part of DerivaML that knows what is on this disk: caches, executions' folders, outputs that wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.executions.journal import JournalEntry
    from deriva_ml_core.executions.pending import Waiting

_MIB = 2**20


class StorageMethods(HasSession):
    """Mixin of DerivaML."""

    working_dir: Path

    # --- executions, by their journals ---------------------------------------------------------------------------

    def list_executions(
        self, status: Any = None, workflow_rid: str | None = None, mode: str = "online", since: datetime | None = None
    ) -> list[JournalEntry]:
        """
        The executions that have a folder in this working folder, the newest first; the catalog is not asked.

        Args:
            status: only those of this status, or these.
            mode: "online"; there are no others, so that "offline" gives none.
            since: only those made then or later.

        Raises:
            InvalidTransitionError: no such status.
        """
        from deriva_ml_core.executions.local_list import list_executions

        if mode != "online":
            return []
        return list_executions(self.working_dir, status=status, workflow_rid=workflow_rid, since=since)

    def find_incomplete_executions(self) -> list[JournalEntry]:
        """Those of this working folder whose record has no end, or of which something is not in the catalog."""
        from deriva_ml_core.executions.local_list import incomplete_executions

        return incomplete_executions(self.working_dir)

    # --- outputs that wait --------------------------------------------------------------------------------------

    def pending_summary(self) -> list[Waiting]:
        """The executions of this working folder of which something is not in the catalog: how many files, of what."""
        from deriva_ml_core.executions.pending import waiting

        return waiting(self.working_dir)

    def commit_pending_executions(
        self, execution_rids: Iterable[str] | None = None, clean_folder: bool = False
    ) -> UploadReport:
        """
        Upload what executions have left on disk; one's trouble leaves the others alone and stands in `errors`.

        Args:
            execution_rids: these; all whose model came to its end, where None.
            clean_folder: remove the files once all of an execution's are in the catalog.
        """
        from deriva_ml_core.assets.progress import UploadReport
        from deriva_ml_core.executions.pending import finish_all

        chosen = execution_rids
        if chosen is None:
            chosen = [one.rid for one in self.pending_summary() if one.finished and not one.alive]
        total = UploadReport()
        for rid, outcome in finish_all(self, chosen, clean_folder=clean_folder):  # type: ignore[arg-type]  # a DerivaML
            if isinstance(outcome, UploadReport):
                total.add(outcome)
            else:
                total.errors.append(f"{rid}: {outcome}")
        return total

    upload_pending = commit_pending_executions

    # --- executions' folders ------------------------------------------------------------------------------------

    def list_execution_dirs(self) -> list[dict[str, Any]]:
        """The folders of executions: RID, path, status, what they hold and what of it is not in the catalog."""
        from deriva_ml_core.executions.local_storage import execution_folders

        return [folder.document() for folder in execution_folders(self.working_dir)]

    def clean_execution_dirs(
        self, older_than_days: float | None = None, exclude_rids: Collection[str] | None = None
    ) -> dict[str, int]:
        """
        Remove the folders of executions that are wholly in the catalog.

        Returns:
            `dirs_removed`, `bytes_freed`, `errors`, and `kept`: those that run, or have outputs that are nowhere else.
        """
        from deriva_ml_core.executions.local_storage import clean_execution_dirs

        return clean_execution_dirs(self.working_dir, older_than_days=older_than_days, exclude_rids=exclude_rids or ())

    def gc_executions(
        self, older_than: timedelta | float | None = None, status: Any = None, delete_working_dir: bool = False
    ) -> int:
        """
        Tidy executions that are wholly in the catalog; how many there were.

        Args:
            older_than: only those last written before so long (days, where it is a number).
            status: only those of this status, or these.
            delete_working_dir: remove the whole folder; else only what comes again: downloaded inputs.
        """
        from deriva_ml_core.executions.local_storage import gc_executions

        return gc_executions(
            self.working_dir, older_than=older_than, status=status, delete_working_dir=delete_working_dir
        )

    # --- caches -------------------------------------------------------------------------------------------------

    def get_cache_size(self) -> dict[str, int | float]:
        """How much the cache takes on disk: total_bytes, total_mb, file_count, dir_count."""
        from deriva_ml_core.assets.storage import cache_size

        size = cache_size(self.cache_dir)
        return {**asdict(size), "total_mb": round(size.total_bytes / _MIB, 3)}

    def clear_cache(self, older_than_days: float | None = None) -> dict[str, int]:
        """Delete bags and objects from the cache (those unused for so many days); they come again when needed."""
        from deriva_ml_core.assets.storage import clear_cache

        return {**asdict(clear_cache(self.cache_dir, older_than_days=older_than_days)), "errors": 0}

    def get_storage_summary(self) -> dict[str, Any]:
        """Sizes of cache and executions, and how much of it is not in the catalog."""
        from deriva_ml_core.executions.local_storage import storage_summary

        return storage_summary(self.working_dir, self.cache_dir)

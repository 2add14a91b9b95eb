"""Outputs that wait on disk: which executions have them, and how a later command brings them into the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.manner import DEFAULT_MANNER, Manner
from deriva_ml_core.assets.progress import ProgressCallback, UploadReport
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.committing import model_finished
from deriva_ml_core.executions.contributions import require_plugins
from deriva_ml_core.executions.journal import JournalEntry, read_entry, read_journals
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.reopening import require_folder
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.table_rows import waiting_tables

if TYPE_CHECKING:
    from deriva_ml_core.executions.recovery import Reopening

Outcome = tuple[str, UploadReport | DerivaMLException]
"""The RID of an execution, and what its upload did, or why it could not."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    One execution of which something is not in the catalog.

    Args:
        rid, status: of the execution; folder: its own.
        tables: "schema/table" to the number of its files that wait.
        size_bytes: of these files.
        finished: its model came to its end; what a run that failed or was stopped has left waits for whoever wants it.
        alive: its process may still run.
    """

    rid: str
    status: Status
    folder: Path
    tables: dict[str, int]
    size_bytes: int
    finished: bool
    alive: bool = False

    @property
    def files(self) -> int:
        """How many files wait."""
        return sum(self.tables.values())

    def __str__(self) -> str:
        what = (
            ", ".join(f"{count} of {table}" for table, count in sorted(self.tables.items())) or "the end of its record"
        )
        return f"{self.rid} ({self.status.value}): {what}"


def waiting(working_dir: Path, rids: Iterable[str] | None = None) -> list[Waiting]:
    """The executions of a working folder of which something is not in the catalog; those of `rids` where given."""
    wanted = None if rids is None else set(rids)
    found = (
        waiting_of(path, entry) for path, entry in read_journals(working_dir) if wanted is None or entry.rid in wanted
    )
    return [one for one in found if one is not None]


def waiting_of(folder: Path, entry: JournalEntry) -> Waiting | None:
    """
    What of one execution is not in the catalog; None where all is.

    Raises:
        WorkingFolderError: the list of its outputs can't be read.
    """
    staged = Staging(folder).pending()
    written = waiting_tables(folder)
    if not (staged or written) and "uploads" not in entry.pending:
        return None
    tables: dict[str, int] = {}
    for file in staged:
        tables[file.asset.qualified_table] = tables.get(file.asset.qualified_table, 0) + 1
    for name in written:
        tables[f"the rows for {name}"] = 1
    return Waiting(
        entry.rid,
        entry.status,
        folder,
        tables,
        sum(path.stat().st_size for path in (*(file.path for file in staged), *written.values())),
        finished=model_finished(entry),
        alive=entry.owner is not None and entry.owner != this_process() and entry.owner.is_alive is not False,
    )


def finish(
    ml: Reopening,
    rid: str,
    *,
    clean_folder: bool | None = None,
    manner: Manner = DEFAULT_MANNER,
    progress: ProgressCallback | None = None,
) -> UploadReport:
    """
    Upload what one execution has left; one whose process was killed is Failed, and stays it.

    Raises:
        DerivaMLExecutionNotFound: the working folder has none of this RID.
        DerivaMLExecutionError: its process may be alive.
        DerivaMLUploadError: something is not in the catalog yet.
        PluginError: a plugin that the run needed can't be used.
    """
    ml = ml.with_plugins_of(read_entry(require_folder(ml.working_dir, rid)).plugins)
    require_plugins(ml.session.plugins, later=True)
    execution = ml.resume_execution(rid)
    if execution.status in (Status.created, Status.running):
        execution.update_status(Status.failed, error="its process ended without recording an end")
    return execution.commit_output_assets(clean_folder, progress, manner=manner)


def finish_all(
    ml: Reopening,
    rids: Iterable[str],
    *,
    clean_folder: bool | None = None,
    manner: Manner = DEFAULT_MANNER,
    progress: ProgressCallback | None = None,
) -> Iterator[Outcome]:
    """The same for each of these; one execution's trouble leaves the others alone."""
    for rid in rids:
        try:
            yield rid, finish(ml, rid, clean_folder=clean_folder, manner=manner, progress=progress)
        except DerivaMLException as err:
            yield rid, err

"""
What a working folder holds, and making room in it without losing anything.

    running    its process may be alive: never deleted
    waiting    something of it is not in the catalog: deleted only where that is asked for by name
    unnamed    files lie among its outputs that nobody named as one, so they are nowhere else: likewise
    stale      its process is gone and recorded no end, or its journal can't be read: `recover` first
    kept       all of it is in the catalog; its files are a copy
    record     nothing but its journal, which is small and says when the run started and stopped
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.storage import cache_size
from deriva_ml_core.errors import DerivaMLException, DerivaMLExecutionError, WorkingFolderError
from deriva_ml_core.executions.journal import JournalEntry, read_journals
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.pending import Waiting, waiting_of
from deriva_ml_core.executions.states import Status

State = Literal["running", "waiting", "unnamed", "stale", "kept", "record"]
_UNFINISHED = (Status.created, Status.running, Status.stopped)
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class ExecutionFolder:
    """
    One execution's folder.

    Args:
        status: of the execution, as its journal has it; state: of the folder, see the top of this module.
        size_bytes, file_count: all that is in it; links to input files count as what they link to once.
        inputs_bytes: of its downloaded inputs, which come again.
        waiting_files, waiting_bytes: what is not in the catalog; unnamed_files: what will not come there.
        modified: when something in it was last written.
    """

    rid: str
    path: Path
    status: Status
    state: State
    size_bytes: int
    file_count: int
    inputs_bytes: int
    waiting_files: int
    waiting_bytes: int
    unnamed_files: int
    modified: datetime
    hostname: str = ""
    catalog_id: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON; the names of the 1.2 generation's dictionaries among them."""
        return {
            "execution_rid": self.rid,
            "path": str(self.path),
            "status": self.status.value,
            "state": self.state,
            "size_bytes": self.size_bytes,
            "size_mb": round(self.size_bytes / _MIB, 3),
            "file_count": self.file_count,
            "inputs_bytes": self.inputs_bytes,
            "waiting_files": self.waiting_files,
            "waiting_bytes": self.waiting_bytes,
            "unnamed_files": self.unnamed_files,
            "modified": self.modified.isoformat(),
            "hostname": self.hostname,
            "catalog_id": self.catalog_id,
        }


def execution_folders(working_dir: Path) -> list[ExecutionFolder]:
    """All executions of a working folder, sorted by RID."""
    return [_folder(path, entry) for path, entry in read_journals(working_dir)]


def delete_execution(folder: ExecutionFolder, *, discard_outputs: bool = False) -> int:
    """
    Remove an execution's folder; the bytes that it took.

    Args:
        discard_outputs: also where that loses outputs that are not in the catalog.

    Raises:
        DerivaMLExecutionError: its process may be alive, or it has outputs that are nowhere else. Nothing was removed.
    """
    require_deletable(folder, discard_outputs=discard_outputs)
    shutil.rmtree(folder.path, ignore_errors=True)
    return folder.size_bytes


def require_deletable(folder: ExecutionFolder, *, discard_outputs: bool = False) -> None:
    """
    Refuse to delete what would be lost.

    Raises:
        DerivaMLExecutionError: see `delete_execution`.
    """
    if folder.state == "running":
        raise DerivaMLExecutionError(f"execution {folder.rid} may be running: it is not deleted")
    if folder.state == "unnamed" and not discard_outputs:
        raise DerivaMLExecutionError(
            f"execution {folder.rid} is not deleted: {folder.unnamed_files} file(s) in {folder.path / 'assets'} were "
            "never named as outputs; take them out, or --discard-outputs loses them"
        )
    if folder.state in ("waiting", "stale") and not discard_outputs:
        what = f"{folder.waiting_files} file(s) of it are" if folder.waiting_files else "its end is"
        raise DerivaMLExecutionError(
            f"execution {folder.rid} is not deleted: {what} not in the catalog; "
            f"deriva-ml-executions upload {folder.rid} brings that there, --discard-outputs loses it"
        )


def clean_execution_dirs(
    working_dir: Path, *, older_than_days: float | None = None, exclude_rids: Collection[str] = ()
) -> dict[str, int]:
    """Remove the folders of executions that are wholly in the catalog; what is not stays, and counts in `kept`."""
    limit = None if older_than_days is None else datetime.now(UTC) - timedelta(days=older_than_days)
    counts = {"dirs_removed": 0, "bytes_freed": 0, "errors": 0, "kept": 0}
    for folder in execution_folders(working_dir):
        if folder.rid in exclude_rids or (limit is not None and folder.modified > limit):
            continue
        try:
            counts["bytes_freed"] += delete_execution(folder)
        except DerivaMLExecutionError:
            counts["kept"] += 1
            continue
        gone = not folder.path.exists()
        counts["dirs_removed" if gone else "errors"] += 1
    return counts


def gc_executions(
    working_dir: Path,
    *,
    older_than: timedelta | float | None = None,
    status: Any = None,
    delete_working_dir: bool = False,
) -> int:
    """
    Tidy executions that are wholly in the catalog; how many there were.

    Args:
        older_than: only those that were last written before so long (days, where it is a number).
        status: only those of this status, or these.
        delete_working_dir: remove the whole folder; else only what comes again: downloaded inputs.
    """
    age = timedelta(days=older_than) if isinstance(older_than, int | float) else older_than
    limit = None if age is None else datetime.now(UTC) - age
    wanted = None if status is None else {Status(one) for one in ([status] if isinstance(status, str) else status)}
    tidied = 0
    for folder in execution_folders(working_dir):
        if (limit and folder.modified > limit) or (wanted and folder.status not in wanted):
            continue
        if folder.state not in ("kept", "record"):
            continue
        shutil.rmtree(folder.path if delete_working_dir else folder.path / "downloaded-assets", ignore_errors=True)
        tidied += 1
    return tidied


def storage_summary(working_dir: Path, cache_dir: Path) -> dict[str, Any]:
    """Sizes of cache and executions together."""
    cache, folders = cache_size(cache_dir), execution_folders(working_dir)
    executions_bytes = sum(folder.size_bytes for folder in folders)
    return {
        "working_dir": str(working_dir),
        "cache_dir": str(cache_dir),
        "cache_size_mb": round(cache.total_bytes / _MIB, 3),
        "cache_file_count": cache.file_count,
        "execution_dir_count": len(folders),
        "execution_size_mb": round(executions_bytes / _MIB, 3),
        "waiting_files": sum(folder.waiting_files for folder in folders),
        "waiting_mb": round(sum(folder.waiting_bytes for folder in folders) / _MIB, 3),
        "total_size_mb": round((cache.total_bytes + executions_bytes) / _MIB, 3),
    }


def _folder(path: Path, entry: JournalEntry) -> ExecutionFolder:
    sizes = _Sizes(path)
    left = _left(path, entry)
    unnamed = _unnamed(path)
    return ExecutionFolder(
        rid=entry.rid,
        path=path,
        status=entry.status,
        state=_state(entry, left, unnamed, sizes),
        size_bytes=sizes.total,
        file_count=sizes.files,
        inputs_bytes=sizes.inputs,
        waiting_files=left.files if left else 0,
        waiting_bytes=left.size_bytes if left else 0,
        unnamed_files=unnamed,
        modified=datetime.fromtimestamp(sizes.newest, UTC),
        hostname=entry.hostname,
        catalog_id=entry.catalog_id,
    )


def _left(path: Path, entry: JournalEntry) -> Waiting | None:
    try:
        return waiting_of(path, entry)
    except (DerivaMLException, OSError):  # what can't be read is not taken for nothing: see the state "stale"
        return None


def _unnamed(path: Path) -> int:
    try:
        return len(Staging(path).unregistered())
    except WorkingFolderError:  # the list of outputs can't be read: nobody knows which were named
        return 0


def _state(entry: JournalEntry, left: Waiting | None, unnamed: int, sizes: _Sizes) -> State:
    owner = entry.owner
    if entry.status in _UNFINISHED and owner is not None and (owner == this_process() or owner.is_alive is not False):
        return "running"
    if left is not None:
        return "waiting"
    if entry.damaged or entry.status in _UNFINISHED or entry.pending:
        return "stale"
    if unnamed:
        return "unnamed"
    return "record" if sizes.total == sizes.own else "kept"


class _Sizes:
    """What is in a folder; a file with several names counts once."""

    def __init__(self, path: Path) -> None:
        self.total = self.files = self.inputs = self.own = 0
        self.newest = path.stat().st_mtime
        seen: set[tuple[int, int]] = set()
        for file in path.rglob("*"):
            if not file.is_file() or file.is_symlink():  # a link to the user's own file takes nothing here
                continue
            stat = file.stat()
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            self.files += 1
            self.total += stat.st_size
            self.own += stat.st_size * (file.parent == path)
            self.inputs += stat.st_size * (file.relative_to(path).parts[0] == "downloaded-assets")
            self.newest = max(self.newest, stat.st_mtime)

"""What an upload tells while it runs, and when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.errors import DerivaMLException, DerivaMLUploadError


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """
    Where an upload is; sizes in bytes, over all files of it.

    Attributes:
        phase: "Staging" (files are read and hashed), "Uploading", "Uploaded" (the rows are in the catalog).
    """

    file_path: str = ""
    file_name: str = ""
    bytes_completed: int = 0
    bytes_total: int = 0
    percent_complete: float = 0.0
    phase: str = ""
    message: str = ""
    files_completed: int = 0
    files_total: int = 0


ProgressCallback = Callable[[UploadProgress], None]


@dataclass(slots=True)
class TableCount:
    """How many files of one table were uploaded and how many were not."""

    uploaded: int = 0
    failed: int = 0


@dataclass(slots=True)
class UploadReport:
    """
    What an upload did.

    Attributes:
        per_table: "schema/table" -> counts.
        errors: one line for each file that is not in the catalog, though it should be.
        warnings: one line for each thing worth knowing: a registered file that was never written, for one.
        assets: "schema/table" -> the files, each with the RID of its row.
        bytes_sent: bytes of the files that this upload brought to the store (or found there).
        unanswered: how many of the errors are that the server does not answer.
    """

    execution_rids: list[str] = field(default_factory=list)
    per_table: dict[str, TableCount] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    assets: dict[str, list[AssetFilePath]] = field(default_factory=dict)
    bytes_sent: int = 0
    unanswered: int = 0

    @property
    def total_uploaded(self) -> int:
        """Files whose rows are now in the catalog through this upload."""
        return sum(count.uploaded for count in self.per_table.values())

    @property
    def total_failed(self) -> int:
        """Files that stay on disk for a later command."""
        return sum(count.failed for count in self.per_table.values())

    def count(self, table: str) -> TableCount:
        """The counts of "schema/table"."""
        return self.per_table.setdefault(table, TableCount())

    def add(self, other: UploadReport) -> UploadReport:
        """This report with another's added: the metadata at the start and the outputs at the end, say."""
        for table, count in other.per_table.items():
            mine = self.count(table)
            mine.uploaded += count.uploaded
            mine.failed += count.failed
        for table, paths in other.assets.items():
            self.assets.setdefault(table, []).extend(paths)
        self.execution_rids += [rid for rid in other.execution_rids if rid not in self.execution_rids]
        self.errors += other.errors
        self.warnings += other.warnings
        self.bytes_sent += other.bytes_sent
        self.unanswered += other.unanswered
        return self

    def raise_for_failures(self, command: str = "") -> None:
        """
        Say that outputs wait on disk, and how to finish.

        Args:
            command: what finishes it, where the caller knows more than the RIDs.

        Raises:
            DerivaMLUploadError: a file of this upload is not in the catalog.
        """
        if not self.errors:
            return
        more = f" (and {len(self.errors) - 3} more)" if len(self.errors) > 3 else ""
        command = command or f"deriva-ml-executions upload {' '.join(self.execution_rids)}".strip()
        raise DerivaMLUploadError(
            f"{self.total_failed} file(s) kept on disk, not yet in the catalog: {'; '.join(self.errors[:3])}{more}; "
            f"finish with: {command}"
        )


class TransferStoppedError(DerivaMLException):
    """A transfer was ended before its time, because the user stopped the whole."""


class ProgressMeter:
    """Adds up the bytes of parallel transfers and tells one callback at a time; ends them when they are stopped."""

    def __init__(self, callback: ProgressCallback | None, sizes_bytes: Mapping[Path, int]) -> None:
        self._callback, self._lock = callback, threading.Lock()
        self._sizes, self._sum = sizes_bytes, sum(sizes_bytes.values())
        self._done: dict[Path, int] = {}
        self._moved: dict[Path, int] = {}
        self._completed = self._finished = 0
        self._stopped = False

    def stop(self) -> None:
        """End every transfer at its next block."""
        self._stopped = True

    def check(self, path: Path) -> None:
        """
        End here if the whole was stopped.

        Raises:
            TransferStoppedError: it was.
        """
        if self._stopped:
            raise TransferStoppedError(f"{path} was not finished: the transfer was stopped")

    def advance(self, path: Path, size_bytes: int, phase: str = "Uploading") -> None:
        """
        So many more bytes of this file are over; told in whatever thread calls, one at a time.

        Raises:
            TransferStoppedError: the transfers were stopped; the file that calls ends here.
        """
        self.check(path)
        if self._callback is None:
            return
        with self._lock:
            self._moved[path] = self._moved.get(path, 0) + size_bytes
            done = min(self._moved[path], self._sizes.get(path, self._moved[path]))
            self._set(path, max(done, self._done.get(path, 0)))  # bytes that go twice are no progress
            self._callback(self._state(path, phase, ""))

    def finish(self, path: Path) -> None:
        """This file's bytes are in the store."""
        if self._callback is None:
            return
        with self._lock:
            self._set(path, self._sizes.get(path, 0))
            self._finished += 1
            self._callback(self._state(path, "Uploading", ""))

    def say(self, phase: str, message: str) -> None:
        """Something happened that moves no bytes."""
        if self._callback is None:
            return
        with self._lock:
            self._callback(self._state(Path(), phase, message))

    def _set(self, path: Path, bytes_done: int) -> None:
        self._completed += bytes_done - self._done.get(path, 0)
        self._done[path] = bytes_done

    def _state(self, path: Path, phase: str, message: str) -> UploadProgress:
        return UploadProgress(
            file_path=str(path),
            file_name=path.name,
            bytes_completed=self._completed,
            bytes_total=self._sum,
            percent_complete=100.0 * self._completed / self._sum if self._sum else 100.0,
            phase=phase,
            message=message,
            files_completed=self._finished,
            files_total=len(self._sizes),
        )

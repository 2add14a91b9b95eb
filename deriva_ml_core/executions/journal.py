"""
The journal of one execution: what its process knows, on disk before the catalog is told.

    <working folder>/deriva-ml/execution/<RID>/journal.json

Written beside and renamed, so that a reader on any host sees one whole state or the one before it; written by the one
process that owns the execution: one that finds another owner in the file has been taken over, and stops. It is all
that a later command needs to give a dead execution its true end: who ran it, when its heart last beat, what it was,
how far it came, and what the catalog has not yet been told.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import WorkingFolderError
from deriva_ml_core.executions.owner import Owner, this_process
from deriva_ml_core.executions.signals import Superseded
from deriva_ml_core.executions.states import Status
from deriva_ml_core.plugin_loading import PluginChoice

log = logging.getLogger(__name__)

FILE_NAME = "journal.json"
_FORMAT = 1


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of status: to what, when, and why."""

    status: Status
    at: datetime
    detail: str | None = None


_TOLD = frozenset({"row", "facts", "status", "durations", "times"})  # what the catalog has to be told of an execution


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """
    The state of one execution.

    Args:
        rid: of the execution.
        hostname, catalog_id: the catalog, as the user names it.
        owner: the process that runs it, or ran it last.
        heartbeat: when that process last said that it lives.
        status, detail: the present state and its reason.
        changes: every change, the first one included.
        workflow_rid, workflow_name, description: as in the catalog.
        configuration: what was asked for, as JSON.
        inputs, outputs: RIDs and names for a person: {"datasets": [...], "assets": [...]}, {"schema/table": [...]}.
        parent, sequence: the sweep that it belongs to, and its number there.
        start_time, stop_time: of the model.
        durations: seconds of "download", "execution" and "upload".
        environment: RID and description of its environment snapshot in the catalog, which is also told the times.
        pending: what the catalog has not been told: "row" (its row may not exist), "facts" (a row is there, without
            its own workflow and description), "status", "durations", "times", "uploads".
        restarts: how often its model has been started again.
        slurm: what SLURM said of the job in which its model last started (`owner.slurm_facts`).
        plugins: what the run's configuration said about plugins: what is uploaded later goes where its own upload
            would have brought it.
        damaged: the file could not be read; only the RID, from the folder's name, is sure.
    """

    rid: str
    hostname: str = ""
    catalog_id: str = ""
    owner: Owner | None = None
    heartbeat: datetime | None = None
    status: Status = Status.created
    detail: str | None = None
    changes: tuple[Change, ...] = ()
    workflow_rid: str | None = None
    workflow_name: str | None = None
    description: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    sequence: int | None = None
    start_time: datetime | None = None
    stop_time: datetime | None = None
    durations: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()
    restarts: int = 0
    slurm: Mapping[str, str] = field(default_factory=dict)
    plugins: PluginChoice = field(default_factory=PluginChoice)
    damaged: bool = False

    def changed_to(self, status: Status, detail: str | None = None) -> JournalEntry:
        """The same execution in another status; the catalog has yet to be told."""
        return replace(
            self,
            status=status,
            detail=detail,
            changes=(*self.changes, Change(status, now(), detail)),
            pending=self.pending | {"status"},
        )

    @property
    def unfinished(self) -> bool:
        """Whether the record has no end."""
        return self.status in (Status.created, Status.running, Status.stopped)

    @property
    def settled(self) -> bool:
        """Whether there is an end that the catalog knows of; outputs may wait. Of a damaged one nobody knows more."""
        return self.damaged or not (self.unfinished or self.pending & _TOLD)

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        document = asdict(self)
        del document["damaged"]
        return {"format": _FORMAT, **document, "pending": sorted(self.pending)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> JournalEntry:
        """
        Read what a file holds; names that a newer release adds are left out.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is no journal.
        """
        known = {f.name: document[f.name] for f in fields(cls) if f.name in document and f.name != "damaged"}
        known["rid"] = str(document["rid"])
        known["status"] = Status(document["status"])
        known["owner"] = Owner.from_json(document["owner"]) if document.get("owner") else None
        known["changes"] = tuple(
            Change(Status(c["status"]), datetime.fromisoformat(c["at"]), c.get("detail"))
            for c in document.get("changes", ())
        )
        known["pending"] = frozenset(document.get("pending", ()))
        known["plugins"] = PluginChoice.of(document.get("plugins"))
        for name in ("heartbeat", "start_time", "stop_time"):
            known[name] = datetime.fromisoformat(document[name]) if document.get(name) else None
        return cls(**known)


class Journal:
    """
    One execution's journal, in the process that owns it; safe in threads.

    Args:
        folder: the execution's folder.
        entry: its state.
    """

    def __init__(self, folder: Path, entry: JournalEntry) -> None:
        self.folder = folder
        self._entry = entry
        self._owner: Owner | None = None  # whom this object last wrote
        self._lock = threading.RLock()

    @classmethod
    def start(cls, folder: Path, entry: JournalEntry) -> Journal:
        """
        Write a new journal, owned by the process that the entry names; by this one where it names none.

        Raises:
            WorkingFolderError: the folder can't be written.
        """
        journal = cls(folder, replace(entry, owner=entry.owner or this_process()))
        with journal._lock:
            journal._write(durable=True)
        return journal

    @classmethod
    def take_over(cls, folder: Path) -> Journal:
        """
        Open the journal of an execution that another process ran; from now on this process owns it.

        The caller has made sure that the other process is gone.
        """
        return cls.start(folder, replace(read_entry(folder), owner=this_process(), damaged=False))

    @property
    def entry(self) -> JournalEntry:
        """The present state."""
        return self._entry

    def update(self, **facts: Any) -> JournalEntry:
        """
        Keep new facts, durably.

        Raises:
            WorkingFolderError: the folder can't be written; the facts are kept in memory.
            Superseded: another process has taken the execution over; so say all that write.
        """
        with self._lock:
            self._entry = replace(self._entry, **facts)
            return self._write(durable=True)

    def change_status(
        self,
        status: Status,
        detail: str | None = None,
        *,
        mark: Iterable[str] = (),
        unmark: Iterable[str] = (),
        **facts: Any,
    ) -> JournalEntry:
        """Keep a change of status, durably, before anybody else is told; `mark` and `unmark` change what is pending."""
        with self._lock:
            entry = replace(self._entry.changed_to(status, detail), **facts)
            self._entry = replace(entry, pending=(entry.pending | set(mark)) - set(unmark))
            return self._write(durable=True)

    def told(self, *what: str) -> JournalEntry:
        """The catalog knows now."""
        with self._lock:
            self._entry = replace(self._entry, pending=self._entry.pending - set(what))
            return self._write(durable=False)

    def beat(self) -> None:
        """Say that this process lives. A beat that can't be written is no reason to stop a run."""
        with self._lock:
            try:
                self._write(durable=False)
            except WorkingFolderError as err:
                log.warning("heartbeat of execution %s: %s", self._entry.rid, err)

    def _write(self, *, durable: bool) -> JournalEntry:
        self._require_ours()
        self._entry = replace(self._entry, heartbeat=now())
        text = json.dumps(self._entry.to_json(), indent=1, default=_plain)
        write_beside(self.folder / FILE_NAME, text.encode(), durable=durable)
        self._owner = self._entry.owner
        return self._entry

    def _require_ours(self) -> None:
        """
        Refuse to write over what another process says.

        Raises:
            Superseded: it has taken the execution over.
        """
        owner = read_entry(self.folder).owner if self._owner else None
        if owner is not None and owner != self._owner:
            raise Superseded(self._entry.rid, str(owner))


def executions_folder(working_dir: Path) -> Path:
    """Where the folders of executions are, below a working folder (COMPAT.md section 11)."""
    return working_dir / "deriva-ml" / "execution"


def read_entry(folder: Path) -> JournalEntry:
    """
    What the journal in an execution's folder says.

    A file that is missing, cut short or of another kind gives an entry that is marked damaged: a person's or another
    host's disk trouble must not hide that the execution exists.
    """
    try:
        document = json.loads((folder / FILE_NAME).read_bytes())
        return JournalEntry.from_json(document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        log.debug("journal in %s can't be read: %s", folder, err)
        return JournalEntry(rid=folder.name, damaged=True)


def read_journals(working_dir: Path, known: Collection[str] = ()) -> Iterator[tuple[Path, JournalEntry]]:
    """Every execution that has a folder below a working folder, but the known ones, with what its journal says."""
    folder = executions_folder(working_dir)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in known and path.is_dir():
            yield path, read_entry(path)


def write_beside(file: Path, data: bytes, *, durable: bool = True) -> None:
    """
    Replace a file in one step, so that no reader sees half of it and a full disk leaves the old one.

    Args:
        durable: only return when the disk has it.

    Raises:
        WorkingFolderError: it can't be written.
    """
    # Process and thread in the name: a forked child that still holds the journal must not share a half-written file.
    beside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as err:
        raise WorkingFolderError(f"the working folder can't be written: {file}: {err.strerror or err}") from err


def check_writable(working_dir: Path) -> None:
    """
    Make the folder of executions and write a file there, before anything is written to a catalog.

    Raises:
        WorkingFolderError: read-only, full, or not a folder.
    """
    probe = executions_folder(working_dir) / f".probe-{os.getpid()}"
    write_beside(probe, bytes(_PROBE_BYTES))
    probe.unlink(missing_ok=True)


_PROBE_BYTES = 64 * 1024  # what a journal and the smaller metadata files take


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)

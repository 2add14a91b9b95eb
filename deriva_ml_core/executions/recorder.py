"""The status of an execution: into its journal first, then to its row in the catalog."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.texts import storable
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLException, InvalidTransitionError, WorkingFolderError
from deriva_ml_core.executions.durations import duration_text
from deriva_ml_core.executions.journal import Journal, JournalEntry
from deriva_ml_core.executions.observing import tell_ended
from deriva_ml_core.executions.states import Status, check_transition

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

_LONG_S = 60.0
SILENCE_S = 15.0
"""A catalog that did not answer is not asked again for so long: several steps that end a run would each wait."""


class StatusRecorder:
    """
    Keeps one execution's status true on disk and in the catalog.

    What the catalog can't be told stays marked in the journal and goes with the next word to it, or by `flush`.

    Args:
        session: None for a dry run: nobody is told.
        in_sweep: a process that watches it ends with more of its kind: when a short model started and stopped is told
            for all of them in one request (`tell_times_of`).
    """

    def __init__(self, session: CatalogSession | None, journal: Journal, *, in_sweep: bool = False) -> None:
        self._session, self.journal, self._in_sweep = session, journal, in_sweep
        self._silent_until = 0.0

    @property
    def status(self) -> Status:
        """The present status."""
        return self.journal.entry.status

    def change(
        self,
        target: Status,
        detail: str | None = None,
        *,
        mark: Iterable[str] = (),
        unmark: Iterable[str] = (),
        tell: bool = True,
        **facts: Any,
    ) -> None:
        """
        Move to another status and keep other facts of the journal with it.

        Args:
            mark, unmark: what the catalog has not been told from now on, and what it has.
            tell: False where another change follows at once: the catalog hears of both together.

        Raises:
            InvalidTransitionError: it does not follow the present one; nothing has changed.
        """
        check_transition(self.journal.entry.rid, self.status, target)
        with self._kept():
            self.journal.change_status(target, detail, mark=mark, unmark=unmark, **facts)
        log.info("execution %s: %s", self.journal.entry.rid, target.value)
        if tell:
            self.flush()
        if target.is_final and self._session is not None:
            tell_ended(self._session.plugins, self.journal)

    def begin_again(self, detail: str) -> None:
        """
        Created once more: what was before stays in the journal's history.

        Raises:
            InvalidTransitionError: it is Uploaded: nothing of it is left to do.
        """
        if self.status is Status.uploaded:
            raise InvalidTransitionError(f"execution {self.journal.entry.rid} is Uploaded: it is not run again")
        self.journal.change_status(Status.created, detail, unmark=["uploads", "times"], durations={}, stop_time=None)

    def note(self, detail: str | None) -> None:
        """Another word on the present status: what a model is doing, say."""
        with self._kept():
            self.journal.update(detail=detail, pending=self.journal.entry.pending | {"status"})
        self.flush()

    def measured(self, phase: str, seconds: float) -> None:
        """Keep a duration; the catalog hears of it with the next status."""
        entry = self.journal.entry
        durations = {**entry.durations, phase: round(seconds, 3)}
        with self._kept():
            self.journal.update(durations=durations, pending=entry.pending | {"durations"})

    def flush(self) -> bool:
        """Tell the catalog what it does not know; whether it knows all now. A failure is a warning and stays marked."""
        due = self.journal.entry.pending & {"facts", "status", "durations", "times"}
        return self._tell(due - {"times"} if self.leaves_times else due)

    def tell_times(self) -> bool:
        """Tell the catalog when the model started and stopped, or all where that is known: whether it answers."""
        due = "times" in self.journal.entry.pending and not self.leaves_times
        return self._tell({"times"}) if due else self.flush()

    @property
    def leaves_times(self) -> bool:
        """Whether the sweep tells when the model started and stopped; a long one's own word costs it nothing."""
        entry = self.journal.entry
        if not (self._in_sweep and entry.start_time and entry.stop_time):
            return False
        return (entry.stop_time - entry.start_time).total_seconds() < _LONG_S

    def _tell(self, due: Collection[str]) -> bool:
        entry = self.journal.entry
        if not due or self._session is None:
            return True
        if time.monotonic() < self._silent_until:
            return False
        try:
            if set(due) - {"times"}:
                table = self._session.model.ml_table("Execution")
                rows.update(self._session, table, [execution_row(self._session, entry)])
            if "times" in due:
                tell_times_of(self._session, [entry])
        except DerivaMLException as err:
            log.warning("execution %s is %s, but the catalog was not told: %s", entry.rid, entry.status.value, err)
            self.heard_nothing()
            return False
        with self._kept():
            self.journal.told(*due)
        return True

    def heard_nothing(self) -> None:
        """The catalog did not answer somebody: it need not be asked again at once."""
        self._silent_until = time.monotonic() + SILENCE_S

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """A disk that is full must not keep the catalog from hearing how a run ended; the journal has it in memory."""
        try:
            yield
        except WorkingFolderError as err:
            log.warning("journal of execution %s: %s", self.journal.entry.rid, err)


_TIMES = re.compile(r"Started (?P<start>\S+), stopped (?P<stop>\S+)\.$")


def tell_times_of(session: CatalogSession, entries: Iterable[JournalEntry]) -> None:
    """
    Tell the catalog when models started and stopped, in one request. It has no columns for that: the descriptions of
    the environment snapshots say it.

    Raises:
        CatalogUnreachable: no answer.
    """
    told = [
        {
            "RID": entry.environment["rid"],
            "Description": times_text(entry.environment["description"], entry.start_time, entry.stop_time),
        }
        for entry in entries
        if "times" in entry.pending and entry.environment and entry.start_time and entry.stop_time
    ]
    if not told:
        return
    try:
        rows.update(session, session.model.ml_table("Execution_Metadata"), told)
    except CatalogUnreachable:
        raise
    except DerivaMLException as err:  # no right to change these rows: nothing else depends on it
        log.warning("start and stop of %d execution(s) are not in the catalog: %s", len(told), err)


def times_text(description: str, start: datetime, stop: datetime) -> str:
    """A description with both times, readable by a person and by `parse_times`."""
    return f"{description} Started {start.isoformat()}, stopped {stop.isoformat()}."


def parse_times(description: str | None) -> tuple[str, str] | None:
    """Start and stop, as ISO 8601, from a description that `times_text` made; None from any other."""
    found = _TIMES.search(description or "")
    return (found["start"], found["stop"]) if found else None


def execution_row(session: CatalogSession, entry: JournalEntry) -> dict[str, Any]:
    """The columns of an execution's row that change while it lives, in the words of the catalog's generation."""
    generation = session.model.generation
    row: dict[str, Any] = {
        "RID": entry.rid,
        "Status": generation.status_word(entry.status.value),
        "Status_Detail": storable(entry.detail),
    }
    if "facts" in entry.pending:  # the row was made by the process that launched the sweep
        row |= {"Workflow": entry.workflow_rid, "Description": storable(entry.description)}
    for phase, seconds in entry.durations.items():
        column = generation.duration_column(phase)
        if column is not None:
            row[column] = duration_text(seconds)
    return row

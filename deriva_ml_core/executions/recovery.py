"""
Executions whose process is gone get their true end, from their journals; one that may be alive is left alone.

    a run, or a job of a sweep     Failed; Pending_Upload where its model had come to its end
    the parent of a sweep          when none of its jobs may run any more: what came of all of them, and a report
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from deriva_ml_core.assets.locks import file_lock
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.children import Unstarted
from deriva_ml_core.executions.fate import fate_of
from deriva_ml_core.executions.journal import JournalEntry, executions_folder, read_entry, read_journals
from deriva_ml_core.executions.leftovers import upload_of_killed
from deriva_ml_core.executions.opening import Connection
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import Killed, end_if_dead, end_parent, settle, tell_of
from deriva_ml_core.executions.sweeps import JOBS_FILE, kept_jobs, kept_sweep, stop_sweep

if TYPE_CHECKING:
    from deriva_ml_core.executions.execution import Execution
    from deriva_ml_core.plugins import PluginChoice

log = logging.getLogger(__name__)

NOT_STARTED = Unstarted(Status.aborted, "not started: the process that launched the sweep had ended")


class Reopening(Connection, Protocol):
    """A connection that can go on with executions."""

    def resume_execution(self, execution_rid: str) -> Execution:
        """Take over an execution whose process is gone."""

    def with_plugins_of(self, choice: PluginChoice) -> Self:
        """The same connection with a run's plugins."""

    def keep_report(self, parent_rid: str) -> str | None:
        """Store the report of a sweep that has ended."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done about one execution; `left_alone` says why nothing was."""

    rid: str
    status: Status
    detail: str | None = None
    left_alone: str | None = None


def recover(ml: Reopening) -> Iterator[Recovered]:
    """
    Look through the working folder; yields what was done, and what was left alone. Who else does so waits meanwhile.

    Raises:
        DerivaMLException: the catalog could not be asked or told; what is left is found again by the next look.
    """
    with _alone(ml.working_dir):
        yield from _recover(ml)


def _recover(ml: Reopening) -> Iterator[Recovered]:
    parents: list[tuple[Path, JournalEntry]] = []
    for path, entry in read_journals(ml.working_dir):
        if entry.damaged or (entry.hostname, entry.catalog_id) != (ml.session.hostname, ml.session.catalog_id):
            continue
        if (path / JOBS_FILE).exists() and entry.unfinished:
            parents.append((path, entry))
        else:
            yield from _one(ml, path, entry)
    for path, entry in parents:
        yield from _parent(ml, path, entry)


def recover_one(ml: Reopening, path: Path) -> Iterator[Recovered]:
    """
    The same for one sweep of the working folder, or one run.

    Args:
        path: the folder of its parent.
    """
    with _alone(ml.working_dir):
        entry = read_entry(path)
        if (path / JOBS_FILE).exists() and entry.unfinished:
            yield from _parent(ml, path, entry)
        else:
            yield from _one(ml, path, entry)


def recover_quietly(ml: Reopening) -> None:
    """
    The same for a command that is about something else: it says only in the log what it did, and where another process
    recovers at this moment, it leaves that to it.
    """
    try:
        with _alone(ml.working_dir, wait=False) as alone:
            for one in _recover(ml) if alone else ():
                if one.left_alone is None:
                    log.info("execution %s: %s (%s)", one.rid, one.status.value, one.detail)
    except DerivaMLException as err:
        log.info("executions were not recovered: %s", err)


@contextmanager
def _alone(working_dir: Path, *, wait: bool = True) -> Iterator[bool]:
    """Two that end the same executions would each find the other's process in their journals."""
    folder = executions_folder(working_dir)
    if not folder.is_dir():  # nothing has run: a folder is not made for this
        yield True
        return
    with file_lock(folder.with_name("recovery.lock"), wait=wait) as alone:
        yield alone


def _one(ml: Reopening, path: Path, entry: JournalEntry) -> Iterator[Recovered]:
    status = end_if_dead(ml.session, path, entry)
    if status is not None:
        tell_of([(path, entry, status)], keeper_of_killed(ml))
        yield Recovered(entry.rid, status, _detail(path, entry))
    elif entry.unfinished and (why := _may_live(entry)):
        yield Recovered(entry.rid, entry.status, left_alone=why)


def _parent(ml: Reopening, path: Path, entry: JournalEntry) -> Iterator[Recovered]:
    if why := _may_live(entry):
        yield Recovered(entry.rid, entry.status, left_alone=why)
        return
    jobs = kept_jobs(path)
    unstarted = dict.fromkeys(jobs, NOT_STARTED)
    children = settle(ml.session, ml.working_dir, entry, jobs, unstarted, killed=keeper_of_killed(ml))
    if running := sum(child.open for child in children):
        yield Recovered(entry.rid, entry.status, left_alone=f"{running} of its jobs may still run")
        return
    execution = ml.resume_execution(entry.rid)
    if execution.status is Status.created:
        execution.execution_start()
    stop_sweep(path, "the record of the sweep has been completed")  # of a job that is still in some queue
    sweep = kept_sweep(path / "metadata") or {}  # read now: the folder may go with the end
    status = end_parent(execution, children)
    if status.is_final and sweep.get("report"):
        ml.keep_report(entry.rid)
    yield Recovered(entry.rid, status, execution.journal_entry.detail)


def keeper_of_killed(ml: Connection) -> Killed:
    """What brings into the catalog what the connection's settings want of executions whose process was killed."""
    return lambda folder, rid: upload_of_killed(ml.session, folder, rid, ml.upload_on_failure)


def _may_live(entry: JournalEntry) -> str | None:
    """Why an execution is not touched; None where its process is surely gone."""
    owner = entry.owner
    if owner is None:
        return "its journal does not say which process runs it"
    fate = fate_of(owner)
    if fate.dead:
        return None
    sure = "runs" if fate.alive else "may run"
    return f"it {sure} ({owner})"


def _detail(path: Path, before: JournalEntry) -> str | None:
    entry = read_entry(path)
    return entry.detail if before.unfinished else "the catalog has been told"

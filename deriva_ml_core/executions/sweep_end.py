"""
How a sweep ends: every job has a child with a true end, then the parent has one.

Asked of the catalog: the links, the children's rows, and what is missing, each in one request however many there are.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.catalog import rows
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.children import LOST, Unstarted, end_unstarted, make_children
from deriva_ml_core.executions.fate import DEAD, fate_of, fate_of_job
from deriva_ml_core.executions.journal import Journal, JournalEntry, read_journals
from deriva_ml_core.executions.owner import Owner, this_process
from deriva_ml_core.executions.record import ExecutionRecord
from deriva_ml_core.executions.recorder import StatusRecorder, tell_times_of
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.execution import Execution
    from deriva_ml_core.executions.sweeps import SweepJob

Killed = Callable[[Path, str], None]
"""Called with the folder and the RID of an execution that failed because its process was gone."""
STOP_PATIENCE_S = 10.0
"""For a job that is told to end, until it is killed: it records its end and tells the catalog."""


@dataclass(frozen=True, slots=True)
class Child:
    """One job's execution, as it ended."""

    rid: str
    sequence: int | None
    status: Status
    detail: str | None = None

    @property
    def well(self) -> bool:
        """Whether it came to its end and all of its outputs are in the catalog."""
        return self.status is Status.uploaded

    @property
    def open(self) -> bool:
        """Whether it may still run."""
        return self.status in (Status.created, Status.running, Status.stopped)


def settle(
    session: CatalogSession,
    working_dir: Path,
    parent: JournalEntry,
    jobs: Mapping[int, SweepJob],
    unstarted: Mapping[int, Unstarted],
    *,
    over: bool = False,
    killed: Killed,
) -> list[Child]:
    """
    Give every job of a sweep one child with a true end; a child that may be alive is left alone.

    Args:
        jobs: by their numbers.
        unstarted: what is known of jobs whose process recorded nothing.
        over: the launcher has given back all jobs: a worker that lives has none any more.
        killed: called for each that failed with its process, when all have their status.

    Returns:
        The children in the order of their numbers.
    """
    journals = {entry.rid: (path, entry) for path, entry in read_journals(working_dir) if entry.parent == parent.rid}
    links = nesting.neighbours(session, [parent.rid], "children")
    linked = {link.child for link in links}
    missing = {number: job for number, job in jobs.items() if job.rid not in linked}
    make_children(session, parent, missing)
    if over:
        journals |= _tell_times(session, journals.values())
    ends = [(*one, end_if_dead(session, *one, including_ours=True, over=over)) for one in journals.values()]
    tell_of(ends, killed)
    children = children_of(session, parent.rid, None if missing else links)
    silent = {number: job for number, job in jobs.items() if job.rid not in journals}
    created = {one.rid for one in children if one.status is Status.created}
    open_still = {number: job for number, job in silent.items() if job.rid in created}
    if not end_silent(session, open_still, unstarted, over=over):
        return children
    return children_of(session, parent.rid)


def end_silent(
    session: CatalogSession, jobs: Mapping[int, SweepJob], unstarted: Mapping[int, Unstarted], *, over: bool = False
) -> dict[int, Unstarted]:
    """
    End the children of which no process has said a word; one that SLURM may still start is left alone.

    Args:
        unstarted: why, where the launching process knows.
        over: the launcher has given back all jobs: one that SLURM has yet to see ended has none the less.

    Returns:
        Those that were ended, by number.
    """
    ended: dict[int, Unstarted] = {}
    for number, job in jobs.items():
        fate = fate_of_job(job.slurm_job) if job.slurm_job else DEAD
        if fate.dead or over:
            told = fate.dead and fate is not DEAD
            ours = Unstarted(fate.status, fate.detail) if told else LOST
            ended[number] = ours if told and fate.explained else unstarted.get(number, ours)
    end_unstarted(session, jobs, ended, [jobs[number].rid for number in ended])
    return ended


def _tell_times(
    session: CatalogSession, journals: Iterable[tuple[Path, JournalEntry]]
) -> dict[str, tuple[Path, JournalEntry]]:
    """Of jobs that have nothing else left to tell, when they started and stopped; those, as they are now."""
    left = [(path, entry) for path, entry in journals if entry.pending == {"times"} and not entry.unfinished]
    tell_times_of(session, (entry for _, entry in left))
    return {entry.rid: (path, Journal(path, entry).told("times")) for path, entry in left}


def children_of(session: CatalogSession, parent: str, links: Sequence[nesting.Nesting] | None = None) -> list[Child]:
    """
    The children of a parent as the catalog has them; two requests.

    Args:
        links: where they have been read already.
    """
    if links is None:
        links = nesting.neighbours(session, [parent], "children")
    table = session.model.ml_table("Execution")
    found = rows.select_by_rids(session, table, [link.child for link in links]) if links else {}
    records = {rid: ExecutionRecord.from_row(session, row) for rid, row in found.items()}
    return [
        Child(link.child, link.sequence, records[link.child].status, records[link.child].status_detail)
        for link in links
        if link.child in records
    ]


def end_if_dead(
    session: CatalogSession,
    folder: Path,
    entry: JournalEntry,
    *,
    including_ours: bool = False,
    over: bool = False,
) -> Status | None:
    """
    Record the end of an execution whose process is gone without having recorded one.

    Args:
        including_ours: this process runs none any more.
        over: neither does any other; what an ended one could not tell the catalog is told for it.

    Returns:
        The status that it was given; None where there was nothing to do, or its process may be alive.
    """
    if entry.settled:
        return None
    ours = (including_ours and entry.owner == this_process()) or (over and not entry.unfinished)
    fate = DEAD if ours else fate_of(entry.owner)
    if not fate.dead:
        return None
    recorder = StatusRecorder(session, Journal.take_over(folder))
    if "row" in entry.pending:
        if not _has_row(session, entry):
            return None
        recorder.journal.told("row")
    if entry.unfinished and (told := _told_end(session, entry)) is not None:
        recorder.journal.change_status(told.status, told.status_detail, unmark=["status"])
    elif entry.status in (Status.created, Status.running):
        recorder.change(fate.status, fate.detail)
    elif entry.status is Status.stopped:  # the model came to its end: what it made waits for `upload`
        recorder.change(Status.pending_upload, "its process ended before its outputs were uploaded", mark=["uploads"])
    else:
        recorder.flush()
    return recorder.status


def _told_end(session: CatalogSession, entry: JournalEntry) -> ExecutionRecord | None:
    """
    The record of an execution whose end the catalog knows and its journal does not: its process has ended on a full
    disk. What is still pending there is newer than the catalog's word.
    """
    if "status" in entry.pending:
        return None
    row = rows.select_by_rids(session, session.model.ml_table("Execution"), [entry.rid]).get(entry.rid)
    record = ExecutionRecord.from_row(session, row) if row else None
    return record if record is not None and record.status.is_final else None


def tell_of(ends: Iterable[tuple[Path, JournalEntry, Status | None]], killed: Killed) -> None:
    """Tell `killed` of those, among executions that were looked after, that failed with their process."""
    for path, before, status in ends:
        if status is Status.failed and before.unfinished:
            killed(path, before.rid)


def end_the_dead(  # noqa: PLR0917  # a sweep, and what is known of it
    session: CatalogSession,
    working_dir: Path,
    parent: str,
    known: set[str],
    jobs: Mapping[int, SweepJob],
    killed: Killed,
) -> None:
    """
    Record the end of those children of a running sweep whose process is gone, and of those whose SLURM job ended
    before it said a word, where SLURM says why.

    Args:
        known: RIDs that need no look; those that have ended are added.
        killed: as of `settle`.
    """
    ends = []
    silent = {number: job for number, job in jobs.items() if job.slurm_job and job.rid not in known}
    for path, entry in read_journals(working_dir, known):
        silent = {number: job for number, job in silent.items() if job.rid != entry.rid}
        if entry.damaged:
            continue
        if entry.parent == parent and entry.unfinished:
            ends.append((path, entry, end_if_dead(session, path, entry)))
        else:
            known.add(entry.rid)
    explained = {number: job for number, job in silent.items() if fate_of_job(job.slurm_job).explained}
    known |= {jobs[number].rid for number in end_silent(session, explained, {})}
    tell_of(ends, killed)


def stop_children(working_dir: Path, parent: str) -> None:
    """
    End the children of a sweep that run in other processes of this host: by SIGINT, which they record, then SIGKILL.

    Those on other hosts are left alone, and those that SLURM runs are for SLURM to end.
    """
    for number, patience_s in ((signal.SIGINT, STOP_PATIENCE_S), (signal.SIGKILL, 2.0)):
        running = _running(working_dir, parent)
        for owner in running:
            with suppress(ProcessLookupError):
                os.kill(owner.pid, number)
        until = time.monotonic() + patience_s
        while running and time.monotonic() < until:
            time.sleep(0.1)  # no event tells of the end of a process that is not our child
            running = _running(working_dir, parent)


def _running(working_dir: Path, parent: str) -> list[Owner]:
    """The processes, other than this, that run children of a sweep."""
    here = this_process()
    children = (entry for _, entry in read_journals(working_dir) if entry.parent == parent)
    owners = {child.owner.pid: child.owner for child in children if child.owner and not child.status.is_final}
    ours = (owner for owner in owners.values() if owner != here and not owner.may_be_requeued)
    return [owner for owner in ours if owner.is_alive]


def _has_row(session: CatalogSession, entry: JournalEntry) -> bool:
    return bool(rows.select_by_rids(session, session.model.ml_table("Execution"), [entry.rid]))


def verdict(children: Sequence[Child], stopped: str | None = None) -> tuple[Status, str | None]:
    """
    What a parent's record says at the end.

    Args:
        stopped: by what the sweep was stopped; None where it was not.
    """
    bad = [child for child in children if not child.well]
    if any(child.open for child in children):
        return Status.running, None
    if stopped is not None:
        done = len(children) - len(bad)
        return Status.aborted, f"stopped by {stopped}: {done} of {len(children)} jobs are Uploaded"
    if bad:
        first = bad[0]
        why = f": {first.detail}" if first.detail else ""
        return Status.failed, (
            f"{len(bad)} of {len(children)} jobs did not end well; "
            f"job {first.sequence} ({first.rid}) {first.status.value}{why}"
        )
    return Status.uploaded, None


def end_parent(execution: Execution, children: Sequence[Child], stopped: str | None = None) -> Status:
    """Record the parent's end; it stays Running while a child may run."""
    status, detail = verdict(children, stopped)
    if execution.status is not Status.running or status is Status.running:
        return execution.status
    if status is Status.uploaded:
        execution.execute(upload_follows=True).commit_output_assets()
    else:
        execution.update_status(status, error=detail)
    return execution.status

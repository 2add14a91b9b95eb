"""
How an execution gets its journal and its row.

    of its own         RID leased -> journal on disk -> row in the catalog
    a job of a sweep   the row is there, made by the process that launched the sweep: journal on disk, and the row
                       hears of this run with its first status
    the same again     a job that is run again (after a preemption, or by --resume) goes on with its journal; what an
                       earlier attempt left behind is put aside, not mixed with what comes, but for checkpoints

The RID is known and the journal written before the row is, so that there is no moment at which a killed process leaves
a row that no journal knows of.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.texts import storable
from deriva_ml_core.errors import CatalogError, DerivaMLException, WorkingFolderError
from deriva_ml_core.executions.heart import HEARTBEAT_S
from deriva_ml_core.executions.journal import FILE_NAME, Change, Journal, JournalEntry, now, read_entry, write_beside
from deriva_ml_core.executions.owner import slurm_facts, slurm_job, slurm_restarts
from deriva_ml_core.executions.signals import Superseded
from deriva_ml_core.executions.states import Status
from deriva_ml_core.workflows.workflow import Workflow

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.configuration import ExecutionConfiguration
    from deriva_ml_core.executions.sweeps import Place

log = logging.getLogger(__name__)

RID_FILE_VARIABLE = "DERIVA_ML_SAVE_EXECUTION_RID"
CHECKPOINTS = "checkpoints"
"""In a child's folder: what its model saved before SLURM interrupted it."""
ATTEMPTS = "attempts"
"""Below a child's folder: what earlier attempts left, one folder each."""
SILENT_S = 1.5 * HEARTBEAT_S
"""A process whose heart has not beaten for so long is not waited for."""
GONE_AFTER_S = 2.5 * HEARTBEAT_S
"""By then a process that has lost the record has ended: it notices at its next heartbeat, and has another to stop."""
_LOOK_EVERY_S = 0.5


def first_entry(
    session: CatalogSession, rid: str, configuration: ExecutionConfiguration, place: Place | None = None
) -> JournalEntry:
    """What the journal of a new execution says."""
    workflow = configuration.workflow
    assert isinstance(workflow, Workflow)
    return JournalEntry(
        rid=rid,
        hostname=session.hostname,
        catalog_id=session.catalog_id,
        changes=(Change(Status.created, now()),),
        workflow_rid=workflow.workflow_rid,
        workflow_name=workflow.name,
        description=configuration.description,
        configuration=configuration.model_dump(mode="json"),
        parent=place.sweep.parent if place else None,
        sequence=place.sequence if place else None,
        slurm=slurm_facts(os.environ),
        plugins=session.plugins.choice,
        pending=frozenset({"facts"} if place else {"row"}),
    )


def begin(session: CatalogSession, folder: Path, entry: JournalEntry) -> Journal:
    """
    Start the journal of an execution and see that it has a row.

    Raises:
        DerivaMLException: the catalog refused the row, or gave no answer.
        WorkingFolderError: the folder can't be written.
        Superseded: SLURM has started the job of this process again, and that one was faster.
    """
    last = _last_attempt(folder)
    before = read_entry(last) if last else None
    if last == folder and before is not None:
        journal = _succeed(folder, before, entry)
    else:
        journal = Journal.start(folder, _continued(entry, before))
    if "row" not in entry.pending:
        return journal
    try:
        _insert_row(session, entry)
    except DerivaMLException as err:
        lost = isinstance(err, CatalogError) and (err.status is None or err.status >= 500)
        if not lost:  # refused: no row, so no execution and nothing to recover
            shutil.rmtree(folder, ignore_errors=True)
        raise
    journal.told("row", "status")
    return journal


def _continued(entry: JournalEntry, before: JournalEntry | None) -> JournalEntry:
    """The entry of a job that may have run before: its history goes on."""
    if before is None:
        return entry
    return replace(entry, changes=(*before.changes, *entry.changes), restarts=before.restarts + 1)


def _succeed(folder: Path, before: JournalEntry, entry: JournalEntry) -> Journal:
    """
    Go on in the folder of a process that SLURM has interrupted or lost: the record is ours first, then what it left is
    put aside. The model starts anew, and stages its outputs anew.

    Raises:
        Superseded: that process is the newer one.
    """
    _require_latest(before, entry)
    kept = (folder / FILE_NAME).read_bytes()
    journal = Journal.start(folder, _continued(entry, before))
    _await_the_end_of(before)
    put_aside(folder, kept)
    return journal


def _await_the_end_of(before: JournalEntry) -> None:
    """
    Wait for a process that may live, on a node that SLURM has lost, to notice that the record is not its own: until
    then it would write into the folder in which we stage.
    """
    beat = before.heartbeat
    if not before.unfinished or before.owner is None or beat is None or (now() - beat).total_seconds() > SILENT_S:
        return
    until = time.monotonic() + GONE_AFTER_S
    while before.owner.is_alive is not False and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)  # nobody tells of the end of a process that is not our child


def _require_latest(before: JournalEntry, entry: JournalEntry) -> None:
    """SLURM counts the restarts of a job: what has been restarted more often has the record."""
    same = slurm_job(before.slurm) == slurm_job(entry.slurm)
    if same and slurm_restarts(before.slurm) > slurm_restarts(entry.slurm):
        raise Superseded(entry.rid, str(before.owner))


def _last_attempt(folder: Path) -> Path | None:
    """The folder whose journal has the history so far; None where there is none."""
    if (folder / FILE_NAME).exists():
        return folder
    numbers = (int(path.name) for path in (folder / ATTEMPTS).glob("[0-9]*"))
    last = max(numbers, default=0)
    return folder / ATTEMPTS / str(last) if last else None


def put_aside(folder: Path, journal: bytes | None = None) -> Path:
    """
    Move what an attempt that has ended left behind to a folder of its own; the journal and the checkpoints stay.

    Args:
        journal: of that attempt; None where it is the one in the folder, which is copied.

    Raises:
        WorkingFolderError: the folder can't be written.
    """
    number = 1 + sum(1 for _ in (folder / ATTEMPTS).glob("*"))
    aside = folder / ATTEMPTS / str(number)
    try:
        aside.mkdir(parents=True)
        for path in folder.iterdir():
            if path.name not in (ATTEMPTS, CHECKPOINTS, FILE_NAME):
                path.rename(aside / path.name)
        (aside / FILE_NAME).write_bytes(journal or (folder / FILE_NAME).read_bytes())
    except OSError as err:
        raise WorkingFolderError(f"the working folder can't be written: {aside}: {err.strerror or err}") from err
    return aside


def _insert_row(session: CatalogSession, entry: JournalEntry) -> None:
    row = {
        "RID": entry.rid,
        "Workflow": entry.workflow_rid,
        "Description": storable(entry.description),
        "Status": session.model.generation.status_word(Status.created.value),
    }
    rows.insert(session, session.model.ml_table("Execution"), [row], leased=True)
    log.info("execution %s created in catalog %s of %s", entry.rid, session.catalog_id, session.hostname)


def save_rid(entry: JournalEntry) -> None:
    """Where another process waits to hear which execution this is (COMPAT section 2)."""
    if file := os.environ.get(RID_FILE_VARIABLE):
        write_beside(Path(file), json.dumps(rid_document(entry)).encode())


def rid_document(entry: JournalEntry) -> dict[str, Any]:
    """What is said of an execution in the file that DERIVA_ML_SAVE_EXECUTION_RID names."""
    from deriva_ml_core.executions.hydra_facts import current_job

    job = current_job()
    return {
        "hostname": entry.hostname,
        "catalog_id": entry.catalog_id,
        "workflow_rid": entry.workflow_rid,
        "execution_rid": entry.rid,
        "hydra_runtime_output_dir": str(job.output_dir) if job and job.output_dir else None,
    }

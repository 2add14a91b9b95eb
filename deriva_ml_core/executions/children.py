"""
The rows of a sweep's children: made in bulk before the jobs are launched, so that there is exactly one for each job,
with its number, whatever becomes of the process that is to run it.

Asked of the catalog for a whole sweep: RIDs, rows and links in one request each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.journal import JournalEntry
    from deriva_ml_core.executions.sweeps import SweepJob


@dataclass(frozen=True, slots=True)
class Unstarted:
    """Why a job's process has recorded nothing."""

    status: Status
    detail: str


LOST = Unstarted(Status.failed, "its process ended before the run began")


def make_children(session: CatalogSession, parent: JournalEntry, jobs: Mapping[int, SweepJob]) -> None:
    """
    A row for each job, Created, and its link to the parent. Rows and links that are there stay as they are.

    Raises:
        DerivaMLException: the catalog refused, or gave no answer; doing it again is right.
    """
    if not jobs:
        return
    made = [_row(session, parent, number, job) for number, job in jobs.items()]
    rows.insert(session, session.model.ml_table("Execution"), made, leased=True)
    links = [{nesting.PARENT: parent.rid, nesting.CHILD: job.rid, "Sequence": number} for number, job in jobs.items()]
    rows.insert(session, session.model.ml_table("Execution_Execution"), links, skip_existing=True)


def _row(session: CatalogSession, parent: JournalEntry, number: int, job: SweepJob) -> dict[str, Any]:
    """What is known before the job runs; its own workflow and description come with its first word."""
    described = HydraFacts(overrides=job.overrides, job_number=number)
    return {
        "RID": job.rid,
        "Workflow": parent.workflow_rid,
        "Description": described.described(parent.description),
        "Status": session.model.generation.status_word(Status.created.value),
        "Status_Detail": None,
    }


def end_unstarted(
    session: CatalogSession, jobs: Mapping[int, SweepJob], unstarted: Mapping[int, Unstarted], rids: Sequence[str]
) -> None:
    """Give children that no process has opened their end; one request, or two."""
    if not rids:
        return
    numbers = {job.rid: number for number, job in jobs.items()}
    word = session.model.generation.status_word
    ended = []
    for rid in rids:
        why = unstarted.get(numbers[rid], LOST)
        ended.append({"RID": rid, "Status": word(why.status.value), "Status_Detail": why.detail})
    rows.update(session, session.model.ml_table("Execution"), ended)

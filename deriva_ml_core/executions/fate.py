"""
Whether the process that runs an execution lives, and what became of it where it does not.

    on this host            the kernel knows
    a job of SLURM's        SLURM knows, wherever it ran, and why it ended
    a job that submitit     may be requeued by SLURM and go on under the same execution: that its process is gone
    has given to SLURM      says nothing; only SLURM's word does

Whatever may be alive is left alone.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from deriva_ml_core.executions.owner import Owner
from deriva_ml_core.executions.slurm import GONE, JobState, this_cluster
from deriva_ml_core.executions.states import Status

KILLED = "its process ended without recording an end"


@dataclass(frozen=True, slots=True)
class Fate:
    """
    What is known of an execution's process.

    Args:
        alive: None where nobody knows.
        status, detail: what to record where it is gone.
        explained: the detail says what ended it.
    """

    alive: bool | None
    status: Status = Status.failed
    detail: str = KILLED
    explained: bool = True

    @property
    def dead(self) -> bool:
        """Whether it is surely gone."""
        return self.alive is False


ALIVE, UNKNOWN, DEAD = Fate(True), Fate(None), Fate(False, explained=False)


def fate_of(owner: Owner | None) -> Fate:
    """The fate of a process that a journal names."""
    if owner is None:
        return UNKNOWN
    alive = owner.is_alive
    if alive:
        return ALIVE
    job = owner.slurm_job_id
    if job is None or (alive is False and not owner.may_be_requeued):
        return Fate(alive, explained=False)
    state = this_cluster().state(job)
    if state is None:
        return UNKNOWN
    return _of_state(job, state) if state.ended else Fate(None)


def fate_of_job(job_id: str) -> Fate:
    """The fate of a SLURM job of which no process has been heard."""
    state = this_cluster().state(job_id)
    if state is None:
        return UNKNOWN
    return _of_state(job_id, state) if state.ended else ALIVE


def _of_state(job: str, state: JobState) -> Fate:
    """What an end that SLURM tells means for a run that has not recorded its own."""
    where = f" on {state.node}" if state.node else ""
    match state.word:
        case "TIMEOUT" | "DEADLINE":
            return Fate(False, Status.failed, f"time-out: SLURM ended job {job}{where} at its time limit")
        case "CANCELLED":
            return Fate(False, Status.aborted, f"SLURM job {job} was cancelled{where}")
        case "PREEMPTED":
            return Fate(False, Status.aborted, f"SLURM job {job} was preempted{where} and not requeued")
        case "NODE_FAIL" | "BOOT_FAIL":
            return Fate(False, Status.failed, f"SLURM job {job} has lost its node{where.removeprefix(' on')}")
        case "OUT_OF_MEMORY":
            return Fate(False, Status.failed, f"out of memory: SLURM ended job {job}{where}")
        case word:
            how = "SLURM does not know it any more" if word == GONE else f"{word}{_how(state)}{where}"
            return Fate(False, Status.failed, f"{KILLED} (SLURM job {job}: {how})", explained=False)


def _how(state: JobState) -> str:
    if not state.signal:
        return f", exit code {state.exit_code}" if state.exit_code else ""
    try:
        return f", {signal.Signals(state.signal).name}"
    except ValueError:
        return f", signal {state.signal}"

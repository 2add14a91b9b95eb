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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deriva_ml_core.executions.owner import Owner, slurm_job
from deriva_ml_core.executions.slurm import GONE, OUT_OF_MEMORY, JobState, this_cluster
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
    if state.killed and _exceeded_memory(owner.slurm):
        state = replace(state, word=OUT_OF_MEMORY)
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
        case word if word == OUT_OF_MEMORY:
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


_SAID = ("exceeded memory limit", "exceeded job memory limit", "oom_kill event", "oom-kill event")
"""What slurmstepd writes; where SLURM does without cgroups, nobody else says it."""
_LAST_BYTES = 10_000


def _exceeded_memory(facts: Mapping[str, str]) -> bool:
    """Whether the output of a job that was killed ends by SLURM's word that it used too much memory."""
    folder, job = facts.get("output"), slurm_job(facts)
    if not folder or not job:
        return False
    files = [path for path in Path(folder).glob(f"{job}_*_log.*") if path.is_file()]
    lines = (line for path in files for line in _end_of(path).splitlines() if "slurmstepd" in line)
    return any(said in line.lower() for line in lines for said in _SAID)


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _LAST_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""

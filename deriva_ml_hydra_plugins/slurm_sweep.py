"""Jobs that SLURM runs, in the process that launches their sweep: how they stand, and how they are ended or left."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable

from deriva_ml_core.executions.fate import fate_of_job
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_core.executions.slurm import this_cluster
from deriva_ml_core.executions.sweeps import SweepJob

CANCEL_PATIENCE_S = 90.0
"""After scancel: SLURM's KillWait is half a minute as it comes."""


def running_jobs(jobs: Iterable[SweepJob]) -> list[str]:
    """Those that SLURM has and that have not ended, as far as is known."""
    return [job.slurm_job for job in jobs if job.slurm_job and not fate_of_job(job.slurm_job).dead]


def slurm_words(jobs: Iterable[SweepJob]) -> dict[str, str]:
    """What to show of SLURM's jobs, by the RIDs of their executions: job, state, and its node or why it waits."""
    taken = {job.slurm_job: job.rid for job in jobs if job.slurm_job}
    shown = {}
    for name, state in this_cluster().states(taken).items():
        where = state.node or (state.reason if state.word == "PENDING" else "")
        shown[taken[name]] = " ".join(filter(None, (name, state.word, where)))
    return shown


def asked_to_leave(count: int) -> bool:
    """Ask whoever has pressed Ctrl-C on a terminal what becomes of the jobs; elsewhere they are cancelled."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        while True:
            sys.stderr.write(f"\n{count} SLURM job(s) wait or run: (c)ancel them, or (d)etach and leave them running? ")
            sys.stderr.flush()
            answer = sys.stdin.readline()
            if not answer or answer.strip().lower()[:1] in ("c", "d"):
                return answer.strip().lower()[:1] == "d"
    except KeyboardInterrupt:  # once more: to cancel is what was meant
        return False


def cancel(job_ids: Collection[str], reporter: Reporter) -> None:
    """End jobs, and wait until SLURM says that they have; one that takes too long is found by recovery."""
    if not job_ids:
        return
    reporter.say(f"Cancelling {len(job_ids)} SLURM job(s)")
    this_cluster().cancel(job_ids)
    until = time.monotonic() + CANCEL_PATIENCE_S
    while time.monotonic() < until and not all(fate_of_job(job).dead for job in job_ids):
        time.sleep(1)  # SLURM tells nobody

"""A sweep whose jobs SLURM runs, in the process that launches it: what it needs, and how its jobs are ended or left."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from omegaconf import DictConfig

from deriva_ml_core.connection.local import LOCAL, URL_VARIABLE, served_url
from deriva_ml_core.errors import DerivaMLConfigurationError
from deriva_ml_core.executions.fate import fate_of_job
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_core.executions.slurm import this_cluster
from deriva_ml_core.executions.sweeps import SweepJob

SLURM_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
CANCEL_PATIENCE_S = 90.0
"""After scancel: SLURM's KillWait is half a minute as it comes."""


def launches_slurm_jobs(config: DictConfig) -> bool:
    """Whether the chosen launcher gives the jobs to SLURM."""
    return str(config.hydra.launcher.get("_target_")) == SLURM_LAUNCHER


def place_of(connection: Any) -> tuple[str, str]:
    """Host and catalog of a configured connection."""
    read = connection.get if isinstance(connection, Mapping) else lambda name: getattr(connection, name)
    return str(read("hostname")), str(read("catalog_id"))


def require_served_catalog(connection: Any) -> None:
    """
    Refuse jobs on other hosts that would each open an embedded catalog of their own.

    Raises:
        DerivaMLConfigurationError: the catalog is in this process.
    """
    if place_of(connection)[0] == LOCAL and served_url() is None:
        raise DerivaMLConfigurationError(
            "SLURM's jobs run on other hosts, which can't open the embedded catalog of this one: run "
            f"`deriva-ml-catalog serve` on the host that has it, and set {URL_VARIABLE} to the address that it prints"
        )


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

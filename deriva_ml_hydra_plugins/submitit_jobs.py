"""
Submitit's jobs, on this host and under SLURM, each awaited for itself.

submitit raises at the first job without a result and leaves the others; where a SLURM job is killed it asks sacct ever
more seldom, waits a quarter of a minute for each, and for ever where nobody keeps accounts. So we ask SLURM ourselves.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus

from deriva_ml_core.executions.fate import fate_of_job
from deriva_ml_hydra_plugins.lost_jobs import lost

_LOOK_EVERY_S = 1.0
_RESULT_WITHIN_S = 5.0
"""After the end of a SLURM job, for a shared file system to show the result that it wrote."""
_TIMED_OUT = "Job not requeued because: timed-out"
"""What submitit's own handler of the warning says; tests/hydra_behaviours pins it."""


class _Paths(Protocol):
    folder: Path
    result_pickle: Path


class SubmititJob(Protocol):
    """What we use of a job of submitit's."""

    job_id: str
    num_tasks: int
    paths: _Paths

    def results(self) -> list[Any]:
        """Of each of its tasks."""

    def task(self, task_id: int) -> SubmititJob:
        """One of its tasks."""


class PatientJob:
    """A job of submitit's whose want of a result is a result."""

    def __init__(self, job: SubmititJob, *, slurm: bool) -> None:
        self._job, self._slurm = job, slurm

    def results(self) -> list[JobReturn]:
        """Of each task; a failed JobReturn where there is none."""
        try:
            if self._slurm and (why := self._ended_without_result()):
                return [lost(why)]
            return [self._in_plain_words(one) for one in self._job.results()]
        except Exception as err:  # noqa: BLE001  # killed, timed out, or what it left can't be read: this job's fate
            return [self._in_plain_words(lost(err))]

    def _in_plain_words(self, result: JobReturn) -> JobReturn:
        """A time-out of which SLURM warned before our own handler stood is told as any other."""
        timed_out = result.status is JobStatus.FAILED and _TIMED_OUT in str(result._return_value)  # noqa: SLF001
        return lost(f"time-out: SLURM job {self._job.job_id} came to its time limit") if timed_out else result

    def _ended_without_result(self) -> str | None:
        """Wait until there is a result of each task, or SLURM says that none will come, and why."""
        ended: float | None = None
        while not self._all_there():
            fate = fate_of_job(self._job.job_id)
            if not fate.dead:
                ended = None
            elif ended is None:
                ended = time.monotonic()
            elif time.monotonic() - ended > _RESULT_WITHIN_S:
                return fate.detail
            time.sleep(_LOOK_EVERY_S)  # neither SLURM nor the shared file system tells when there is something new
        return None

    def _all_there(self) -> bool:
        tasks = [self._job.task(number) for number in range(self._job.num_tasks)]
        next(Path(tasks[0].paths.folder).iterdir(), None)  # makes NFS look
        return all(task.paths.result_pickle.exists() for task in tasks)


@contextmanager
def patient_jobs(submitted: Callable[[Sequence[str]], None]) -> Iterator[None]:
    """Put a patient executor in the place of submitit's, for as long as jobs are launched."""
    import submitit

    before = submitit.AutoExecutor

    class PatientExecutor(before):  # type: ignore[valid-type,misc]  # the class that was there, whichever
        def update_parameters(self, **given: Any) -> None:
            if self.cluster == "slurm":
                given["slurm_setup"] = [project_path_line(), *(given.get("slurm_setup") or ())]
            super().update_parameters(**given)

        def map_array(self, *given: Any) -> list[PatientJob]:
            jobs = super().map_array(*given)
            slurm = self.cluster == "slurm"
            if slurm:
                submitted([job.job_id for job in jobs])
            else:
                for job in jobs:  # a result of this host is there at once, or never
                    job._results_timeout_s = 1  # noqa: SLF001
            return [PatientJob(job, slurm=slurm) for job in jobs]

    vars(submitit)["AutoExecutor"] = PatientExecutor
    try:
        with _project_on_path():
            yield
    finally:
        vars(submitit)["AutoExecutor"] = before


def project_path_line() -> str:
    """A line for sbatch's script: the jobs don't inherit sys.path, nor the environment where the user says so."""
    return f'export PYTHONPATH={shlex.quote(os.pathsep.join(_project_path()))}"${{PYTHONPATH:+:$PYTHONPATH}}"'


def _project_path() -> list[str]:
    """What is on this process's path and not of Python's own installation."""
    theirs = (sys.base_prefix, sys.prefix)
    return [str(Path(entry).absolute()) for entry in sys.path if entry and not entry.startswith(theirs)]


@contextmanager
def _project_on_path() -> Iterator[None]:
    """Submitit's processes on this host inherit the environment."""
    before = os.environ.get("PYTHONPATH")
    entries = [*_project_path(), *(before.split(os.pathsep) if before else ())]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entries))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before

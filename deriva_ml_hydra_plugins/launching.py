"""
What stands before the launcher that the user chose while a sweep is recorded.

It hands every batch on as it is. What it adds: a job that fails does not keep later batches from being launched, what
the launching process learns of a job is kept for the sweep's end, and that end comes whatever the launcher raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from deriva_ml_core.errors import (
    DerivaMLConfigurationError,
    DerivaMLException,
    DerivaMLExecutionError,
    DerivaMLUploadError,
)
from deriva_ml_core.executions.children import Unstarted
from deriva_ml_core.executions.ending import failure_text
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweeps import JobNotStartedError
from deriva_ml_hydra_plugins.callback import callback_of
from deriva_ml_hydra_plugins.isolation import isolated
from deriva_ml_hydra_plugins.joblines import plain_job_lines


class RecordedLauncher:
    """The chosen launcher, watched."""

    def __init__(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._callback = callback = callback_of(hydra_context)
        # Back where it was: what is saved and sent to the jobs says what the user chose.
        with read_write(config), open_dict(config.hydra):
            config.hydra.launcher = callback.chosen_launcher
            config.hydra.job.name = _job_name(config)
        self._chosen: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @property
    def jobs(self) -> dict[int, list[str]]:
        """The jobs that are planned, by number; {} where the sweeper decides as it goes."""
        return self._callback.open().plan.jobs or {}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """
        Launch a batch.

        Raises:
            Exception: of the first job that failed, in the last batch of a sweep whose jobs are known; what else the
                launcher raises. The sweep's record has its end before.
        """
        return self.launch_jobs(dict(enumerate(map(list, job_overrides), initial_job_idx)))

    def launch_jobs(self, jobs: Mapping[int, list[str]]) -> Sequence[JobReturn]:
        """
        The same for jobs of any numbers.

        Raises:
            DerivaMLConfigurationError: there are none: a sweeper that goes on like this never ends.
        """
        if not jobs:
            raise DerivaMLConfigurationError(
                "the sweeper launches batches without any job: hydra.sweeper.n_jobs, where it has that, is at least 1"
            )
        self._sweep = self._callback.open()
        self._sweep.launching(jobs)
        try:
            with (
                plain_job_lines(list(jobs)),
                isolated(self._chosen, lambda ids: self._sweep.submitted(dict(zip(jobs, ids, strict=True)))),
            ):
                returns = list(self._chosen.launch(list(jobs.values()), Numbers(jobs)))
            self._hear(dict(zip(jobs, returns, strict=True)))
        except BaseException:  # Ctrl-C too: this is the last place that surely hears of it
            self._sweep.finish()
            raise
        return self._deferred(returns, last=max(jobs) == max(self._sweep.plan.jobs or (0,)))

    def _hear(self, returns: dict[int, JobReturn]) -> None:
        """Keep how jobs failed; a job that was refused before it had an execution gets one with that reason."""
        for number, job in returns.items():
            if job.status is not JobStatus.FAILED:
                continue
            err: Any = job._return_value  # noqa: SLF001  # return_value raises it
            aborted = isinstance(err, JobNotStartedError)
            self._sweep.unstarted[number] = Unstarted(
                Status.aborted if aborted else Status.failed, str(err) if aborted else failure_text(err)
            )
            self._sweep.failures[number] = err
            if isinstance(err, DerivaMLException) and err.execution_rid is None:
                err.execution_rid = self._sweep.facts.parent  # for the exit code: something has been written

    def _deferred(self, returns: list[JobReturn], *, last: bool) -> list[JobReturn]:
        """Failures of this batch raise when the last batch is through: Hydra's sweeper stops at the first."""
        if self._sweep.plan.jobs is None:
            return returns
        if not last:
            return [_muted(job) for job in returns]
        self._sweep.over = True
        self._sweep.finish()
        if self._sweep.failures:
            raise self._failed()
        return returns

    def _failed(self) -> DerivaMLException:
        """All that went wrong in one line: the report has told of each job."""
        failures, entry = self._sweep.failures, self._sweep.entry
        waits = all(isinstance(one, DerivaMLUploadError) for one in failures.values())
        kind = DerivaMLUploadError if waits else DerivaMLExecutionError
        open_still = f"jobs of it may still run, follow it by `deriva-ml-executions watch {entry.rid}`"
        err = kind(f"sweep {entry.rid} {entry.status.value}: {entry.detail or open_still}")
        err.execution_rid, err.__cause__ = entry.rid, failures[min(failures)]
        return err


class Numbers(int):
    """
    The number of the first job of a batch, to which launchers add 0, 1, 2, …: the sums are the numbers of the jobs,
    with gaps where jobs between them are not run again (tests/hydra_behaviours pins the sum).
    """

    numbers: tuple[int, ...]

    def __new__(cls, numbers: Iterable[int]) -> Self:
        """From the numbers of the batch, in their order."""
        found = tuple(numbers)
        made = super().__new__(cls, found[0])
        made.numbers = found
        return made

    def __add__(self, place: int) -> int:
        """The number of the job at a place of the batch."""
        return self.numbers[place]


def _job_name(config: DictConfig) -> str:
    """The experiment's, where hydra-zen's wrapper has named the job after its own module."""
    name = str(config.hydra.job.name)
    if name != _HYDRA_ZEN:
        return name
    experiment = config.hydra.runtime.choices.get("experiment")
    return str(experiment or config.hydra.job.config_name or name)


_HYDRA_ZEN = "_implementations"


class _Muted(JobReturn):
    """A job that failed, in a batch that is not the last: its exception is raised at the end of the sweep."""

    def __getattribute__(self, name: str) -> Any:
        return None if name == "return_value" else super().__getattribute__(name)


def _muted(job: JobReturn) -> JobReturn:
    if job.status is JobStatus.FAILED:
        job.__class__ = _Muted
    return job

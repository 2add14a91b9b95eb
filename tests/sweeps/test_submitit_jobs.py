"""What the launching process makes of a job of submitit's; real ones are in test_crash_matrix.py and in tests/slurm."""

from __future__ import annotations

import pytest
from hydra.core.utils import JobReturn, JobStatus

from deriva_ml_hydra_plugins.submitit_jobs import PatientJob

WARNED = "Job not requeued because: timed-out too many times."


class Job:
    """One of submitit's that gives this result, or raises it."""

    job_id = "7_3"

    def __init__(self, result: JobReturn | Exception) -> None:
        self._result = result

    def results(self) -> list[JobReturn]:
        if isinstance(self._result, Exception):
            raise self._result
        return [self._result]


def _failed(error: Exception) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=error)


@pytest.mark.parametrize("result", [RuntimeError(WARNED), _failed(RuntimeError(WARNED))], ids=["raised", "returned"])
def test_a_time_out_of_which_slurm_warns_before_the_run_begins_is_told_as_any_other(result):
    """While Python starts, submitit's own handler stands, and its words are not ours."""
    (told,) = PatientJob(Job(result), slurm=False).results()

    assert told.status is JobStatus.FAILED
    assert str(told._return_value) == "time-out: SLURM job 7_3 came to its time limit"


def test_other_ends_stay_as_they_are():
    """Also a result whose text is by chance the same."""
    well = JobReturn(status=JobStatus.COMPLETED, _return_value=WARNED)
    error = ValueError("no convergence")

    assert PatientJob(Job(well), slurm=False).results() == [well]
    assert PatientJob(Job(_failed(error)), slurm=False).results()[0]._return_value is error
    assert PatientJob(Job(error), slurm=False).results()[0]._return_value is error

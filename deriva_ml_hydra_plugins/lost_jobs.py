"""What Hydra gets of a job whose process came to no result."""

from __future__ import annotations

from hydra.core.utils import JobReturn, JobStatus

from deriva_ml_core.errors import DerivaMLExecutionError


def lost(why: BaseException | str) -> JobReturn:
    """A job that has failed, by an exception or in words."""
    err = why if isinstance(why, Exception) else DerivaMLExecutionError(str(why))
    return JobReturn(status=JobStatus.FAILED, _return_value=err)

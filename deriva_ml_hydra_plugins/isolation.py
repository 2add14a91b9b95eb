"""
Launchers whose processes would take other jobs with them when they die: each job's fate is made its own.

    joblib     one pool of workers breaks as a whole when one of them dies: here each worker is a pool of its own
    submitit   the launcher raises at the first job without a result and leaves the others: here it waits for all

Both are done by replacing one name in the launcher's module while it launches; tests/hydra_behaviours pins the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hydra.plugins.launcher import Launcher


@contextmanager
def isolated(launcher: Launcher, submitted: Callable[[Sequence[str]], None]) -> Iterator[None]:
    """
    Make the jobs of a launcher that we know independent of each other; nothing for any other.

    Args:
        submitted: hears the ids of SLURM jobs as soon as they have some, in the order of the jobs.
    """
    module = type(launcher).__module__
    if module.startswith("hydra_plugins.hydra_joblib_launcher"):
        from deriva_ml_hydra_plugins.joblib_jobs import separate_workers

        with separate_workers():
            yield
    elif module.startswith("hydra_plugins.hydra_submitit_launcher"):
        from deriva_ml_hydra_plugins.submitit_jobs import patient_jobs

        with patient_jobs(submitted):
            yield
    else:
        yield

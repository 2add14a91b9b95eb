"""A notebook as the job of a sweep: what Hydra's launcher runs, here or in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deriva_ml_core.config.translation import hydra_errors, mark_as_from_job
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.resuming import Resumption, resuming
from deriva_ml_core.executions.sweeps import Subject, current_place, sweeping
from deriva_ml_core.runner import in_its_place
from deriva_ml_core.workflows.provenance import find_code_reference
from deriva_ml_notebook.planning import FALLBACK_CONFIG, Plan, connection_of
from deriva_ml_notebook.recording import Intent
from deriva_ml_notebook.running import NotebookRun, run_once


@dataclass(frozen=True, slots=True)
class NotebookJob:
    """The task of one job: the notebook, with the overrides that Hydra has given to this job."""

    run: NotebookRun
    quiet: bool = False

    def __call__(self, composed: DictConfig) -> None:
        """Raises whatever the run raises; GaveWay where SLURM runs it again, from its first cell."""
        try:
            with in_its_place(current_place()) as place, reporting.quietly(self.quiet):
                number = int(HydraConfig.get().job.num)
                run_once(replace(self.run, output=_numbered(self.run.output, number)), self._intent(composed), place)
        except Exception as err:
            mark_as_from_job(err)
            raise

    def _intent(self, composed: DictConfig) -> Intent:
        from hydra_zen import instantiate

        hydra = HydraConfig.get()
        with hydra_errors(""):
            connection = connection_of(instantiate(composed.deriva_ml))
        name = str(hydra.job.config_name)
        return Intent(
            name=self.run.notebook.stem if name == FALLBACK_CONFIG else name,
            connection=connection,
            description=str(composed.get("description") or ""),
            overrides=tuple(str(override) for override in hydra.overrides.task),
            choices={str(k): str(v) for k, v in hydra.runtime.choices.items() if v is not None},
            dry_run=bool(composed.get("dry_run")),
        )


def _numbered(output: Path | None, number: int) -> Path | None:
    """Each job's executed notebook has a name of its own."""
    return None if output is None else output.with_name(f"{output.stem}-{number}{output.suffix}")


def sweep(plan: Plan, run: NotebookRun, *, quiet: bool = False) -> None:
    """
    Run the notebook for each job of a sweep: one parent, a child each, by whatever launcher is chosen.

    Raises:
        DerivaMLConfigurationError: the sweep can't run as it is; nothing has been written.
        Exception: of the first job that failed.
    """
    with plan.application as application, sweeping(_subject_of(plan, run)):
        application.sweep(NotebookJob(run, quiet), plan.overrides)


def sweep_again(
    plan: Plan, run: NotebookRun, resumption: Resumption, overrides: Sequence[str], *, quiet: bool = False
) -> None:
    """
    Run it for those jobs of a sweep that are left.

    Args:
        overrides: of Hydra's own configuration.

    Raises:
        DerivaMLException: the code is no longer that of the sweep.
        Exception: of the first job that failed.
    """
    application = plan.application
    application.job_name = resumption.job_name or application.job_name
    with application, sweeping(_subject_of(plan, run)), resuming(resumption):
        application.sweep(NotebookJob(run, quiet), overrides)


def _subject_of(plan: Plan, run: NotebookRun) -> Subject:
    from deriva_ml_notebook.session import workflow_of

    name = plan.config_name if plan.config_name != FALLBACK_CONFIG else plan.notebook.stem
    title = name.replace("_", " ").replace("-", " ").title()
    facts = {"notebook": recorded_path(plan.notebook), **run.recorded}
    return Subject(lambda ml: workflow_of(ml, title), find_code_reference(plan.notebook), facts)


def recorded_path(notebook: Path) -> str:
    """A notebook's path in its repository, else its name: what a sweep's record calls it."""
    return find_code_reference(notebook).path or notebook.name

"""A notebook as the job of a sweep: what Hydra's launcher runs, here or in a worker."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deriva_ml_core.config.translation import hydra_errors, mark_as_from_job
from deriva_ml_core.executions import reporting
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
        """Raises whatever the run raises."""
        try:
            with in_its_place(current_place()) as place, _reporter(self.quiet):
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


def _reporter(quiet: bool) -> Any:
    return reporting.use(reporting.SILENT) if quiet else nullcontext()


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
    from deriva_ml_notebook.session import workflow_of

    name = plan.config_name if plan.config_name != FALLBACK_CONFIG else plan.notebook.stem
    title = name.replace("_", " ").replace("-", " ").title()
    subject = Subject(lambda ml: workflow_of(ml, title), find_code_reference(plan.notebook))
    with plan.application as application, sweeping(subject):
        application.sweep(NotebookJob(run, quiet), plan.overrides)

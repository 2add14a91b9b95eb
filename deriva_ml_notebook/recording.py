"""How a notebook's run gets into its execution's record: what the command does once the kernel has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.recovery import recover_quietly
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_core.executions.states import Status
from deriva_ml_core.runner import run_summary
from deriva_ml_notebook.failures import Failure
from deriva_ml_notebook.handover import Handover
from deriva_ml_notebook.session import workflow_of

if TYPE_CHECKING:
    from deriva_ml_core.executions.execution import Execution

OUTPUT_TABLE, OUTPUT_TYPE = "Execution_Asset", "Notebook_Output"
_DESCRIPTIONS = {
    ".ipynb": "The notebook as it was executed.",
    ".md": "The executed notebook as Markdown.",
    ".html": "The executed notebook as a page.",
}
PARAMETERS_FILE = "notebook_parameters.json"


@dataclass(frozen=True, slots=True)
class Intent:
    """
    What a run of a notebook is to be, as its configuration says before it starts.

    Args:
        name: of the configuration.
        connection: where it is recorded.
        overrides: of the configuration.
        choices: the chosen option of each group.
    """

    name: str
    connection: DerivaMLConfig
    description: str = ""
    overrides: tuple[str, ...] = ()
    choices: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False


class Record:
    """The execution of one run of a notebook: the one that its kernel has opened, or one of the command's own."""

    def __init__(self, intent: Intent, handover: Handover, reporter: Reporter) -> None:
        self._intent, self.handover, self.reporter = intent, handover, reporter
        self._ml: DerivaML | None = None
        self._own: Execution | None = None
        self.rid: str | None = None

    def connect(self) -> DerivaML:
        """
        The connection, opened when it is first asked for.

        Raises:
            DerivaMLException: the catalog does not answer, or refuses.
        """
        if self._ml is None:
            self._ml = DerivaML.instantiate(self._intent.connection)
        return self._ml

    def prepare(self) -> None:
        """
        Connect, and read what recording the end will ask for: the catalog may not answer then.

        Raises:
            DerivaMLException: it does not answer now, or refuses.
        """
        session = self.connect().session
        session.vocabularies.terms(session.model.ml_table("Asset_Type"))

    def leave(self) -> None:
        """The execution goes on, in another process: this one adds nothing to its record."""
        if self._own is not None:
            self._own.leave()

    def close(self) -> None:
        """End the connection."""
        if self._ml is not None:
            self._ml.close()

    def make(self, warning: str) -> Execution:
        """An execution for a notebook that opens none by itself."""
        self.reporter.warn(warning)
        ml, place = self.connect(), self.handover.place
        if place is None:
            recover_quietly(ml)
        facts = HydraFacts(
            choices=self._intent.choices,
            overrides=self._intent.overrides,
            job_number=place.sequence if place else None,
        )
        self._own = ml.create_execution(
            ExecutionConfiguration(
                workflow=workflow_of(ml, self._intent.name.replace("_", " ").title()),
                description=facts.described(self._intent.description or f"Notebook {self._intent.name}"),
                config_choices=self._intent.choices,
            ),
            code=self.handover.code,
            hydra=facts,
            place=place,
            reporter=self.reporter,
        )
        self._own.execution_start()
        return self._own

    def ended_by(self, opened: dict[str, Any] | None, failure: Failure | None) -> Execution:
        """
        The execution after the kernel has ended; where the notebook has failed it says so from now on.

        Args:
            opened: what the kernel told of the execution that it has opened.
        """
        if opened is None:
            execution = self._own or self.make("the notebook has not called run_notebook: this command records its run")
        else:
            execution = self._take_over(opened)
        self.rid = execution.execution_rid
        if failure is not None:
            self.failed(execution, failure)
        return execution

    @staticmethod
    def failed(execution: Execution, failure: Failure) -> None:
        """Say so, unless its end is recorded already."""
        if execution.status in (Status.created, Status.running, Status.stopped):
            execution.update_status(failure.status, error=failure.text)

    def _take_over(self, opened: dict[str, Any]) -> Execution:
        if self._own is not None:
            self._own.abort(f"the notebook has opened execution {opened['execution_rid']} by itself")
        asked = self._intent.connection
        told = DerivaMLConfig(
            **{"hostname": opened["hostname"], "catalog_id": opened["catalog_id"]} | opened.get("connection", {})
        )
        ways = [(one.hostname, str(one.catalog_id), one.working_dir) for one in (asked, told)]
        if ways[0] != ways[1]:  # the cell has overrides of its own
            self.close()
            self._ml = DerivaML.instantiate(
                told.model_copy(update={"credential": asked.credential if ways[0][0] == ways[1][0] else None})
            )
        return self.connect().resume_execution(opened["execution_rid"])

    def finish(self, execution: Execution, failure: Failure | None) -> None:
        """
        Bring what is staged into the catalog, and say how it ended.

        Raises:
            DerivaMLUploadError: some of it is kept on disk; a later command brings it.
        """
        report = None
        try:
            with self.reporter.transfer("outputs") as progress:
                report = execution.commit_output_assets(progress_callback=progress)
            if failure is not None and execution.status is Status.uploaded:
                # Its outputs had been uploaded before it failed: what follows Uploaded is told in two steps.
                execution.update_status(Status.pending_upload)
                execution.update_status(failure.status, error=failure.text)
        finally:
            self.reporter.ended(run_summary(self.connect(), execution, report))

    @staticmethod
    def stage(execution: Execution, files: list[Path], parameters: dict[str, Any]) -> None:
        """
        Let the executed notebook, its renderings and its parameters be outputs.

        Raises:
            OSError, DerivaMLException: they can't be; a full disk, say.
        """
        for file in files:
            execution.asset_file_path(
                OUTPUT_TABLE,
                file,
                asset_types=OUTPUT_TYPE,
                copy_file=True,
                rename_file=_free_name(execution, file),
                description=_DESCRIPTIONS[file.suffix],
            )
        if parameters:
            file = files[0].with_name(PARAMETERS_FILE)
            file.write_text(json.dumps(parameters, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
            execution.asset_file_path(
                "Execution_Metadata",
                file,
                asset_types="Execution_Config",
                copy_file=True,
                description="Parameters that were injected into the notebook.",
            )


def _free_name(execution: Execution, file: Path) -> str:
    """The file's name, or another where the notebook has an output of that name."""
    folder = execution.working_dir / "assets" / OUTPUT_TABLE
    return next(name for name in _names(file) if not (folder / name).exists())


def _names(file: Path) -> Iterator[str]:
    yield file.name
    yield f"{file.stem}-executed{file.suffix}"
    number = 2
    while True:
        yield f"{file.stem}-executed-{number}{file.suffix}"
        number += 1

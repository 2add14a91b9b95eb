"""The part of DerivaML that knows executions and workflows."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession

if TYPE_CHECKING:
    from deriva_ml_core.config.connection_config import FailureUploads
    from deriva_ml_core.executions.execution import Execution
    from deriva_ml_core.executions.hydra_facts import HydraFacts
    from deriva_ml_core.executions.owner import Owner
    from deriva_ml_core.executions.record import ExecutionRecord
    from deriva_ml_core.executions.reporting import Reporter
    from deriva_ml_core.executions.status_summary import StatusSummary
    from deriva_ml_core.executions.sweeps import Place
    from deriva_ml_core.workflows.provenance import CodeReference
    from deriva_ml_core.workflows.workflow import Workflow


class RunMethods(HasSession):
    """Mixin of DerivaML."""

    working_dir: Path
    clean_execution_dir: bool
    upload_on_failure: FailureUploads
    _executions: weakref.WeakSet[Execution]

    # --- executions ---------------------------------------------------------------------------------------------

    def create_execution(
        self,
        configuration: Any = None,
        workflow: Workflow | str | None = None,
        dry_run: bool = False,
        *,
        datasets: Iterable[Any] | None = None,
        assets: Iterable[Any] | None = None,
        description: str | None = None,
        config_choices: dict[str, str] | None = None,
        code: CodeReference | None = None,
        hydra: HydraFacts | None = None,
        reporter: Reporter | None = None,
        place: Place | None = None,
        sweep: Mapping[str, Any] | None = None,
        owner: Owner | None = None,
    ) -> Execution:
        """
        Make an execution: everything is checked, then it has a record, then its inputs arrive.

        Args:
            configuration: an ExecutionConfiguration; or give the keywords datasets, assets, description.
            workflow: a Workflow, or the RID or URL of one in the catalog.
            dry_run: check everything and bring the inputs; write nothing to the catalog.
            code: the code that runs; None finds the script or notebook that calls.
            hydra: the job of Hydra's that it is.
            reporter: hears of every step; nobody does where None.
            place: the place in a sweep that it has; sweep: what the sweep does, where it is the parent of one.
            owner: the process that answers for its end, where that is not this one.

        Raises:
            TypeError: both a configuration and keywords.
            DerivaMLValidationError: all that is wrong with the configuration; nothing has been written.
            WorkingFolderError: the working folder can't be written; nothing has been written.

        Example:
            >>> workflow = ml.create_workflow("Count digits", "Training")
            >>> with ml.create_execution(workflow=workflow, datasets=[f"{dataset_rid}@1.0.0"]) as run:
            ...     images = list(run.datasets[0].get_table_as_dict("Image"))
            ...     counts = run.asset_file_path("Execution_Asset", "counts.txt")
            ...     _ = counts.write_text(str(len(images)))
            >>> uploaded = run.upload_execution_outputs()
            >>> ml.lookup_execution(run.execution_rid).status
            <Status.uploaded: 'Uploaded'>
        """
        from deriva_ml_core.executions.configuration import as_configuration
        from deriva_ml_core.executions.execution import Execution
        from deriva_ml_core.executions.opening import Request
        from deriva_ml_core.executions.reporting import SILENT

        asked = as_configuration(
            configuration,
            workflow=workflow,
            datasets=datasets,
            assets=assets,
            description=description,
            config_choices=config_choices,
        )
        request = Request(
            asked,
            code=code,
            hydra=hydra,
            place=place,
            sweep=sweep,
            owner=owner,
            dry_run=dry_run,
            reporter=reporter or SILENT,
        )
        execution = Execution(None, self, request=request)
        self._executions.add(execution)
        return execution

    def resume_execution(self, execution_rid: str) -> Execution:
        """
        Go on with an execution of this working folder whose process is gone: upload what it staged, say.

        Raises:
            DerivaMLExecutionNotFound: the working folder has none of this RID.
            DerivaMLExecutionError: its process may be alive.
        """
        from deriva_ml_core.executions.execution import Execution

        execution = Execution(None, self, reload=execution_rid)
        self._executions.add(execution)
        return execution

    def restore_execution(self, execution_rid: str | None = None) -> Execution:
        """
        `resume_execution` under its former name; without a RID, of the one execution here that waits for its end.

        Raises:
            DerivaMLExecutionNotFound: none waits, or several do; the text lists them.
        """
        from deriva_ml_core.errors import DerivaMLExecutionNotFound
        from deriva_ml_core.executions.local_list import incomplete_executions

        if execution_rid is None:
            waiting = [entry.rid for entry in incomplete_executions(self.working_dir)]
            if len(waiting) != 1:
                several = f"several executions wait ({', '.join(waiting)}): say which" if waiting else "none waits"
                raise DerivaMLExecutionNotFound(f"restore_execution: in {self.working_dir} {several}")
            (execution_rid,) = waiting
        return self.resume_execution(execution_rid)

    def lookup_execution(self, execution_rid: str) -> ExecutionRecord:
        """
        The record of an execution.

        Raises:
            DerivaMLExecutionNotFound: there is none of this RID.
        """
        from deriva_ml_core.executions.record import lookup_execution

        return lookup_execution(self, execution_rid)

    def find_executions(
        self,
        workflow: Workflow | str | None = None,
        workflow_type: str | None = None,
        status: Any = None,
        *,
        dataset: str | None = None,
        limit: int | None = None,
    ) -> Iterator[ExecutionRecord]:
        """Executions, the newest first; see executions.record.find_executions.

        Example:
            >>> {record.status.value for record in ml.find_executions(status="Uploaded")}
            {'Uploaded'}
        """
        from deriva_ml_core.executions.record import find_executions

        return find_executions(
            self, workflow=workflow, workflow_type=workflow_type, status=status, dataset=dataset, limit=limit
        )

    def multirun_status_summary(self, workflow_rid: str) -> StatusSummary:
        """How many executions of a workflow there are, by status: how a sweep stands, say."""
        from deriva_ml_core.executions.status_summary import status_summary

        return status_summary(self.session, workflow_rid)

    def keep_report(self, parent_rid: str) -> str | None:
        """
        Store a report of a sweep that has ended as an output of its parent; the RID of the file.

        None, and a warning in the log, where that can't be done: whatever it is, the sweep has its end.
        """
        from deriva_ml_core.analysis.report_storage import keep_report

        return keep_report(self.session, self.cache_dir, parent_rid)

    def _close_executions(self, reason: str) -> None:
        for execution in list(self._executions):
            execution.close(reason)

    # --- workflows ----------------------------------------------------------------------------------------------

    def create_workflow(self, name: str, workflow_type: str | list[str], description: str = "") -> Workflow:
        """
        A workflow for the code that calls, not yet in the catalog.

        Raises:
            DerivaMLInvalidTerm: a type is no term of Workflow_Type.
        """
        from deriva_ml_core.workflows.workflow import Workflow

        workflow = Workflow(name=name, workflow_type=workflow_type, description=description)
        self.session.vocabularies.lookup_all(self.session.model.ml_table("Workflow_Type"), workflow.types)
        return workflow.setup_url_checksum()

    def add_workflow(self, workflow: Workflow) -> str:
        """Register a workflow; the RID of its row, which is that of the same code where it is there already."""
        from deriva_ml_core.workflows import registry

        return registry.register(self.session, workflow)

    def lookup_workflow(self, rid: str) -> Workflow:
        """
        The workflow of a RID.

        Raises:
            DerivaMLNotFoundError: there is none.
        """
        from deriva_ml_core.workflows import registry

        return registry.lookup(self.session, rid)

    def lookup_workflow_by_url(self, url_or_checksum: str) -> Workflow:
        """
        The workflow of a URL or checksum.

        Raises:
            DerivaMLNotFoundError: there is none.
        """
        from deriva_ml_core.workflows import registry

        return registry.lookup_by_url(self.session, url_or_checksum)

    def find_workflows(self) -> list[Workflow]:
        """All workflows."""
        from deriva_ml_core.workflows import registry

        return list(registry.find_all(self.session))


def close_at_exit(reference: weakref.ref[Any], process: int) -> None:
    """At the interpreter's end: what still runs was never stopped, and its record must say so."""
    handle = reference()
    if handle is not None and process == os.getpid():
        handle.close()

"""run_notebook: what a notebook's first cell calls. It runs in the notebook's kernel, whoever has started that."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.config.hydra_folders import install_hydra_defaults
from deriva_ml_core.config.notebooks import BaseConfig, ComposedNotebook, compose_notebook, overrides_from_environment
from deriva_ml_core.config.overrides import in_full
from deriva_ml_core.config.project import load_project
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.local import where_to_look
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, is_refusal
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.beginning import RID_FILE_VARIABLE, rid_document
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.journal import write_beside
from deriva_ml_core.executions.recovery import recover_quietly
from deriva_ml_core.executions.states import Status
from deriva_ml_core.workflows.provenance import find_code_reference
from deriva_ml_core.workflows.workflow import Workflow
from deriva_ml_notebook.handover import Handover
from deriva_ml_notebook.preempting import listen
from deriva_ml_notebook.whereabouts import find_configs, notebook_file

if TYPE_CHECKING:
    from deriva_ml_core.executions.execution import Execution

WORKFLOW_TYPE = "Analysis Notebook"
SEEDED_TYPE = "Analysis"
"""Stands in for the default type in a catalog that has no such term: a fresh one has none."""


@dataclass(slots=True)
class _Kernel:
    """
    What this process remembers from one call of run_notebook to the next.

    A notebook's cells share nothing but their process, and any of them may be run again: there is no caller who could
    keep this.
    """

    ml: DerivaML | None = None
    execution: Execution | None = None
    handover: Handover | None = None
    rid_file: str = ""

    def receive(self) -> None:
        """Take what a command has given, out of reach of the processes that cells start."""
        self.handover = Handover.taken() or self.handover
        self.rid_file = os.environ.pop(RID_FILE_VARIABLE, "") or self.rid_file


_kernel = _Kernel()


def run_notebook(  # noqa: PLR0917  # the signature that notebooks call
    config_name: str | None = None,
    overrides: Sequence[str] | None = None,
    workflow_name: str | None = None,
    workflow_type: str | list[str] = WORKFLOW_TYPE,
    ml_class: type[DerivaML] | None = None,
    config_package: str = "configs",
) -> tuple[DerivaML, Execution, Any]:
    """
    Begin a notebook's run: load the project's configuration, connect, open its execution and bring its inputs.

    Called again in one kernel it first ends the execution of before.

    Args:
        config_name: of the configuration that `notebook_config` stored; the notebook's file name where None.
        overrides: Hydra overrides; they win over those of a command.
        workflow_name: for people; the configuration's name in title case where None.
        workflow_type: a term of Workflow_Type, or several.
        ml_class: DerivaML or a subclass of it.
        config_package: name of the project's configuration package, in `src` or the folder above.

    Returns:
        The connection, the running execution, the configuration's values.

    Raises:
        DerivaMLConfigurationError: no configuration of that name, or a wrong override; nothing has been written.
        DerivaMLException: what it names is not there, or an input could not be had.
    """
    _kernel.receive()
    _end_former()
    try:
        notebook = notebook_file()
        composed = _composed(config_name or _inferred_name(notebook), notebook, overrides or (), config_package)
        named = workflow_name or _title(composed.document.hydra.job.config_name)
        return _opened(composed, notebook, named, workflow_type, ml_class)
    except DerivaMLException as err:
        if _kernel.handover is not None and is_refusal(err):
            _kernel.handover.refused(err)
        raise


def _inferred_name(notebook: Path | None) -> str:
    if notebook is None:
        raise DerivaMLConfigurationError(
            "the notebook's file can't be found out: name its configuration, run_notebook(\"NAME\")"
        )
    return notebook.stem


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").title()


def _composed(
    name: str, notebook: Path | None, overrides: Sequence[str], config_package: str
) -> ComposedNotebook[BaseConfig]:
    given = in_full([*overrides_from_environment(), *overrides])
    load_project(find_configs(notebook, config_package), config_name=name, overrides=given)
    install_hydra_defaults()
    return compose_notebook(BaseConfig, name, given, job_name=name, keep=True)


def _opened(
    composed: ComposedNotebook[BaseConfig],
    notebook: Path | None,
    workflow_name: str,
    workflow_type: str | list[str],
    ml_class: type[DerivaML] | None,
) -> tuple[DerivaML, Execution, BaseConfig]:
    config, folder = composed.config, composed.folder
    with _taken_back(composed):
        ml = _connected(config.deriva_ml, ml_class)
        try:
            execution = _open(ml, composed, notebook, _workflow(ml, config, workflow_name, workflow_type))
        except BaseException:  # Ctrl-C too: nobody else knows of this connection
            ml.close()
            raise
    _kernel.ml, _kernel.execution = ml, execution
    if _kernel.handover is not None:
        # Registered after the connection's own, so called before it: the command records how the notebook ended.
        atexit.register(execution.leave, ended=True)
    _tell(ml, execution, config.deriva_ml, folder.path if folder else None)
    return ml, execution, config


@contextmanager
def _taken_back(composed: ComposedNotebook[BaseConfig]) -> Iterator[None]:
    """Hydra's folder goes where the run is refused, or is dry."""
    folder = composed.folder
    try:
        yield
    except DerivaMLException as err:
        if folder is not None and is_refusal(err):
            folder.take_back()
        raise
    if folder is not None and composed.config.dry_run:
        folder.take_back()


def _connected(connection: Any, ml_class: type[DerivaML] | None) -> DerivaML:
    if isinstance(connection, DerivaML):
        return connection
    if connection is None:
        raise DerivaMLConfigurationError("deriva_ml says where to connect: choose one with deriva_ml=NAME")
    return (ml_class or DerivaML).instantiate(connection)


def _workflow(ml: DerivaML, config: BaseConfig, name: str, workflow_type: str | list[str]) -> Any:
    """The configuration's own workflow, where it has one; else one of that name and type."""
    chosen = getattr(config, "workflow", None)
    return chosen if chosen is not None else workflow_of(ml, name, workflow_type)


def workflow_of(ml: DerivaML, name: str, workflow_type: str | list[str] = WORKFLOW_TYPE) -> Workflow:
    """A notebook's workflow; the default type gives way where the catalog has no such term."""
    if workflow_type == WORKFLOW_TYPE:
        terms = ml.session.vocabularies.terms(ml.session.model.ml_table("Workflow_Type"))
        if WORKFLOW_TYPE not in terms and SEEDED_TYPE in terms:
            workflow_type = SEEDED_TYPE
    return Workflow(name=name, workflow_type=workflow_type, is_notebook=True)


def _open(ml: DerivaML, composed: ComposedNotebook[BaseConfig], notebook: Path | None, workflow: Any) -> Execution:
    config, handover = composed.config, _kernel.handover
    place = handover.place if handover else None
    if place is not None and not config.dry_run:
        place.require_catalog(ml.hostname, ml.catalog_id)
    facts = hydra_facts(composed, place.sequence if place else None)
    if place is None and not config.dry_run:
        recover_quietly(ml)
    execution = ml.create_execution(
        ExecutionConfiguration(
            datasets=config.datasets,
            assets=config.assets,
            workflow=workflow,
            description=facts.described(config.description or f"Notebook {composed.document.hydra.job.config_name}"),
            config_choices=composed.choices,
        ),
        dry_run=config.dry_run,
        code=handover.code if handover else find_code_reference(notebook),
        hydra=facts,
        place=None if config.dry_run else place,
        owner=handover.owner if handover else None,
        # A notebook shows stderr as a warning.
        reporter=reporting.ConsoleReporter(sys.stdout),
    )
    execution.execution_start()
    if handover is not None:
        listen(handover, execution.saves)
    return execution


def hydra_facts(composed: ComposedNotebook[BaseConfig], job_number: int | None = None) -> HydraFacts:
    """What Hydra would say of the run, had it started it."""
    folder = composed.folder
    return HydraFacts(
        choices=composed.choices,
        overrides=composed.overrides,
        output_dir=folder.path if folder else None,
        config_subdir=composed.document.hydra.output_subdir,
        job_number=job_number,
    )


def _tell(ml: DerivaML, execution: Execution, connection: Any, folder: Path | None) -> None:
    """Say which execution this is: to the command that waits for it, and to whoever reads the cell's output."""
    document = rid_document(execution.journal_entry) | {"hydra_runtime_output_dir": str(folder) if folder else None}
    if _kernel.rid_file:
        write_beside(Path(_kernel.rid_file), json.dumps(document).encode())
    if _kernel.handover is not None:
        _kernel.handover.opened(document | {"dry_run": execution.is_dry_run, "connection": _shared(ml, connection)})
    if execution.is_dry_run:
        sys.stdout.write("Dry run: nothing is written to the catalog.\n")
    else:
        sys.stdout.write(f"  look at it: {where_to_look(ml.session, execution.execution_rid)}\n")


def _shared(ml: DerivaML, connection: Any) -> dict[str, Any]:
    """The connection's fields for another process; never the credential."""
    try:
        config = connection if isinstance(connection, DerivaMLConfig) else DerivaMLConfig.model_validate(connection)
        fields = config.model_dump(mode="json", include=set(DerivaMLConfig.model_fields) - {"credential"})
    except ValueError:  # an open connection, or a class of the project's own
        fields = {}
    return fields | {"hostname": ml.hostname, "catalog_id": ml.catalog_id, "working_dir": str(ml.working_dir)}


def _end_former() -> None:
    """The first cell was run again: the execution of before has not come to its end, but what it staged is kept."""
    ml, execution = _kernel.ml, _kernel.execution
    _kernel.ml = _kernel.execution = None
    if ml is None or execution is None:
        return
    atexit.unregister(execution.leave)
    if execution.status in (Status.created, Status.running):
        execution.abort("run_notebook was called again in the same kernel")
        try:
            execution.commit_output_assets()
        except DerivaMLException as err:  # kept on disk: it must not keep the new execution from being opened
            sys.stdout.write(f"{err}\n")
        sys.stdout.write(f"Execution {execution.execution_rid} of before: {execution.status.value}\n")
    ml.close()

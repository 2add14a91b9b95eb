"""
run_model: one configured model, run inside one execution.

    the model fits its protocol -> connect -> all that is named exists -> record, metadata, inputs
        -> the model -> outputs uploaded -> a last word to the console

Called by Hydra through deriva-ml-run, or directly from Python; what is recorded is the same.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Protocol

from deriva_ml_core.catalog.known_models import known_models_trusted
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.local import where_to_look
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, DerivaMLExecutionError, nearest
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.contributions import require_plugins
from deriva_ml_core.executions.forks import forks_end_here
from deriva_ml_core.executions.hydra_facts import HydraFacts, current_job
from deriva_ml_core.executions.left_threads import tell_of_left_threads
from deriva_ml_core.executions.owner import later_task
from deriva_ml_core.executions.preemption import Save, giving_way
from deriva_ml_core.executions.recovery import recover_quietly
from deriva_ml_core.executions.reporting import Reporter, RunSummary
from deriva_ml_core.executions.signals import GaveWay, Superseded, one_interrupt, termination_raises
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweeps import TRACEBACK_FILE, JobNotStartedError, Place, current_place
from deriva_ml_core.workflows.provenance import CodeReference, find_code_reference
from deriva_ml_core.workflows.source import unwrap

if TYPE_CHECKING:
    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.executions.execution import Execution
    from deriva_ml_core.executions.journal import JournalEntry

INJECTED = ("ml_instance", "execution")


class DerivaMLModel(Protocol):
    """A model: any callable that takes these two by keyword; everything else it takes is configured."""

    def __call__(self, *, ml_instance: DerivaML, execution: Execution | None) -> Any:
        """Train, predict, analyse: write outputs to the paths that `execution.asset_file_path` returns."""


def run_model(  # noqa: PLR0917  # the signature that projects configure
    deriva_ml: Any,
    datasets: Any,
    assets: Any,
    description: str,
    workflow: Any,
    model_config: Any,
    dry_run: bool = False,
    ml_class: Any = None,
    script_config: Any = None,
) -> Any:
    """
    Run a model inside an execution.

    Args:
        deriva_ml: where to connect: a DerivaMLConfig, a mapping with its fields, or an open DerivaML.
        datasets, assets: what it uses: specs, RIDs, "RID@version".
        description: Markdown.
        workflow: a Workflow, or the RID or URL of one in the catalog.
        model_config: the model, all but `ml_instance` and `execution` bound: a partial.
        dry_run: check everything, bring the inputs, say what would be recorded; write nothing to the catalog.
        ml_class: DerivaML or a subclass of it.
        script_config: instead of model_config; called in a dry run too, with execution=None.

    Returns:
        The number, or the list of numbers, that the model returns: what a sweeper such as Optuna's optimises. None for
        anything else that it returns, which may be too large for its way from a worker.

    Raises:
        DerivaMLException: wrong input (exit code 2, nothing written), or outputs that wait on disk (exit code 3).
        BaseException: whatever the model raises; the execution is recorded as Failed, or Aborted for Ctrl-C and
            SIGTERM.
    """
    saves: list[Save] = []
    with in_its_place(current_place()) as place, giving_way(saves), known_models_trusted(place is not None):
        model = script_config if script_config is not None else model_config
        require_model(model, "script_config" if script_config is not None else "model_config")
        with termination_raises(), _connected(deriva_ml, ml_class) as ml:
            require_plugins(ml.plugins)
            job = current_job() or HydraFacts()
            configuration = ExecutionConfiguration(
                datasets=datasets,
                assets=assets,
                workflow=workflow,
                description=job.described(description or ""),
                config_choices=dict(job.choices),
            )
            if place is None and not dry_run:
                recover_quietly(ml)
            run = _Run(ml, model, configuration, job, _reporter(ml, place), place=place, saves=saves)
            if dry_run:
                run.dry(call=script_config is not None)
            elif later_task(os.environ):
                run.beside()
            else:
                return run.recorded()
    return None


def _reporter(ml: DerivaML, place: Place | None) -> Reporter:
    """Who tells of this run; of a job whose sweep has a table on the terminal, the console tells only warnings."""
    chosen = reporting.current(ml.plugins)
    told = place is not None and place.sweep.shown and isinstance(chosen, reporting.ConsoleReporter)
    return reporting.WarningsReporter() if told else chosen


@contextmanager
def in_its_place(place: Place | None) -> Iterator[Place | None]:
    """A job of a sweep: it starts when the sweep still goes on, and whatever ends it leaves the other jobs alone."""
    if place is None:
        yield None
        return
    try:
        place.require_turn()
        with one_interrupt() if place.interrupted is None else nullcontext():
            yield place
    except (JobNotStartedError, GaveWay, Superseded):
        raise
    except BaseException as err:
        place.sweep.failed()
        other = place.ended_by(err)
        if other is err:
            raise
        raise other from err


def require_model(model: Any, key: str) -> None:
    """
    Refuse a model that run_model can't call, before anything is written.

    Raises:
        DerivaMLConfigurationError: it is no callable, or does not take `ml_instance` and `execution`.
    """
    if not callable(model):
        raise DerivaMLConfigurationError(
            f"{key} is no model but {model!r}: choose one with {key}=NAME; a model is stored with zen_partial=True"
        )
    takes = _parameters(model)
    missing = [name for name in INJECTED if takes is not None and name not in takes]
    if missing:
        raise DerivaMLConfigurationError(
            f"the model {_name(model)} does not take {' and '.join(missing)}: "
            f"add {' and '.join(f'{name}=None' for name in missing)} to its parameters"
        )
    _require_arguments(model, key)


def _require_arguments(model: Any, key: str) -> None:
    """Refuse a call that Python would refuse: a configured value too many, a required one too few."""
    _, bound, inner = _bound(model)
    takes = _parameters(inner)
    for name in bound:
        if takes is not None and name not in takes:
            raise DerivaMLConfigurationError(
                f"the model {_name(model)} does not take {key}.{name}{nearest(name, takes)} "
                f"(it takes: {', '.join(takes)})"
            )
    try:
        inspect.signature(model).bind(ml_instance=None, execution=None)
    except TypeError as err:  # "missing a required argument: 'learning_rate'"
        raise DerivaMLConfigurationError(f"the model {_name(model)} can't be called: {err}; set it in {key}") from err
    except ValueError:  # a callable of C that does not say what it takes
        return


def _parameters(function: Any) -> list[str] | None:
    """What a callable takes by name; None where it takes any name, or does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a callable of C, or a partial that binds what its function does not take
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY]


def _bound(model: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """The values that partials have bound, by position and by name, and the callable inside."""
    positional: tuple[Any, ...] = ()
    bound: dict[str, Any] = {}
    while isinstance(model, functools.partial):
        positional, bound = (*model.args, *positional), {**model.keywords, **bound}
        model = model.func
    return positional, bound, model


@contextmanager
def _connected(deriva_ml: Any, ml_class: Any) -> Iterator[DerivaML]:
    """The connection; one that the caller has opened stays open."""
    if isinstance(deriva_ml, DerivaML):
        yield deriva_ml
        return
    if deriva_ml is None:
        raise DerivaMLConfigurationError("deriva_ml says where to connect: choose one with deriva_ml=NAME")
    with (ml_class or DerivaML).instantiate(deriva_ml) as ml:
        yield ml


class _Run:
    """One run of one model."""

    def __init__(
        self,
        ml: DerivaML,
        model: Any,
        configuration: ExecutionConfiguration,
        job: HydraFacts,
        reporter: Reporter,
        *,
        place: Place | None,
        saves: list[Save],
    ) -> None:
        self._ml, self._model, self._configuration = ml, model, configuration
        self._job, self._reporter, self._place, self._saves = job, reporter, place, saves

    def recorded(self) -> Any:
        """Run it and record it; the objective that it returns."""
        if self._place is not None:
            self._place.require_catalog(self._ml.hostname, self._ml.catalog_id)
        execution = self._ml.create_execution(
            self._configuration, code=self._code(), hydra=self._job, reporter=self._reporter, place=self._place
        )
        execution.saves = self._saves
        report: UploadReport | None = None
        before = set(threading.enumerate())
        try:
            with _exit_means_failure(), execution.execute(upload_follows=True), forks_end_here():
                self._reporter.say(f"Running {_name(self._model)}")
                objective = _objective(self._model(ml_instance=self._ml, execution=execution))
            with suppress(OSError, DerivaMLException):  # a log that can't be read must not cost the outputs
                execution.keep_log()
            with self._reporter.transfer("outputs") as progress:
                report = execution.commit_output_assets(progress_callback=progress)
        except (GaveWay, Superseded):
            execution.leave()
            raise
        except BaseException:
            _keep_traceback(execution)
            raise
        finally:
            self._reporter.ended(run_summary(self._ml, execution, report))
            tell_of_left_threads(before, self._reporter.warn)
        return objective

    def beside(self) -> None:
        """
        Run it as a further task of a job whose first task keeps the record: it gets the same inputs, and an execution
        that writes nothing to the catalog.
        """
        execution = self._ml.create_execution(self._configuration, dry_run=True, code=self._code(), hydra=self._job)
        execution.saves = self._saves
        try:
            with forks_end_here():
                self._model(ml_instance=self._ml, execution=execution)
        finally:
            execution.close("a further task of its job")

    def dry(self, *, call: bool) -> None:
        """Check all, bring the inputs, and say what would be recorded."""
        code = self._code()
        execution = self._ml.create_execution(
            self._configuration, dry_run=True, code=code, hydra=self._job, reporter=self._reporter
        )
        try:
            for line in _plan(execution, self._model, code):
                self._reporter.say(line)
            if call:
                self._model(ml_instance=self._ml, execution=None)
        finally:
            execution.close("dry run")

    def _code(self) -> CodeReference:
        code = find_code_reference(self._model)
        if code.warning and self._place is None:  # of a sweep it is said once
            self._reporter.warn(code.warning)
        return code


@contextmanager
def _exit_means_failure() -> Iterator[None]:
    """
    A model that leaves by sys.exit(0) has not come to its end, and the exit code must not say that it had.

    Raises:
        DerivaMLExecutionError: it called sys.exit(0).
    """
    try:
        yield
    except SystemExit as err:
        if err.code not in (None, 0):
            raise
        raise DerivaMLExecutionError(
            "the model called sys.exit() instead of returning: its outputs are kept on disk, not uploaded"
        ) from err


def _objective(value: Any) -> Any:
    """A number, or numbers, of what a model returns."""
    if isinstance(value, str | bytes):
        return None
    if isinstance(value, list | tuple):
        return list(value) if value and all(isinstance(one, int | float) for one in value) else None
    try:
        return value if isinstance(value, int) else float(value)  # numpy's and torch's numbers too
    except (TypeError, ValueError, RuntimeError):
        return None


def _keep_traceback(execution: Execution) -> None:
    """Beside the journal: it does not travel from a worker to the process that launched the sweep."""
    text = traceback.format_exc().encode(errors="backslashreplace")  # it may quote what is no UTF-8
    with suppress(OSError):  # a full disk must not hide why the run failed
        (execution.working_dir / TRACEBACK_FILE).write_bytes(text)


def _untold(entry: JournalEntry) -> str | None:
    return "the catalog was not told" if "status" in entry.pending else None


def run_summary(ml: DerivaML, execution: Execution, report: UploadReport | None) -> RunSummary:
    """The last words on an execution that has ended."""
    entry = execution.journal_entry
    done = execution.status is Status.uploaded
    return RunSummary(
        rid=entry.rid,
        status=entry.status,
        detail=_untold(entry) if done else entry.detail,
        where=where_to_look(ml.session, entry.rid),
        outputs=entry.outputs,
        durations=entry.durations,
        warnings=report.warnings if report else (),
        folder=None if done and ml.clean_execution_dir else str(execution.working_dir),
    )


def _plan(execution: Execution, model: Any, code: CodeReference) -> Iterator[str]:
    """What a dry run tells."""
    configuration = execution.configuration
    workflow = configuration.workflow
    yield "Dry run: nothing is written to the catalog."
    yield f"  workflow: {getattr(workflow, 'name', workflow)} ({', '.join(getattr(workflow, 'types', []))})"
    yield f"  code: {code.url or code.note or 'unknown'}"
    yield f"  description: {configuration.description}"
    for bag in execution.datasets:
        yield f"  input dataset: {bag.dataset_rid}@{bag.current_version}"
    for table, paths in execution.asset_paths.items():
        yield f"  input {table}: {', '.join(path.file_name for path in paths)}"
    for group, choice in configuration.config_choices.items():
        if not group.startswith("hydra/"):
            yield f"  {group}: {choice}"
    yield f"  call: {_call_text(model)}"


def _call_text(model: Any) -> str:
    """The call of a model as a person would write it."""
    positional, bound, _ = _bound(model)
    named = (f"{name}={value!r}" for name, value in bound.items() if name not in INJECTED)
    arguments = [*(repr(value) for value in positional), *named]
    return f"{_name(model)}({', '.join([*arguments, *(f'{name}=…' for name in INJECTED)])})"


def _name(model: Any) -> str:
    target = unwrap(model)
    module = getattr(target, "__module__", None)
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return f"{module}.{name}" if module and module != "__main__" else str(name)

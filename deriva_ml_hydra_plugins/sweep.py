"""A sweep in the process that launches it: its parent execution, from its opening to its end."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.catalog import rows
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.local import LOCAL, served_url
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.children import Unstarted, make_children
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.contributions import require_plugins
from deriva_ml_core.executions.execution import Execution
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.journal import JournalEntry
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.recovery import recover_quietly
from deriva_ml_core.executions.reporting import SILENT, ConsoleReporter, Reporter
from deriva_ml_core.executions.resuming import Resumption, current_resumption, reopen
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import Child, end_parent, end_the_dead, settle, stop_children
from deriva_ml_core.executions.sweeps import Shared, SweepFacts, SweepJob, current_subject, keep_jobs
from deriva_ml_core.executions.validation import validate
from deriva_ml_core.hookvalues import ChildEnd, SweepOutline
from deriva_ml_core.runner import require_model, where_to_look
from deriva_ml_core.workflows.provenance import CodeReference, find_code_reference
from deriva_ml_core.workflows.sameness import code_facts
from deriva_ml_core.workflows.workflow import Workflow
from deriva_ml_hydra_plugins.closing import last_words
from deriva_ml_hydra_plugins.interrupts import CTRL_C, Interrupts
from deriva_ml_hydra_plugins.plan import Plan, as_current, build, make_plan, model_of, plan_again
from deriva_ml_hydra_plugins.progress import Jobs, LiveTable, PlainLines, Progress, is_terminal
from deriva_ml_hydra_plugins.slurm_sweep import (
    asked_to_leave,
    cancel,
    launches_slurm_jobs,
    place_of,
    require_served_catalog,
    running_jobs,
    slurm_words,
)

log = logging.getLogger(__name__)

ON_FAILURE = ("continue", "stop")
LOOK_EVERY_S = 2.0
"""Between two looks for jobs whose process is gone."""


@dataclass(frozen=True, slots=True)
class Manner:
    """
    How a sweep goes on.

    Args:
        stop_on_failure: no job starts after one has failed.
        table: a live table tells of the jobs, where there is a terminal.
        report: a page of the whole sweep is stored at its end.
    """

    stop_on_failure: bool = False
    table: bool = True
    report: bool = True


def open_sweep(config: DictConfig, on_failure: str, *, table: bool = True, report: bool = True) -> RunningSweep | None:
    """
    Check a sweep and open its parent.

    Returns:
        None where there is nothing to record: another kind of application, or a dry run.

    Raises:
        DerivaMLException: the sweep can't run as it is; nothing has been written.
    """
    if "deriva_ml" not in config or ("workflow" not in config and current_subject() is None):
        return None
    if on_failure not in ON_FAILURE:
        raise DerivaMLConfigurationError(
            f"hydra.callbacks.deriva_ml.on_failure is {on_failure!r}; choose {' or '.join(ON_FAILURE)}"
        )
    loader, resumption = GlobalHydra.instance().config_loader(), current_resumption()
    if resumption is None:
        plan = make_plan(config, loader)
    else:
        jobs = {number: list(resumption.jobs[number].overrides) for number in resumption.left}
        plan = plan_again(config, loader, jobs)
    if plan.first.get("dry_run"):
        return None
    with as_current(plan.first):
        manner = Manner(stop_on_failure=on_failure == "stop", table=table, report=report)
        return _open(config, plan, resumption, manner)


def _open(config: DictConfig, plan: Plan, resumption: Resumption | None, manner: Manner) -> RunningSweep:
    connection = _one_connection(plan)
    if launches_slurm_jobs(config):
        require_served_catalog(connection)
    model, key = model_of(plan.first)
    if model is not None:
        require_model(model, key)
    ml = (build(plan.first, "ml_class") or DerivaML).instantiate(connection)
    try:
        require_plugins(ml.plugins)
        subject = current_subject()
        workflow = subject.workflow(ml) if subject is not None else build(plan.first, "workflow")
        _check_inputs(ml, plan, workflow)
        code = subject.code if subject is not None else _code_of(model)
        if code.warning:
            reporting.current(ml.plugins).warn(code.warning)
        facts = code_facts(code)
        if resumption is not None:
            resumption.require_code(facts)
            execution = reopen(ml, resumption)
            return RunningSweep(ml, execution, plan, manner, jobs=resumption.jobs)
        recover_quietly(ml)
        execution = ml.create_execution(
            ExecutionConfiguration(
                workflow=workflow,
                description=HydraFacts().described(str(plan.first.get("description") or "")),
                config_choices=_common_choices(plan),
            ),
            code=code,
            sweep={
                **_document(config, plan),
                "code": facts,
                "report": manner.report,
                "subject": dict(subject.facts) if subject is not None else None,
            },
            reporter=reporting.current(ml.plugins),
        )
        return RunningSweep(ml, execution, plan, manner)
    except BaseException:  # Ctrl-C too: no connection stays open without anybody who closes it
        ml.close()
        raise


def _code_of(model: Any) -> CodeReference:
    return find_code_reference(model) if model is not None else CodeReference()


def _one_connection(plan: Plan) -> Any:
    """
    The connection of all jobs.

    Raises:
        DerivaMLConfigurationError: they go to more than one catalog.
    """
    places: dict[tuple[str, str], Any] = {}
    for outline in plan.outlines:
        with as_current(outline):
            connection = build(outline, "deriva_ml")
        if connection is None:
            raise DerivaMLConfigurationError("deriva_ml says where to connect: choose one with deriva_ml=NAME")
        places.setdefault(place_of(connection), connection)
    if len(places) > 1:
        named = " and ".join(f"catalog {catalog} of {host}" for host, catalog in places)
        raise DerivaMLConfigurationError(
            f"the jobs of this sweep would be recorded in {named}: a sweep is one parent in one catalog, "
            "run one for each catalog"
        )
    return next(iter(places.values()))


def _check_inputs(ml: DerivaML, plan: Plan, workflow: Any) -> None:
    """All that any job names is there, before the first starts."""
    datasets: list[Any] = []
    assets: list[Any] = []
    for outline in plan.outlines:
        with as_current(outline):
            named = ExecutionConfiguration(datasets=build(outline, "datasets"), assets=build(outline, "assets"))
        datasets += [one for one in named.datasets if one not in datasets]
        assets += [one for one in named.assets if one not in assets]
    validate(ml.session, ExecutionConfiguration(datasets=datasets, assets=assets, workflow=workflow))


def _common_choices(plan: Plan) -> dict[str, str]:
    """The options that every job has chosen."""
    every = [dict(outline.hydra.runtime.choices) for outline in plan.outlines]
    first = every[0].items()
    return {str(k): str(v) for k, v in first if v is not None and all(one.get(k) == v for one in every)}


def _document(config: DictConfig, plan: Plan) -> dict[str, Any]:
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    return {
        "overrides": plan.overrides,
        "hydra_overrides": [str(token) for token in config.hydra.overrides.hydra],
        "job_name": str(config.hydra.job.name),
        "launcher": launcher,
        "sweeper": plan.sweeper,
        "sweep_dir": str(config.hydra.sweep.dir),
        "jobs": None if plan.jobs is None else list(plan.jobs.values()),
    }


def _shared(ml: DerivaML, execution: Execution) -> Shared:
    workflow = execution.configuration.workflow
    return Shared(
        workflow if isinstance(workflow, Workflow) else None,
        ml.session.vocabularies.known,
        Staging(execution.working_dir).stored(),
    )


class RunningSweep:
    """
    One sweep, while its launching process lives.

    Args:
        ml: the connection; closed at the end.
        execution: the parent.
        jobs: those that have executions already, in a sweep that is resumed.
    """

    def __init__(
        self,
        ml: DerivaML,
        execution: Execution,
        plan: Plan,
        manner: Manner,
        *,
        jobs: Mapping[int, SweepJob] | None = None,
    ) -> None:
        self.plan, self.resumed = plan, jobs is not None
        self.interrupts = Interrupts()
        self.jobs: dict[int, SweepJob] = dict(jobs or {})
        self.unstarted: dict[int, Unstarted] = {}
        self.failures: dict[int, BaseException] = {}
        self.over = False  # whether the launcher has given back all jobs
        self.children: list[Child] = []
        self._wants_report = manner.report
        self._ml, self._execution = ml, execution
        self._lock, self._finished = threading.Lock(), False
        self._reporter: Reporter = reporting.current(ml.plugins)
        self.facts = SweepFacts(
            execution.execution_rid,
            ml.hostname,
            ml.catalog_id,
            execution.working_dir,
            this_process(),
            stop_on_failure=manner.stop_on_failure,
            shown=manner.table and is_terminal() and isinstance(self._reporter, ConsoleReporter),
            children={number: job.rid for number, job in self.jobs.items()},
            shared=_shared(ml, execution),
            catalog_url=served_url() if ml.hostname == LOCAL else None,
        )
        execution.execution_start()
        self.launching(plan.jobs or {})
        self._ml.plugins.gather("deriva_sweep_opened", sweep=self._outline())
        self.interrupts.watch()
        self.progress = self._progress()
        if self.progress is not None:
            self.progress.start()
        self._watching = threading.Event()
        self._watch = threading.Thread(target=self._end_the_dead, name="deriva-ml-sweep", daemon=True)
        self._watch.start()
        # Hydra tells nobody of an end by an exception: the interpreter's own end is the last that can.
        atexit.register(self.finish)

    @property
    def entry(self) -> JournalEntry:
        """What the parent's journal says."""
        return self._execution.journal_entry

    def launching(self, jobs: Mapping[int, Sequence[str]]) -> None:
        """These are launched next: each has an execution, which the journal knows before the catalog does."""
        new = {number: job for number, job in jobs.items() if number not in self.jobs}
        if not new:
            return
        session = self._ml.session
        rids = rows.lease_rids(session, len(new))
        made = {number: SweepJob(rid, tuple(job)) for rid, (number, job) in zip(rids, new.items(), strict=True)}
        self.jobs |= made
        keep_jobs(self.facts.folder, self.jobs)
        make_children(session, self._execution.journal_entry, made)
        self.facts.children.update({number: job.rid for number, job in made.items()})

    def submitted(self, slurm_jobs: Mapping[int, str]) -> None:
        """SLURM has taken these jobs; whoever ends this sweep's record must know them, also where this process dies."""
        self.jobs |= {number: replace(self.jobs[number], slurm_job=job) for number, job in slurm_jobs.items()}
        keep_jobs(self.facts.folder, self.jobs)

    def finish(self) -> Status:
        """Give every child and the parent a true end, once."""
        with self._lock:
            if self._finished:
                return self._execution.status
            self._finished = True
        try:
            self._watching.set()
            self._watch.join()
            by = self.interrupts.by
            if by is not None and self._stopped(by):
                by = None
            return self._settle(by)
        except DerivaMLException as err:
            err.execution_rid = err.execution_rid or self.facts.parent  # for the exit code: something was written
            advice = "type `deriva-ml-executions recover` when it can be"
            self._reporter.warn(f"the end of the sweep is not in the catalog: {err}; {advice}")
            raise
        finally:
            self.interrupts.release()
            if self.progress is not None:
                self.progress.stop()
            if self.children:
                self._report()
                self._tell_ended()
            atexit.unregister(self.finish)
            if not self._execution.status.is_final:  # recovery ends it; to close the connection would abort it
                self._execution.leave()
            self._ml.close()

    def _settle(self, stopped_by: str | None) -> Status:
        entry = self._execution.journal_entry
        unstarted = self._unstarted()
        self.children = settle(self._ml.session, self._ml.working_dir, entry, self.jobs, unstarted, over=self.over)
        status = end_parent(self._execution, self.children, stopped_by)
        self._keep_report()
        return status

    def _keep_report(self) -> None:
        """The parent has its end by now; who stopped the sweep does not wait for a page."""
        if self._wants_report and self.interrupts.by is None and self._execution.status.is_final:
            self._ml.keep_report(self._execution.execution_rid)

    def _stopped(self, by: str) -> bool:
        """This process was told to end: end the jobs, too, or leave those of SLURM's running; whether they are left."""
        slurm_jobs = running_jobs(self.jobs.values())
        if self.progress is not None and slurm_jobs:  # a live table would draw over the question
            self.progress.stop()
        if slurm_jobs and by == CTRL_C and asked_to_leave(len(slurm_jobs)):
            self._reporter.say(f"Detached. Come back with: deriva-ml-executions watch {self.facts.parent}")
            return True
        self.facts.stop(f"the sweep was stopped by {by}")
        stop_children(self._ml.working_dir, self.facts.parent)
        cancel(slurm_jobs, self._reporter)
        return False

    def _end_the_dead(self) -> None:
        """A job that is killed has its true status soon, not only when the sweep ends."""
        known: set[str] = {self.facts.parent}
        while not self._watching.wait(LOOK_EVERY_S):
            if self.progress is not None:
                self.progress.look()
            try:
                end_the_dead(self._ml.session, self._ml.working_dir, self.facts.parent, known, dict(self.jobs))
            except DerivaMLException as err:  # the sweep's end looks again
                log.warning("sweep %s: %s", self.facts.parent, err)

    def _unstarted(self) -> dict[int, Unstarted]:
        """Why jobs have no child, where the sweep was stopped: they had no turn."""
        if self.interrupts.by is None:
            return self.unstarted
        why = Unstarted(Status.aborted, f"not started: the sweep was stopped by {self.interrupts.by}")
        return {number: self.unstarted.get(number, why) for number in self.jobs}

    def _outline(self) -> SweepOutline:
        jobs = {number: tuple(job.overrides) for number, job in self.jobs.items()}
        return SweepOutline(self.facts.parent, self.facts.hostname, self.facts.catalog_id, jobs)

    def _tell_ended(self) -> None:
        entry = self._execution.journal_entry
        ends = [ChildEnd(child.rid, child.sequence, child.status.value, child.detail) for child in self.children]
        self._ml.plugins.gather(
            "deriva_sweep_ended", sweep=self._outline(), status=entry.status.value, detail=entry.detail, children=ends
        )

    def _report(self) -> None:
        entry = self._execution.journal_entry
        for line in last_words(self._ml.working_dir, entry, self.children):
            self._reporter.say(line)
        self._reporter.say(f"  look at it: {where_to_look(self._ml, entry.rid)}")

    def _progress(self) -> Progress | None:
        if self._reporter is SILENT:
            return None
        jobs = Jobs(self._ml.working_dir, self.jobs, lambda: slurm_words(self.jobs.values()))
        if self.facts.shown:
            return LiveTable(self.facts.parent, jobs)
        return PlainLines(self.facts.parent, jobs, self._reporter)

"""A sweep in the process that launches it, from its first job to its end."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.catalog import rows
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.local import LOCAL, served_url, where_to_look
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.children import Unstarted, make_children
from deriva_ml_core.executions.execution import Execution
from deriva_ml_core.executions.journal import JournalEntry
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.recovery import keeper_of_killed
from deriva_ml_core.executions.reporting import SILENT, ConsoleReporter, Reporter
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import Child, end_parent, end_the_dead, settle, stop_children
from deriva_ml_core.executions.sweeps import Shared, SweepFacts, SweepJob, keep_jobs
from deriva_ml_core.hookvalues import ChildEnd, SweepOutline
from deriva_ml_core.workflows.workflow import Workflow
from deriva_ml_hydra_plugins.closing import last_words
from deriva_ml_hydra_plugins.interrupts import CTRL_C, TERMINAL_CLOSED, Interrupts
from deriva_ml_hydra_plugins.plan import Plan
from deriva_ml_hydra_plugins.progress import Jobs, LiveTable, PlainLines, Progress, is_terminal
from deriva_ml_hydra_plugins.slurm_sweep import (
    asked_to_leave,
    cancel,
    running_jobs,
    slurm_words,
)

log = logging.getLogger(__name__)

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
        self._job_runs_here = False
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

    def job_starts_here(self) -> None:
        """A job runs in this process: it tells of its end itself."""
        self._job_runs_here = True

    def job_ends_here(self) -> None:
        """It has told: now it is counted, before the next one says a word."""
        self._job_runs_here = False
        if self.progress is not None:
            self.progress.look()

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
        killed = keeper_of_killed(self._ml)
        self.children = settle(
            self._ml.session, self._ml.working_dir, entry, self.jobs, unstarted, over=self.over, killed=killed
        )
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
        if slurm_jobs and (by == TERMINAL_CLOSED or (by == CTRL_C and asked_to_leave(len(slurm_jobs)))):
            self._reporter.say(f"Detached. Come back with: deriva-ml-executions watch {self.facts.parent}")
            return True
        self.facts.stop(f"the sweep was stopped by {by}")
        stop_children(self._ml.working_dir, self.facts.parent)
        cancel(slurm_jobs, self._reporter)
        return False

    def _end_the_dead(self) -> None:
        """A job that is killed has its true status soon, not only when the sweep ends."""
        known, killed = {self.facts.parent}, keeper_of_killed(self._ml)
        while not self._watching.wait(LOOK_EVERY_S):
            if self.progress is not None and not self._job_runs_here:
                self.progress.look()
            try:
                end_the_dead(self._ml.session, self._ml.working_dir, self.facts.parent, known, dict(self.jobs), killed)
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
        self._reporter.say(f"  look at it: {where_to_look(self._ml.session, entry.rid)}")

    def _progress(self) -> Progress | None:
        if self._reporter is SILENT:
            return None
        jobs = Jobs(self._ml.working_dir, self.jobs, lambda: slurm_words(self.jobs.values()))
        if self.facts.shown:
            return LiveTable(self.facts.parent, jobs)
        return PlainLines(self.facts.parent, jobs, self._reporter)

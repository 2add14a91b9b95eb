"""
Resuming a sweep: its jobs that have not reached Uploaded run again, as the same executions under the same parent.

    prepare     in the command: what the sweep was, from its folder, else from the catalog; which jobs are left
    reopen      in the process that launches them: the parent runs again, and so will the children
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLNotFoundError, DerivaMLValidationError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.beginning import put_aside
from deriva_ml_core.executions.committing import model_finished
from deriva_ml_core.executions.fetching import fetch_outputs
from deriva_ml_core.executions.journal import (
    FILE_NAME,
    Change,
    Journal,
    JournalEntry,
    executions_folder,
    now,
    read_entry,
)
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.recovery import Reopening, recover
from deriva_ml_core.executions.redaction import REDACTED
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import children_of, end_parent
from deriva_ml_core.executions.sweeps import STOP_FILE, SWEEP_FILE, SweepJob, keep_jobs, kept_jobs, kept_sweep

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.execution import Execution


@dataclass(frozen=True, slots=True)
class Resumption:
    """
    A sweep that is to go on.

    Args:
        parent: its RID.
        jobs: all of them, by number; `left` are the numbers of those that run again.
        uploaded: of how many nothing but their outputs was missing, which are in the catalog now.
        hydra: the overrides of Hydra's own configuration that it had.
        job_name: as Hydra knew it.
        code: what ran, as `code_facts` gives it.
        other_code: code that differs from it is allowed.
        report: one is stored at the end.
        subject: what a notebook's sweep kept of it beside the configuration.
    """

    parent: str
    jobs: Mapping[int, SweepJob]
    left: tuple[int, ...]
    uploaded: int = 0
    hydra: tuple[str, ...] = ()
    job_name: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    other_code: bool = False
    report: bool = False
    subject: Mapping[str, Any] = field(default_factory=dict)

    def require_code(self, present: Mapping[str, str]) -> None:
        """
        Refuse code that differs from what the sweep has run so far.

        Raises:
            DerivaMLConfigurationError: it does; says how.
        """
        changed = [name for name, value in self.code.items() if value != present.get(name, "")]
        if not changed or self.other_code:
            return
        if "commit" in changed:
            how = f"ran at commit {self.code['commit'] or '(none)'}, this is {present.get('commit') or '(none)'}"
        else:
            how = "ran with other uncommitted changes than there are now"
        raise DerivaMLConfigurationError(
            f"sweep {self.parent} {how}: get that code back (deriva-ml-executions show {self.parent} has the link), "
            "or say --allow-other-code"
        )


_resumption: ContextVar[Resumption | None] = ContextVar("deriva_ml_resumption", default=None)


def current_resumption() -> Resumption | None:
    """The sweep that this context is to resume; None where a sweep is a new one."""
    return _resumption.get()


@contextmanager
def resuming(resumption: Resumption) -> Iterator[None]:
    """The next sweep in here is this one."""
    token = _resumption.set(resumption)
    try:
        yield
    finally:
        _resumption.reset(token)


# --- in the command ---------------------------------------------------------------------------------------------------


def prepare(ml: Reopening, rid: str, *, other_code: bool = False, notebook: str = "") -> Resumption:
    """
    Find out what is left of a sweep. Outputs that only wait for their upload are uploaded now.

    Args:
        notebook: what its jobs run, as `Subject.facts` names it; "" for a model.

    Raises:
        DerivaMLExecutionNotFound: there is no such execution.
        DerivaMLValidationError: it is no sweep, or one of something else, jobs of it may still run, or its overrides
            were not recorded.
        DerivaMLUploadError: outputs wait, and can't be uploaded now either.
    """
    parent = lookup_execution(ml.session, rid).execution_rid
    for _ in recover(ml):
        pass
    _require_ended(ml.session, parent)
    folder = executions_folder(ml.working_dir) / parent
    document = _sweep_document(ml, parent, folder)
    subject = document.get("subject") or {}
    _require_same(parent, str(subject.get("notebook", "")), notebook)
    kept = {number: replace(job, slurm_job="") for number, job in kept_jobs(folder).items()}  # SLURM gives new ones
    jobs = kept or _recorded_jobs(ml.session, parent, document)
    uploaded = _upload_what_waits(ml, jobs)
    done = {child.rid for child in children_of(ml.session, parent) if child.well}
    return Resumption(
        parent,
        jobs,
        tuple(number for number, job in sorted(jobs.items()) if job.rid not in done),
        uploaded=uploaded,
        hydra=tuple(document.get("hydra_overrides") or ()),
        job_name=document.get("job_name"),
        code=document.get("code") or {},
        other_code=other_code,
        report=bool(document.get("report")),
        subject=subject,
    )


def _require_same(parent: str, recorded: str, named: str) -> None:
    """Each command resumes its own sweeps, and a notebook's only that notebook's."""
    if recorded == named:
        return
    what = f"the notebook {recorded}" if recorded else "a model"
    how = f"deriva-ml-run-notebook {recorded} --resume {parent}" if recorded else f"deriva-ml-run --resume {parent}"
    raise DerivaMLValidationError(f"sweep {parent} is one of {what}: `{how}` resumes it")


def _require_ended(session: CatalogSession, parent: str) -> None:
    children = children_of(session, parent)
    if not children:
        raise DerivaMLValidationError(f"execution {parent} is no sweep: it has no children")
    if running := [child for child in children if child.open]:
        shown = ", ".join(child.rid for child in running[:5])
        raise DerivaMLValidationError(
            f"{len(running)} of the jobs of sweep {parent} may still run ({shown}): wait for them, or end them first"
        )


def _sweep_document(ml: Reopening, parent: str, folder: Path) -> dict[str, Any]:
    """What was recorded of the sweep: on disk, else in the catalog."""
    if (on_disk := kept_sweep(folder / "metadata")) is not None:
        return on_disk
    with tempfile.TemporaryDirectory(prefix="deriva-ml-resume-") as there:
        try:
            (path,) = fetch_outputs(ml.session, parent, Path(there) / "files", ml.cache_dir, names=[SWEEP_FILE])
        except DerivaMLNotFoundError as err:
            raise DerivaMLValidationError(f"execution {parent} is no sweep: it has no file {SWEEP_FILE}") from err
        return dict(json.loads(Path(path).read_bytes()))


def _recorded_jobs(session: CatalogSession, parent: str, document: Mapping[str, Any]) -> dict[int, SweepJob]:
    """The jobs as the catalog has them, where the sweep's folder is gone."""
    overrides = document.get("jobs")
    if overrides is None:
        raise DerivaMLValidationError(
            f"the jobs of sweep {parent} were chosen by {document.get('sweeper')} as it went on, and the folder that "
            "knows them is gone: run the sweep anew"
        )
    secret = [token for job in overrides for token in job if REDACTED in token]
    if secret:
        raise DerivaMLValidationError(
            f"sweep {parent} was given a secret ({secret[0]}), which the catalog does not hold: resume it where it was "
            "started, or run it anew"
        )
    numbered = {link.sequence: link.child for link in nesting.neighbours(session, [parent], "children")}
    return {number: SweepJob(numbered[number], tuple(job)) for number, job in enumerate(overrides)}


def _upload_what_waits(ml: Reopening, jobs: Mapping[int, SweepJob]) -> int:
    """Finish the jobs whose model came to its end."""
    done = 0
    for job in jobs.values():
        folder = executions_folder(ml.working_dir) / job.rid
        if not (folder / FILE_NAME).exists():
            continue
        entry = read_entry(folder)
        if entry.damaged or entry.status is Status.uploaded or not model_finished(entry):
            continue
        ml.resume_execution(job.rid).commit_output_assets()
        done += 1
    return done


def finish(ml: Reopening, resumption: Resumption) -> Status:
    """Give a parent whose jobs are all Uploaded its true end."""
    status = lookup_execution(ml.session, resumption.parent).status
    if status is Status.uploaded:
        return status
    parent = reopen(ml, resumption)
    parent.execution_start()
    status = end_parent(parent, children_of(ml.session, resumption.parent))
    if resumption.report:
        ml.keep_report(resumption.parent)
    return status


# --- in the launching process -----------------------------------------------------------------------------------------


def reopen(ml: Reopening, resumption: Resumption) -> Execution:
    """
    Let the parent, and those of its children that are to run again, be as before their start.

    Raises:
        DerivaMLException: the catalog could not be told; doing it again is right.
    """
    folder = executions_folder(ml.working_dir) / resumption.parent
    if not (folder / FILE_NAME).exists():
        Journal.start(folder, _entry_of(ml.session, resumption.parent))
    (folder / STOP_FILE).unlink(missing_ok=True)
    keep_jobs(folder, resumption.jobs)
    parent = ml.resume_execution(resumption.parent)
    parent.begin_again(f"resumed: {len(resumption.left)} of {len(resumption.jobs)} jobs run again")
    left = [resumption.jobs[number].rid for number in resumption.left]
    for rid in left:
        _let_go(executions_folder(ml.working_dir) / rid)
    word = ml.session.model.generation.status_word(Status.created.value)
    again = [{"RID": rid, "Status": word, "Status_Detail": "waits to run again"} for rid in left]
    rows.update(ml.session, ml.session.model.ml_table("Execution"), again)
    return parent


def _let_go(folder: Path) -> None:
    """An attempt's files are kept, below `attempts`; the next attempt starts with none."""
    if (folder / FILE_NAME).exists():
        put_aside(folder)
        (folder / FILE_NAME).unlink()


def _entry_of(session: CatalogSession, rid: str) -> JournalEntry:
    """A journal for a parent whose folder is gone."""
    record: ExecutionRecord = lookup_execution(session, rid)
    return JournalEntry(
        rid=rid,
        hostname=session.hostname,
        catalog_id=session.catalog_id,
        status=record.status,
        changes=(Change(record.status, now(), record.status_detail),),
        workflow_rid=record.workflow_rid,
        description=record.description or "",
    )

"""
A sweep's place in the record: which parent a job belongs to, and what the launching process knows of its jobs.

    SweepFacts   of a sweep; travels to the jobs' processes with Hydra's callback
    SweepJob     one of its jobs, as the parent's folder keeps it
    Place        of one job in it; run_model finds it by `current_place()`
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, DerivaMLExecutionError
from deriva_ml_core.executions.journal import write_beside
from deriva_ml_core.executions.metadata import MetadataFile
from deriva_ml_core.executions.owner import Owner
from deriva_ml_core.executions.redaction import Redactor

if TYPE_CHECKING:
    from deriva_ml_core.catalog.vocabulary import Term
    from deriva_ml_core.workflows.provenance import CodeReference
    from deriva_ml_core.workflows.workflow import Workflow

STOP_FILE = "stop"
JOBS_FILE = "jobs.json"
SWEEP_FILE = "sweep.json"
TRACEBACK_FILE = "traceback.txt"


class JobNotStartedError(DerivaMLExecutionError):
    """A job of a sweep that has stopped before its turn."""


@dataclass(frozen=True, slots=True)
class SweepJob:
    """
    One job of a sweep.

    Args:
        rid: of its execution; "" where none has been made.
        overrides: of the task.
        slurm_job: as sacct takes it; "" where SLURM has none, or none yet.
    """

    rid: str
    overrides: tuple[str, ...]
    slurm_job: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What the launching process has asked of the catalog or written to it, which no job needs to do again.

    Args:
        workflow: the parent's, registered.
        terms: of the vocabularies that were read: (schema, table) to them.
        files: the parent's metadata files in the object store, by (MD5, file name): their URLs.
    """

    workflow: Workflow | None = None
    terms: Mapping[tuple[str, str], Mapping[str, Term]] = field(default_factory=dict)
    files: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """
    One sweep; a value that pickles.

    Args:
        parent: RID of the parent execution.
        hostname, catalog_id: the catalog that holds it; every job's must be the same.
        folder: the parent's folder.
        launcher: the process that launches the jobs.
        stop_on_failure: no job starts after one has failed.
        shown: a table on the terminal tells of the jobs, so that they need not tell of themselves.
        children: RIDs of the jobs' executions, by number; those of jobs that are launched later may be missing.
        shared: what jobs need not ask again.
        catalog_url: of a served embedded catalog; None where the catalog's name says where it is.
    """

    parent: str
    hostname: str
    catalog_id: str
    folder: Path
    launcher: Owner
    stop_on_failure: bool = False
    shown: bool = False
    children: dict[int, str] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    catalog_url: str | None = None

    @property
    def stopped(self) -> str | None:
        """Why no more jobs of it start; None while they do."""
        try:
            return (self.folder / STOP_FILE).read_text()
        except OSError:
            return None

    def stop(self, why: str) -> None:
        """Let no more jobs start; those that wait in other processes hear of it before they do."""
        stop_sweep(self.folder, why)

    def failed(self) -> None:
        """A job has failed."""
        if self.stop_on_failure:
            self.stop("an earlier job of the sweep has failed")


@dataclass(frozen=True, slots=True)
class Place:
    """
    One job's place in its sweep.

    Args:
        sequence: the job's number.
        interrupted: in the launching process, whether it was told to end (Ctrl-C, SIGTERM); None in any other.
    """

    sweep: SweepFacts
    sequence: int
    interrupted: Callable[[], bool] | None = field(default=None, compare=False)

    @property
    def rid(self) -> str | None:
        """Of the job's execution, which the launching process has made."""
        return self.sweep.children.get(self.sequence)

    def require_turn(self) -> None:
        """
        Refuse to start where the sweep has stopped.

        Raises:
            JobNotStartedError: it has.
        """
        if why := self.sweep.stopped:
            raise JobNotStartedError(f"job {self.sequence} was not started: {why}")

    def require_catalog(self, hostname: str, catalog_id: str) -> None:
        """
        Refuse a job that would be recorded elsewhere than its parent.

        Raises:
            DerivaMLConfigurationError: another catalog than the sweep's.
        """
        ours, theirs = (self.sweep.hostname, self.sweep.catalog_id), (hostname, catalog_id)
        if ours != theirs:
            raise DerivaMLConfigurationError(
                f"job {self.sequence} of the sweep would be recorded in catalog {theirs[1]} of {theirs[0]}, its parent "
                f"{self.sweep.parent} is in catalog {ours[1]} of {ours[0]}: run a sweep for each catalog"
            )

    def ended_by(self, error: BaseException) -> BaseException:
        """
        What the job raises for what its model raised, so that no job costs the others: Hydra lets an Exception of a
        job pass and goes on, anything else ends the launching process or its pool of workers, and an exception that
        does not pickle breaks the pool.
        """
        if isinstance(error, DerivaMLException) and error.execution_rid is None:
            error.execution_rid = self.sweep.parent  # the command's exit code: the parent has been written
        if self.interrupted is not None and self.interrupted():
            return error
        if isinstance(error, Exception) and (self.interrupted is not None or _travels(error)):
            return error
        stand_in = DerivaMLExecutionError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        stand_in.execution_rid = getattr(error, "execution_rid", None) or self.sweep.parent
        return stand_in


@dataclass(frozen=True, slots=True)
class Subject:
    """
    What a sweep runs, where its configuration does not say so: a notebook.

    Args:
        workflow: the parent's, given the connection.
        code: of the parent.
        facts: which one, and how it runs beside the configuration; kept for whoever resumes the sweep.
    """

    workflow: Callable[[Any], Workflow]
    code: CodeReference
    facts: Mapping[str, Any] = field(default_factory=dict)


_subject: ContextVar[Subject | None] = ContextVar("deriva_ml_sweep_subject", default=None)


def current_subject() -> Subject | None:
    """What the sweep that starts in this context runs; None where its configuration says so."""
    return _subject.get()


@contextmanager
def sweeping(subject: Subject) -> Iterator[None]:
    """Let sweeps that start inside run this."""
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


_place: ContextVar[Place | None] = ContextVar("deriva_ml_sweep_place", default=None)


def current_place() -> Place | None:
    """The place of the job that runs here; None outside a sweep that has a parent."""
    return _place.get()


def announce(place: Place | None) -> None:
    """Say whose job starts in this context; None when it has ended."""
    _place.set(place)


def _travels(error: Exception) -> bool:
    """Whether an exception comes out of a pickle as what went in."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301  our own bytes
    except Exception:  # noqa: BLE001  whatever a user's class does there, it does not travel
        return False


def stop_sweep(folder: Path, why: str) -> None:
    """Let no more jobs of a sweep start, by its parent's folder."""
    write_beside(folder / STOP_FILE, why.encode())


# --- what a sweep does, on disk -------------------------------------------------------------------------------------


def write_sweep(folder: Path, sweep: Mapping[str, Any]) -> MetadataFile:
    """The parent's metadata file: the overrides of the sweep and the list of its jobs."""
    path = folder / SWEEP_FILE
    text = json.dumps(Redactor(os.environ).document(dict(sweep)), indent=1)
    write_beside(path, text.encode())
    return MetadataFile(path, SWEEP_FILE, "Hydra_Config", "What this sweep varies, and the list of its jobs.")


def kept_sweep(folder: Path) -> dict[str, Any] | None:
    """What `write_sweep` has kept in a folder; None where it is gone."""
    path = folder / SWEEP_FILE
    return dict(json.loads(path.read_bytes())) if path.is_file() else None


def keep_jobs(folder: Path, jobs: Mapping[int, SweepJob]) -> None:
    """Keep which jobs a sweep has, for whoever must record its end when its launching process could not."""
    write_beside(folder / JOBS_FILE, json.dumps({str(number): asdict(job) for number, job in jobs.items()}).encode())


def kept_jobs(folder: Path) -> dict[int, SweepJob]:
    """The jobs of a sweep; {} where nothing was kept."""
    try:
        document = json.loads((folder / JOBS_FILE).read_bytes())
        return {
            int(number): SweepJob(**{**job, "overrides": tuple(job["overrides"])}) for number, job in document.items()
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}

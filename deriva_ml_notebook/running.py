"""
One run of a notebook, from the file to the catalog, in the process of the command or of a sweep's job.

    notebook read and checked -> parameters injected -> kernel -> cells, watched -> Markdown and HTML
        -> all of it in the execution that the notebook has opened -> its end
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.config.notebooks import OVERRIDES_VARIABLE
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, WorkingFolderError
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.beginning import RID_FILE_VARIABLE
from deriva_ml_core.executions.preemption import giving_way
from deriva_ml_core.executions.reporting import Reporter
from deriva_ml_core.executions.signals import GaveWay, Superseded
from deriva_ml_core.executions.sweeps import Place
from deriva_ml_core.workflows.provenance import CodeReference, find_code_reference
from deriva_ml_notebook.documents import find_opening, read_notebook
from deriva_ml_notebook.failures import Failure, NotebookFailed, not_kept
from deriva_ml_notebook.handover import FOLDER_VARIABLE, Handover
from deriva_ml_notebook.kernels import Kernel, named_kernel, own_kernel
from deriva_ml_notebook.planning import UNCONFIGURED, meant_for_cells
from deriva_ml_notebook.preempting import pass_on
from deriva_ml_notebook.recording import Intent, Record
from deriva_ml_notebook.whereabouts import PAPERMILL_VARIABLE, PATH_VARIABLE

if TYPE_CHECKING:
    from deriva_ml_notebook.progress import CellProgress

log = logging.getLogger(__name__)

_RID_FILE = "execution.json"
ALLOW_DIRTY, DRY_RUN = "DERIVA_ML_ALLOW_DIRTY", "DERIVA_ML_DRY_RUN"


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """
    What to run, and how; a value that pickles.

    Args:
        parameters: to inject.
        kernel: of the user's; None is this environment.
        output: where else to keep the executed notebook.
        timeout_s: for each cell.
        log_output: whether the cells' output goes to the console.
    """

    notebook: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kernel: str | None = None
    output: Path | None = None
    timeout_s: float | None = None
    log_output: bool = False
    allow_dirty: bool = False

    @property
    def recorded(self) -> dict[str, Any]:
        """What a sweep's record keeps of it, so that a job run again is run alike."""
        return {"parameters": dict(self.parameters), "kernel": self.kernel, "timeout_s": self.timeout_s}


def run_once(run: NotebookRun, intent: Intent, place: Place | None = None) -> None:
    """
    Run a notebook and record the run.

    Args:
        place: in a sweep.

    Raises:
        DerivaMLConfigurationError: the notebook, its parameters or its kernel are wrong, or run_notebook has refused
            its configuration; nothing has been recorded.
        NotebookFailed: it has not come to its end; the record says so.
        DerivaMLUploadError: outputs wait on disk.
        GaveWay: SLURM will run the job again, under the same execution.
    """
    reporter = reporting.current()
    document = _injected(run)
    code = find_code_reference(run.notebook)
    if code.warning:
        reporter.warn(code.warning)
    with _run_folder(run, intent) as folder:
        kernel = named_kernel(run.kernel) if run.kernel else own_kernel(folder)
        record = Record(intent, Handover.given(folder, code, place), reporter)
        try:
            with giving_way([lambda: pass_on(record.handover)]):
                _Running(run, intent, document, kernel, record, folder).perform()
        except (GaveWay, Superseded):
            record.leave()
            raise
        finally:
            record.close()


@dataclass(frozen=True, slots=True)
class _Running:
    """
    One run while it goes on.

    Args:
        folder: the run's own; gone when it is over.
    """

    run: NotebookRun
    intent: Intent
    document: Any
    kernel: Kernel
    record: Record
    folder: Path

    @property
    def reporter(self) -> Reporter:
        """Who hears of it."""
        return self.record.reporter

    def perform(self) -> None:
        """From the first cell to the end of the record."""
        name = self.run.notebook.name
        opening = find_opening(self.document)
        unread = [] if opening.configured else meant_for_cells(self.intent.overrides)
        if unread:
            self.reporter.warn(f"no cell sees {' '.join(unread)}: {name} {UNCONFIGURED}")
        if not opening.mentioned and not self.intent.dry_run:
            self.record.make(f"{name} does not call run_notebook: this command records its run")
        self.reporter.say(f"Running {self.run.notebook}")
        path = self.run.output or self.folder / name
        failure = self._execute(path)
        handover = self.record.handover
        opened = handover.execution
        if opened is None and handover.refusal is not None:
            raise DerivaMLConfigurationError(handover.refusal)
        if self.intent.dry_run or (opened or {}).get("dry_run"):
            self._end_dry(path, failure)
            return
        opened = opened or _of_rid_file(self.folder)
        try:
            failure = self._record(path, opened, failure)
        except DerivaMLException as err:
            err.execution_rid = err.execution_rid or (opened or {}).get("execution_rid")  # for the exit code
            raise
        finally:
            self._tell(failure)
        if failure is not None:
            raise failure.error(self.record.rid)

    def _record(self, path: Path, opened: dict[str, Any] | None, failure: Failure | None) -> Failure | None:
        """Into the catalog with it; what can't be had there stays on disk, and where is said."""
        try:
            execution = self.record.ended_by(opened, failure)
        except DerivaMLException:  # the disk is full, or the catalog has gone
            self._keep()
            raise
        try:
            self.record.stage(execution, self._files(path, failure), dict(self.run.parameters))
        except (OSError, DerivaMLException) as err:
            self._keep()
            failure = failure or not_kept(self.document, err)
            self.record.failed(execution, failure)
        self.record.finish(execution, failure)
        return failure

    def _keep(self) -> None:
        """The executed notebook is not in the record: the run's folder stays."""
        kept = self.folder.with_name(f"{self.folder.name}.kept")
        with suppress(OSError):
            self.folder.rename(kept)
            self.reporter.warn(f"the executed notebook is kept in {kept}")

    def _execute(self, path: Path) -> Failure | None:
        from deriva_ml_notebook.executing import Setting, execute

        env = kernel_environment(self.run, self.intent, self.folder, self.record.handover.code)
        setting = Setting(self.kernel, path, self.run.notebook.parent, env, self.run.timeout_s)
        return execute(self.document, setting, self._watcher(), meanwhile=self._prepare_end)

    def _prepare_end(self) -> None:
        """While the cells run: what will be needed afterwards is loaded, and the catalog connected."""
        if not self.intent.dry_run:
            with suppress(DerivaMLException):  # tried again when it is needed, and told then
                self.record.prepare()
        import nbconvert.exporters  # noqa: F401

    def _watcher(self) -> CellProgress:
        from deriva_ml_notebook.progress import CellProgress, OutputLog, Timings

        run, place = self.run, self.record.handover.place
        key = hashlib.sha256(str(run.notebook).encode()).hexdigest()[:12]
        timings = Timings(notebook_folder(self.intent) / f"{run.notebook.stem}-{key}.timings.json")
        silent = isinstance(self.reporter, reporting.SilentReporter)
        return CellProgress(
            self.reporter,
            timings,
            live=sys.stderr.isatty() and not silent and not run.log_output and place is None,
            prefix=f"job {place.sequence}, " if place else "",
            log=OutputLog() if run.log_output else None,
        )

    def _files(self, path: Path, failure: Failure | None) -> list[Path]:
        """The executed notebook, and its renderings; one that can't be rendered is still kept as it is."""
        from deriva_ml_notebook.rendering import write_html, write_markdown

        name = self.run.notebook.name
        files = [path if path.name == name else Path(shutil.copyfile(path, self.folder / name))]
        for suffix, write in ((".md", write_markdown), (".html", write_html)):
            file = self.folder / f"{self.run.notebook.stem}{suffix}"
            try:
                write(self.document, file, folder=self.run.notebook.parent, failure=failure)
            except Exception as err:  # whatever an output holds: the run itself must not be lost
                log.debug("rendering %s", file, exc_info=True)
                file.unlink(missing_ok=True)  # half a page, on a disk that may be full
                self.reporter.warn(f"the notebook could not be written as {suffix}: {type(err).__name__}: {err}")
                continue
            files.append(file)
        return files

    def _end_dry(self, path: Path, failure: Failure | None) -> None:
        if self.run.output is not None:
            self.reporter.say(f"  executed notebook: {path}")
        self.reporter.say("Dry run: nothing was written to the catalog.")
        self._tell(failure)
        if failure is not None:
            raise NotebookFailed(failure.text)

    def _tell(self, failure: Failure | None) -> None:
        """The cell's source and a short traceback; the error's own line follows from whoever reports it."""
        for line in failure.console_lines() if failure is not None else ():
            self.reporter.say(line)


def _injected(run: NotebookRun) -> Any:
    document = read_notebook(run.notebook)
    if not run.parameters:
        return document
    from papermill.parameterize import parameterize_notebook

    return parameterize_notebook(document, dict(run.parameters), kernel_name="python3", language="python")


def kernel_environment(run: NotebookRun, intent: Intent, folder: Path, code: CodeReference) -> dict[str, str]:
    """Our own environment, and what tells the notebook of its run (COMPAT section 2)."""
    ours = {
        PATH_VARIABLE: str(run.notebook),
        OVERRIDES_VARIABLE: json.dumps(list(intent.overrides)),
        RID_FILE_VARIABLE: str(folder / _RID_FILE),
        FOLDER_VARIABLE: str(folder),
        "DERIVA_ML_WORKFLOW_URL": code.url,
        "DERIVA_ML_WORKFLOW_CHECKSUM": code.checksum,
    }
    if run.allow_dirty:
        ours[ALLOW_DIRTY] = "true"
    if intent.dry_run:
        ours[DRY_RUN] = "true"
    inherited = {
        name: value for name, value in os.environ.items() if name not in (PAPERMILL_VARIABLE, "JPY_SESSION_NAME")
    }
    return inherited | {name: value for name, value in ours.items() if value}


def _of_rid_file(folder: Path) -> dict[str, Any] | None:
    """The execution of a notebook that has made one without run_notebook (as those of the 1.2 generation do)."""
    with suppress(OSError, ValueError):
        document = json.loads((folder / _RID_FILE).read_bytes())
        return document if isinstance(document, dict) else None
    return None


def notebook_folder(intent: Intent) -> Path:
    """Where the runs of notebooks keep their files, below the working folder."""
    folder = intent.connection.working_dir
    assert folder is not None
    return folder / "deriva-ml" / "notebook"


@contextmanager
def _run_folder(run: NotebookRun, intent: Intent) -> Iterator[Path]:
    """
    A folder of the run's own, below the working folder: there the notebook survives what kills this process.

    Raises:
        WorkingFolderError: it can't be made.
    """
    above = notebook_folder(intent)
    try:
        above.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{run.notebook.stem}-", dir=above))
    except OSError as err:
        raise WorkingFolderError(f"the working folder can't be written: {above}: {err.strerror or err}") from err
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

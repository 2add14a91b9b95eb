"""How an execution's outputs come into the catalog, and what its status says meanwhile."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.manner import DEFAULT_MANNER, Manner
from deriva_ml_core.assets.progress import ProgressCallback, UploadReport
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.config.working_folder import default_working_folder
from deriva_ml_core.errors import DerivaMLException, DerivaMLUploadError
from deriva_ml_core.executions.ending import failure_text
from deriva_ml_core.executions.journal import JournalEntry
from deriva_ml_core.executions.observing import tell_committed, tell_ended
from deriva_ml_core.executions.signals import GaveWay
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.table_rows import store_table_rows, waiting_tables

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.opening import Opened

_SHORT_BYTES = 10_000_000
_FEW = 4
"""Files that are sent side by side anyway."""


def commit(
    session: CatalogSession,
    opened: Opened,
    *,
    progress: ProgressCallback | None = None,
    manner: Manner = DEFAULT_MANNER,
) -> UploadReport:
    """
    Upload what is staged: Pending_Upload, then Uploaded. Nothing staged since the last time: nothing happens.

    Of an execution that failed or was aborted before its model came to its end, the status stays what it is.

    Raises:
        DerivaMLUploadError: files are not in the catalog. Where it answers, the execution is Failed with the reason;
            where it doesn't, it stays Pending_Upload. Or all are, and the catalog did not take the last status. Either
            way a later commit finishes it.
        InvalidTransitionError: the execution's outputs can't be uploaded (any more).
    """
    recorder = opened.recorder
    if not model_finished(recorder.journal.entry):
        return _upload_leftovers(session, opened, progress, manner)
    if recorder.status is Status.uploaded and not (opened.staging.pending() or waiting_tables(opened.folder)):
        recorder.flush()
        _require_told(session, opened)
        return UploadReport(execution_rids=[recorder.journal.entry.rid])
    if recorder.status is not Status.pending_upload:
        recorder.change(Status.pending_upload, mark=["uploads"], tell=_takes_long(opened))
    started = time.monotonic()
    try:
        report = _upload(session, opened, progress, manner)
    except BaseException as err:  # Ctrl-C too: the outputs are kept, and the record says that they wait
        _not_finished(session, opened, err)
        raise
    recorder.measured("upload", time.monotonic() - started)
    entry = recorder.journal.entry
    recorder.change(Status.uploaded, unmark=["uploads"], outputs=named_outputs(entry.outputs, report))
    _require_told(session, opened)
    return report


def _require_told(session: CatalogSession, opened: Opened) -> None:
    """Nobody may believe that a run is Uploaded while its record does not say so."""
    entry = opened.recorder.journal.entry
    if "status" in entry.pending:
        raise DerivaMLUploadError(
            f"execution {entry.rid} has no output left on disk, but {session.hostname} did not take its status; "
            f"finish with: {finish_command(session, opened)}"
        )


def _takes_long(opened: Opened) -> bool:
    """Whether somebody may look while the upload goes on; else the catalog hears of it with what comes next."""
    return sum(file.path.stat().st_size for file in opened.staging.pending()) > _SHORT_BYTES


def model_finished(entry: JournalEntry) -> bool:
    """Whether the model came to its end: what failed or was stopped before that is never Uploaded."""
    well = (Status.stopped, Status.pending_upload, Status.uploaded)
    return any(change.status in well for change in entry.changes)


def _upload_leftovers(
    session: CatalogSession, opened: Opened, progress: ProgressCallback | None, manner: Manner
) -> UploadReport:
    """What a run left that did not come to its end: its outputs are worth having, its status stays what it is."""
    report = _upload(session, opened, progress, manner)
    journal = opened.recorder.journal
    journal.update(outputs=named_outputs(journal.entry.outputs, report), pending=journal.entry.pending - {"uploads"})
    return report


def _upload(session: CatalogSession, opened: Opened, progress: ProgressCallback | None, manner: Manner) -> UploadReport:
    rid = opened.recorder.journal.entry.rid
    recorder = opened.recorder
    few = recorder.leaves_times and len(opened.staging.pending()) <= _FEW
    if not few and not recorder.tell_times():  # no answer now: sending each file would only wait for the same
        raise _no_answer(session, opened)
    report = upload_staged(session, opened.staging, rid, progress=progress, manner=manner)
    if few and report.unanswered:
        recorder.heard_nothing()
        raise _no_answer(session, opened)
    tell_committed(session.plugins, opened.recorder.journal, report)
    report.raise_for_failures(finish_command(session, opened))
    _store_rows(session, opened)
    return report


def _store_rows(session: CatalogSession, opened: Opened) -> None:
    """What the model has written for tables, after the files that it may speak of."""
    try:
        store_table_rows(session, opened.folder)
    except DerivaMLException as err:
        raise DerivaMLUploadError(f"{err}; it is kept, finish with: {finish_command(session, opened)}") from err


def _no_answer(session: CatalogSession, opened: Opened) -> DerivaMLUploadError:
    return DerivaMLUploadError(
        f"{session.hostname} does not answer: {len(opened.staging.pending())} output file(s) of execution "
        f"{opened.recorder.journal.entry.rid} are kept in {opened.folder}; "
        f"finish with: {finish_command(session, opened)}"
    )


def finish_command(session: CatalogSession, opened: Opened) -> str:
    """What a person types in any folder to upload what this execution has left."""
    working_dir = opened.folder.parents[2]
    options = ["--host", session.hostname, "--catalog", session.catalog_id]
    if working_dir != default_working_folder(session.hostname, session.catalog_id):
        options += ["--working-dir", str(working_dir)]
    return shlex.join(["deriva-ml-executions", "upload", opened.recorder.journal.entry.rid, *options])


def _not_finished(session: CatalogSession, opened: Opened, error: BaseException) -> None:
    """Failed where the catalog can be told so; where it can't, outputs still wait for it, which is Pending_Upload."""
    recorder = opened.recorder
    detail = failure_text(error)
    recorder.note(detail)
    if isinstance(error, GaveWay):  # it will be done again
        return
    if not recorder.journal.entry.pending & {"status"}:
        recorder.change(Status.failed, detail)
    else:
        tell_ended(session.plugins, recorder.journal)


def named_outputs(before: Any, report: UploadReport) -> dict[str, list[str]]:
    """Names of the outputs for a person who reads the journal."""
    named = {table: list(names) for table, names in dict(before).items()}
    for table, paths in report.assets.items():
        kept = named.setdefault(table, [])
        kept += [path.file_name for path in paths if path.file_name not in kept]
    return named

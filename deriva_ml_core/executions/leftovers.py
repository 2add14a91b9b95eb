"""What goes into the catalog of a run that failed or was stopped: its metadata and logs, and more where that is chosen.

metadata   the log of Hydra's job, the traceback, and whatever was staged for Execution_Metadata (metrics, say)
all        every output that was staged, too
nothing    nothing: all waits for `deriva-ml-executions upload RID`
"""

from __future__ import annotations

import logging
import os
import traceback
from typing import TYPE_CHECKING

from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.committing import named_outputs
from deriva_ml_core.executions.hydra_facts import current_job
from deriva_ml_core.executions.observing import tell_committed
from deriva_ml_core.executions.opening import METADATA_TABLE
from deriva_ml_core.executions.redaction import Redactor

if TYPE_CHECKING:
    from pathlib import Path

    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.config.connection_config import FailureUploads
    from deriva_ml_core.executions.opening import Opened

log = logging.getLogger(__name__)

_MOST_LOG_BYTES = 16 * 2**20
_HURRIED = Manner(timeout_s=(5.0, 20.0))  # whoever stops a run may be about to kill it


def upload_leftovers(session: CatalogSession, opened: Opened, policy: FailureUploads, error: BaseException) -> None:
    """
    Do as the policy says, and never raise: the run's own error is what its user must hear of.

    What does not get into the catalog stays on disk.
    """
    try:
        stage_log(opened)
        _stage_text(opened, "traceback.txt", "".join(traceback.format_exception(error)), "How this execution ended.")
        if policy != "nothing" and opened.recorder.flush():
            _upload(session, opened, policy)
    except (DerivaMLException, OSError) as err:
        log.warning("execution %s: its log is not in the catalog: %s", opened.recorder.journal.entry.rid, err)


def upload_of_killed(session: CatalogSession, folder: Path, rid: str, policy: FailureUploads) -> None:
    """The same for an execution whose process was killed, from what it had staged; never raises."""
    try:
        staging = Staging(folder, session)
        tables = None if policy == "all" else {METADATA_TABLE}
        if policy != "nothing" and staging.pending():
            upload_staged(session, staging, rid, manner=_HURRIED, tables=tables).raise_for_failures()
    except (DerivaMLException, OSError) as err:
        log.warning("execution %s: what it left is not in the catalog: %s", rid, err)


def stage_log(opened: Opened) -> None:
    """
    The log of the Hydra job that runs in this process, without secrets, as one of the execution's metadata files.

    Raises:
        WorkingFolderError, OSError: it can't be read or written.
    """
    job = current_job()
    if job is None or job.output_dir is None:
        return
    started = opened.recorder.journal.entry.start_time
    time = f"{started.astimezone():%Y-%m-%d_%H-%M-%S}" if started else "job"
    for file in sorted(job.output_dir.glob("*.log")):
        if text := _tail(file):
            _stage_text(opened, f"hydra-{time}-{file.name}", text, "What this execution logged.", "Hydra_Config")


def _upload(session: CatalogSession, opened: Opened, policy: FailureUploads) -> None:
    journal = opened.recorder.journal
    tables = None if policy == "all" else {METADATA_TABLE}
    report = upload_staged(session, opened.staging, journal.entry.rid, manner=_HURRIED, tables=tables)
    journal.update(outputs=named_outputs(journal.entry.outputs, report))
    tell_committed(session.plugins, journal, report)
    report.raise_for_failures()


def _tail(file: Path) -> str:
    """The end of a log, all of most; bytes that are no UTF-8 are shown as such."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - _MOST_LOG_BYTES))
        text = stream.read().decode(errors="backslashreplace")
    return text if size <= _MOST_LOG_BYTES else f"(the first {size - _MOST_LOG_BYTES} bytes are left out)\n{text}"


def _stage_text(opened: Opened, name: str, text: str, description: str, *types: str) -> None:
    folder = opened.folder / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    redacted = Redactor(os.environ).text(text).encode(errors="backslashreplace")  # it may quote what is no UTF-8
    (folder / name).write_bytes(redacted)
    opened.staging.register(METADATA_TABLE, folder / name, list(types) or None, description=description)

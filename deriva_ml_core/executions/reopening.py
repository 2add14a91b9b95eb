"""Going on with an execution whose process is gone: its journal and its staged outputs are all that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.errors import DerivaMLExecutionError, DerivaMLExecutionNotFound, nearest
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.fate import fate_of
from deriva_ml_core.executions.journal import Journal, executions_folder, read_entry, read_journals
from deriva_ml_core.executions.opening import Opened
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.recorder import StatusRecorder

if TYPE_CHECKING:
    from deriva_ml_core.executions.opening import Connection


def reopen_execution(ml: Connection, rid: str) -> Opened:
    """
    Take over an execution of this working folder.

    Raises:
        DerivaMLExecutionNotFound: the working folder has none of this RID.
        DerivaMLExecutionError: its process may be alive, or its journal can't be read.
    """
    folder = require_folder(ml.working_dir, rid)
    entry = read_entry(folder)
    if entry.damaged:
        raise DerivaMLExecutionError(f"the journal of execution {rid} can't be read: {folder}")
    if entry.owner is not None and entry.owner != this_process() and not fate_of(entry.owner).dead:
        where = f"process {entry.owner.pid} on {entry.owner.host}"
        raise DerivaMLExecutionError(f"execution {rid} may still be running ({where}): end that first")
    recorder = StatusRecorder(ml.session, Journal.take_over(folder))
    configuration = ExecutionConfiguration.model_validate(entry.configuration)
    return Opened(configuration, recorder, Staging(folder, ml.session))


def require_folder(working_dir: Path, rid: str) -> Path:
    """
    The folder of an execution below a working folder.

    Raises:
        DerivaMLExecutionNotFound: there is none; the message offers the nearest.
    """
    folder = executions_folder(working_dir) / rid
    if "/" in rid or rid in ("", ".", "..") or not folder.is_dir():
        there = [entry.rid for _, entry in read_journals(working_dir)]
        raise DerivaMLExecutionNotFound(f"{working_dir} has no execution {rid}{nearest(rid, there)}")
    return folder

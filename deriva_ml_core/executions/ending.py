"""What is said of an execution that did not end well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.specs import DRY_RUN_RID
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.journal import now
from deriva_ml_core.executions.redaction import Redactor
from deriva_ml_core.executions.signals import GaveWay, Preempted, Superseded, Terminated
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweeps import JobNotStartedError

if TYPE_CHECKING:
    from deriva_ml_core.executions.journal import JournalEntry
    from deriva_ml_core.executions.recorder import StatusRecorder

_MAX_DETAIL = 4000  # a text cell that a person reads; some exceptions carry whole tables


def status_after(error: BaseException) -> Status:
    """Aborted where somebody stopped the run, Failed where it failed."""
    stopped = isinstance(error, KeyboardInterrupt | Terminated | Preempted | JobNotStartedError)
    return Status.aborted if stopped else Status.failed


def failure_text(error: BaseException) -> str:
    """`Type: message` (COMPAT section 10), without secrets: it goes to the catalog."""
    text = Redactor(os.environ).text(_message(error))
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return named if len(named) <= _MAX_DETAIL else named[: _MAX_DETAIL - 1] + "…"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as err:  # noqa: BLE001  a class of the model's, whose fault must not cost the record
        return f"(no message: its __str__ raised {type(err).__name__})"


def record_failure(recorder: StatusRecorder, error: BaseException, **facts: Any) -> None:
    """Record how a run ended by an exception; nothing where its end is recorded already."""
    rid = recorder.journal.entry.rid
    if isinstance(error, Superseded):
        return
    if isinstance(error, GaveWay):  # no end
        recorder.note(str(error))
        return
    if isinstance(error, DerivaMLException) and rid != DRY_RUN_RID:
        error.execution_rid = rid  # the command's exit code: no longer "nothing was written"
    if recorder.status in (Status.created, Status.running, Status.stopped, Status.pending_upload):
        facts |= stopped_now(recorder.journal.entry)
        recorder.change(status_after(error), failure_text(error), **facts)


def stopped_now(entry: JournalEntry) -> dict[str, Any]:
    """What a journal is to keep of an execution that ends now: when, if it ran until now."""
    if entry.start_time is None or entry.stop_time is not None:
        return {}
    return {"stop_time": now(), "mark": ["times"]}

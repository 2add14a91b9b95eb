"""An execution's identity and states: what it is, and how it goes from Created to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.errors import DerivaMLExecutionError
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.ending import record_failure, stopped_now
from deriva_ml_core.executions.heart import Heart
from deriva_ml_core.executions.journal import JournalEntry, now
from deriva_ml_core.executions.observing import tell
from deriva_ml_core.executions.opening import Connection, Opened, Request, discard, open_execution
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.reopening import reopen_execution
from deriva_ml_core.executions.signals import GaveWay, Superseded
from deriva_ml_core.executions.states import Status, as_status

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.workflows.workflow import Workflow


class ExecutionLife:
    """
    What an execution is and how far it has come; every other part of it stands on this.

    The arguments are those of `Execution`.
    """

    def __init__(
        self,
        configuration: ExecutionConfiguration | None,
        ml_object: Connection,
        workflow: Workflow | str | None = None,
        reload: str | None = None,
        dry_run: bool = False,
        *,
        request: Request | None = None,
    ) -> None:
        self._ml = ml_object
        self._heart: Heart | None = None
        self._started: float | None = None
        self._process = os.getpid()
        self._upload_follows = False
        self.saves: list[Callable[[], object]] = []
        self.uploaded_assets: dict[str, list[AssetFilePath]] = {}
        self._opened = self._open(configuration, workflow, reload, dry_run, request)

    @classmethod
    def from_registry(cls, ml_object: Connection, execution_rid: str) -> Self:
        """Go on with an execution of this working folder whose process is gone; as `DerivaML.resume_execution`."""
        return cls(None, ml_object, reload=execution_rid)

    def _open(
        self,
        configuration: ExecutionConfiguration | None,
        workflow: Workflow | str | None,
        reload: str | None,
        dry_run: bool,
        request: Request | None,
    ) -> Opened:
        if reload is not None:
            return reopen_execution(self._ml, reload)
        if request is None:
            configuration = configuration or ExecutionConfiguration()
            if workflow is not None:
                configuration = configuration.model_copy(update={"workflow": workflow})
            request = Request(configuration, dry_run=dry_run)
        return open_execution(self._ml, request)

    def __repr__(self) -> str:
        return f"Execution({self.execution_rid!r}, status={self.status.value})"

    @property
    def execution_rid(self) -> str:
        """Its RID; "0000" in a dry run."""
        return self.journal_entry.rid

    @property
    def workflow_rid(self) -> str | None:
        """RID of its workflow; None in a dry run."""
        return self.journal_entry.workflow_rid

    @property
    def configuration(self) -> ExecutionConfiguration:
        """What it was asked to use."""
        return self._opened.configuration

    @property
    def journal_entry(self) -> JournalEntry:
        """All that its journal says."""
        return self._opened.recorder.journal.entry

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing of it reaches the catalog."""
        return self._opened.dry_run

    @property
    def error(self) -> str | None:
        """Why it failed or was aborted; None unless it was."""
        entry = self.journal_entry
        return entry.detail if entry.status in (Status.failed, Status.aborted) else None

    @property
    def start_time(self) -> datetime | None:
        """When it started to run."""
        return self.journal_entry.start_time

    @property
    def stop_time(self) -> datetime | None:
        """When it stopped."""
        return self.journal_entry.stop_time

    @property
    def working_dir(self) -> Path:
        """Its own folder."""
        return self._opened.folder

    @property
    def catalog(self) -> Connection:
        """The connection to the catalog that it is recorded in."""
        return self._ml

    @property
    def _session(self) -> CatalogSession:
        return self._ml.session

    @property
    def execution_record(self) -> ExecutionRecord:
        """
        Its record as the catalog has it now.

        Raises:
            DerivaMLExecutionError: a dry run has none.
        """
        self._require_record("read its record")
        record = lookup_execution(self._ml, self.execution_rid)
        record.start_time, record.stop_time = self.start_time, self.stop_time
        return record

    # --- how it goes --------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """How far it has come."""
        return self._opened.recorder.status

    @status.setter
    def status(self, value: Status | str) -> None:
        self.update_status(value)

    def execute(self, *, upload_follows: bool = False) -> Self:
        """
        For `with execution.execute() as e:`; the execution itself.

        Args:
            upload_follows: its outputs are committed at once after the block, so that the catalog need not hear of
                the moment in between.
        """
        self._upload_follows = upload_follows
        return self

    def __enter__(self) -> Self:
        if self.status is Status.created:
            self.execution_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        elif self.status is Status.running:
            self.execution_stop()

    def execution_start(self) -> None:
        """
        Record that it runs.

        Raises:
            InvalidTransitionError: it has run already.
        """
        self._started = time.monotonic()
        self._opened.recorder.change(Status.running, start_time=now(), stop_time=None)
        self._heart = Heart(self._opened.recorder.journal)

    def execution_stop(self) -> None:
        """
        Record that it has stopped, and how long it ran.

        Raises:
            InvalidTransitionError: it does not run.
        """
        self._stop_heart()
        self._measure()
        self._opened.recorder.change(Status.stopped, mark=["times"], tell=not self._upload_follows, stop_time=now())
        if not self.is_dry_run:
            tell(self._session.plugins, "deriva_model_finished", self._opened.recorder.journal)

    def update_status(
        self,
        target: Status | str | None = None,
        message: str | None = None,
        *,
        error: str | None = None,
        status: Status | str | None = None,
        msg: str | None = None,
    ) -> None:
        """
        Record another status, or another word on the present one.

        Args:
            target: the status. The one that it has (or Uploaded while it runs, as scripts of the older generation
                say when their work is done) only changes the message.
            message: what a person reads beside it.
            error: why it failed; the same, under the name of the newer generation.
            status, msg: target and message, under the names of the older generation.

        Raises:
            InvalidTransitionError: the status does not follow the present one.
        """
        if (given := target or status) is None:
            msg = "update_status() needs a status"
            raise TypeError(msg)
        status, detail = as_status(given), error or message or msg
        legacy = status is Status.uploaded and self.status is Status.running
        if status is self.status or legacy:
            self._opened.recorder.note(detail)
        elif status is Status.running:
            self.execution_start()
        elif status is Status.stopped:
            self.execution_stop()
        else:
            self._stop_heart()
            self._measure()
            self._opened.recorder.change(status, detail, **stopped_now(self.journal_entry))

    def abort(self, reason: str | None = None) -> None:
        """
        Record that somebody stopped it.

        Raises:
            InvalidTransitionError: it has ended already.
        """
        self.update_status(Status.aborted, error=reason)

    def begin_again(self, why: str) -> None:
        """
        Be Created once more, for a sweep that is resumed.

        Raises:
            InvalidTransitionError: it is Uploaded.
        """
        self._opened.recorder.begin_again(why)

    def close(self, reason: str) -> None:
        """Never leave it Created or Running: abort it if it still is; for whoever closes the connection."""
        if self._process == os.getpid() and self.status in (Status.created, Status.running):
            self.abort(reason)
        self._stop_heart()
        discard(self._opened)

    def leave(self, *, ended: bool = False) -> None:
        """
        Its record stays as it is when the connection is closed: another process ends it.

        Args:
            ended: its work is over, so how long it took is known now; otherwise jobs of it run on.
        """
        self._stop_heart()
        if ended:
            self._measure()
        self._process = 0

    def _fail(self, error: BaseException) -> None:
        self._stop_heart()
        self._measure()
        record_failure(self._opened.recorder, error)
        if not self.is_dry_run and not isinstance(error, GaveWay | Superseded):
            from deriva_ml_core.executions.leftovers import upload_leftovers

            upload_leftovers(self._session, self._opened, self._ml.upload_on_failure, error)

    def _measure(self) -> None:
        if self._started is not None:
            self._opened.recorder.measured("execution", time.monotonic() - self._started)
            self._started = None

    def _stop_heart(self) -> None:
        heart, self._heart = self._heart, None
        if heart is not None:
            heart.stop()

    def _require_record(self, what: str) -> None:
        if self.is_dry_run:
            raise DerivaMLExecutionError(f"a dry run can't {what}: it has no record in the catalog")

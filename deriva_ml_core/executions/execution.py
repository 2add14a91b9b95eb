"""Execution: one run, from its record to its uploaded outputs, in the process that runs it."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.progress import ProgressCallback, UploadReport
from deriva_ml_core.assets.specs import DRY_RUN_RID
from deriva_ml_core.datasets.specs import DatasetSpec, as_dataset_spec
from deriva_ml_core.errors import DerivaMLExecutionError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.bags import DatasetBags
from deriva_ml_core.executions.committing import Manner, commit
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.ending import record_failure
from deriva_ml_core.executions.journal import Heart, JournalEntry, now
from deriva_ml_core.executions.opening import METADATA_TABLE, Connection, Opened, Request, discard, open_execution
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution
from deriva_ml_core.executions.reopening import reopen_execution
from deriva_ml_core.executions.states import Status, as_status

if TYPE_CHECKING:
    from deriva_ml_core.assets.asset import Asset
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.datasets.feature_records import FeatureRecord
    from deriva_ml_core.workflows.workflow import Workflow

log = logging.getLogger(__name__)


class Execution:
    """
    One execution that this process runs: make it with `DerivaML.create_execution`.

        with ml.create_execution(configuration) as execution:
            path = execution.asset_file_path("Execution_Asset", "weights.pt")
            ...
        execution.upload_execution_outputs()

    Leaving the block well stops it; leaving it by an exception records the exception and lets it pass.

    Args:
        configuration: what it uses.
        ml_object: the connection.
        workflow: instead of the configuration's.
        reload: RID of an execution whose process is gone: go on with it instead of making one.
        dry_run: check everything and bring the inputs; write nothing to the catalog.
        request: all of this and more, for callers inside deriva-ml.
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
        self.uploaded_assets: dict[str, list[AssetFilePath]] = {}
        self._opened = self._open(configuration, workflow, reload, dry_run, request)

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

    # --- what it is ---------------------------------------------------------------------------------------------

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
        record = lookup_execution(self._session, self.execution_rid)
        record.start_time, record.stop_time = self.start_time, self.stop_time
        return record

    # --- what it uses -------------------------------------------------------------------------------------------

    @property
    def datasets(self) -> DatasetBags:
        """Its input datasets as bags: iterate, or take one by its RID."""
        return self._opened.bags

    @property
    def dataset_rids(self) -> list[str]:
        """RIDs of its input datasets."""
        return [spec.rid for spec in self.configuration.datasets]

    @property
    def asset_paths(self) -> dict[str, list[AssetFilePath]]:
        """Its input assets: table name to files."""
        return self._opened.asset_paths

    @property
    def database_catalog(self) -> DatasetBags:
        """The bags, under the name of the older generation."""
        return self.datasets

    def download_dataset_bag(self, dataset: DatasetSpec | DatasetBag | str | Mapping[str, Any]) -> DatasetBag:
        """
        The bag of a dataset: one of the inputs at once; any other is downloaded and linked as an input.

        Args:
            dataset: a spec, "RID", "RID@version", or a bag (which is returned).
        """
        if hasattr(dataset, "dataset_rid") and hasattr(dataset, "list_tables"):
            return dataset  # type: ignore[return-value]  # a bag, whose class is not imported to find out
        from deriva_ml_core.executions.inputs import add_dataset

        return add_dataset(self._ml, self._opened, as_dataset_spec(dataset))

    def download_asset(
        self, asset_rid: str, dest_dir: Path | str | None = None, update_catalog: bool = True, use_cache: bool = False
    ) -> AssetFilePath:
        """
        Bring an asset and link it as an input.

        Args:
            dest_dir: where to; the execution's folder of downloads by default.
            update_catalog: False does not link it.
            use_cache: keep its bytes for later executions.
        """
        from deriva_ml_core.executions.inputs import add_asset

        folder = Path(dest_dir) if dest_dir is not None else None
        return add_asset(self._ml, self._opened, asset_rid, folder, link=update_catalog, keep=use_cache)

    def list_input_datasets(self) -> list[Dataset]:
        """The datasets that the catalog has as its inputs."""
        return self.execution_record.list_input_datasets()

    def list_assets(self, asset_role: str | None = None) -> list[Asset]:
        """The assets that the catalog has as its "Input" or "Output"."""
        return self.execution_record.list_assets(asset_role)

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

    def update_status(self, target: Status | str, message: str | None = None, *, error: str | None = None) -> None:
        """
        Record another status, or another word on the present one.

        Args:
            target: the status. The one that it has (or Uploaded while it runs, as scripts of the older generation
                say when their work is done) only changes the message.
            message: what a person reads beside it.
            error: why it failed; the same, under the name of the newer generation.

        Raises:
            InvalidTransitionError: the status does not follow the present one.
        """
        status, detail = as_status(target), error or message
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
            self._opened.recorder.change(status, detail)

    def abort(self, reason: str | None = None) -> None:
        """
        Record that somebody stopped it.

        Raises:
            InvalidTransitionError: it has ended already.
        """
        self.update_status(Status.aborted, error=reason)

    def close(self, reason: str) -> None:
        """Never leave it Created or Running: abort it if it still is; for whoever closes the connection."""
        if self._process == os.getpid() and self.status in (Status.created, Status.running):
            self.abort(reason)
        self._stop_heart()
        discard(self._opened)

    def leave(self) -> None:
        """Its record stays as it is when the connection is closed: jobs of it run on, and recovery ends it."""
        self._stop_heart()
        self._process = 0

    def _fail(self, error: BaseException) -> None:
        self._stop_heart()
        self._measure()
        record_failure(self._opened.recorder, error)

    def _measure(self) -> None:
        if self._started is not None:
            self._opened.recorder.measured("execution", time.monotonic() - self._started)
            self._started = None

    def _stop_heart(self) -> None:
        heart, self._heart = self._heart, None
        if heart is not None:
            heart.stop()

    # --- what it makes ------------------------------------------------------------------------------------------

    def asset_file_path(  # noqa: PLR0917  # projects call it by position
        self,
        asset_name: str,
        file_name: str | Path,
        asset_types: str | Iterable[str] | None = None,
        copy_file: bool = False,
        rename_file: str | None = None,
        metadata: Mapping[str, Any] | object | None = None,
        description: str | None = None,
        **columns: Any,
    ) -> AssetFilePath:
        """
        Name one output; write it to the path that is returned. See `assets.staging.Staging.register`.

        Raises:
            DerivaMLException: the table, a type, a column or the name is wrong: said now, not at upload.
        """
        if str(asset_name) == METADATA_TABLE and asset_types is None and Path(file_name).name == "metrics.json":
            asset_types = self._metrics_types()
        return self._opened.staging.register(
            str(asset_name), file_name, asset_types, copy_file, rename_file, metadata, description, **columns
        )

    def metrics_file(self, filename: str = "metrics.jsonl") -> AssetFilePath:
        """The place of a metrics file; it is uploaded with the outputs."""
        return self.asset_file_path(METADATA_TABLE, filename, asset_types=self._metrics_types())

    def _metrics_types(self) -> list[str]:
        terms = self._session.vocabularies.terms(self._session.model.ml_table("Asset_Type"))
        return [name for name in ("Metrics_File",) if name in terms]

    def upload_execution_outputs(  # noqa: PLR0917  # projects call it by position
        self,
        clean_folder: bool | None = None,
        progress_callback: ProgressCallback | None = None,
        max_retries: int = 3,
        retry_delay: float = 5.0,
        timeout: tuple[float, float] | None = None,
        chunk_size: int | None = None,
    ) -> dict[str, list[AssetFilePath]]:
        """
        Bring the outputs into the catalog: "schema/table" to the files. See `commit_output_assets`.

        Args:
            max_retries: how often files that got no answer are tried again; retry_delay: seconds before that.
            timeout: accepted; the connection's own is used.
            chunk_size: bytes; larger files go in chunks.
        """
        report = self.commit_output_assets(
            clean_folder, progress_callback, max_retries=max_retries, retry_delay=retry_delay, chunk_size=chunk_size
        )
        del timeout
        return report.assets

    def commit_output_assets(
        self,
        clean_folder: bool | None = None,
        progress_callback: ProgressCallback | None = None,
        *,
        max_retries: int = 0,
        retry_delay: float = 5.0,
        chunk_size: int | None = None,
    ) -> UploadReport:
        """
        Bring the outputs into the catalog; a running execution is stopped first. Called again, it adds what is new.

        Args:
            clean_folder: remove the files once all are in the catalog; the connection's choice by default.
            progress_callback: hears of every block sent.

        Raises:
            DerivaMLUploadError: some are not in the catalog; all are kept, and the message has the command for later.
        """
        if self.is_dry_run:
            return UploadReport(execution_rids=[DRY_RUN_RID])
        if self.status is Status.created:
            self.execution_start()
        if self.status is Status.running:
            self.execution_stop()
        clean = self._ml.clean_execution_dir if clean_folder is None else clean_folder
        report = commit(
            self._session,
            self._opened,
            progress=progress_callback,
            manner=Manner(max_retries, retry_delay, chunk_size),
        )
        for table, paths in report.assets.items():
            self.uploaded_assets.setdefault(table, []).extend(paths)
        if clean:
            self._clean()
        return report

    def _clean(self) -> None:
        """The files go, the journal stays: it is small, and says when the run started and stopped."""
        for name in ("assets", "downloaded-assets", "metadata", "unfinished"):
            shutil.rmtree(self._opened.folder / name, ignore_errors=True)

    def create_dataset(
        self,
        dataset_types: str | Sequence[str] | None = None,
        version: Any = None,
        description: str = "",
    ) -> Dataset:
        """A new dataset that this execution has made."""
        from deriva_ml_core.datasets.dataset import create_dataset

        self._require_record("make a dataset")
        return create_dataset(
            self._session,
            dataset_types=dataset_types,
            description=description,
            execution_rid=self.execution_rid,
            version=version,
            cache_dir=self._ml.cache_dir,
        )

    def add_features(self, features: Iterable[FeatureRecord]) -> int:
        """
        Store values of features as said by this execution, in bulk; how many were new. A dry run only checks them.

        Raises:
            DerivaMLValidationError: a row, term, asset or value is wrong; each is named, and nothing was stored.
        """
        from deriva_ml_core.datasets.feature_values import add_features, check_features

        if self.is_dry_run:
            check_features(self._session, features, self.execution_rid)
            return 0
        return add_features(self._session, features, self.execution_rid)

    # --- parents and children -----------------------------------------------------------------------------------

    def add_nested_execution(
        self, nested_execution: Execution | ExecutionRecord | str, sequence: int | None = None
    ) -> None:
        """Make another execution a child of this one."""
        self._require_record("have children")
        child = nested_execution if isinstance(nested_execution, str) else nested_execution.execution_rid
        nesting.link_nested(self._session, self.execution_rid, child, sequence)

    def list_nested_executions(self, recurse: bool = False) -> list[ExecutionRecord]:
        """Its children in the order of their numbers; with `recurse`, theirs too."""
        return self.execution_record.list_nested_executions(recurse)

    def list_parent_executions(self, recurse: bool = False) -> list[ExecutionRecord]:
        """The executions that it is a child of; with `recurse`, theirs too."""
        return self.execution_record.list_parent_executions(recurse)

    list_execution_children, list_execution_parents = list_nested_executions, list_parent_executions

    def is_nested(self) -> bool:
        """Whether it is a child of another."""
        return not self.is_dry_run and self.execution_record.is_nested()

    def is_parent(self) -> bool:
        """Whether it has children."""
        return not self.is_dry_run and self.execution_record.is_parent()

    def _require_record(self, what: str) -> None:
        if self.is_dry_run:
            raise DerivaMLExecutionError(f"a dry run can't {what}: it has no record in the catalog")

"""What an execution makes: files, datasets and values of features."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.manner import DEFAULT_MANNER, Manner
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.progress import ProgressCallback, UploadReport
from deriva_ml_core.assets.specs import DRY_RUN_RID
from deriva_ml_core.errors import DerivaMLTableTypeError, DerivaMLValidationError
from deriva_ml_core.executions.beginning import CHECKPOINTS
from deriva_ml_core.executions.committing import commit
from deriva_ml_core.executions.execution_life import ExecutionLife
from deriva_ml_core.executions.for_reports import keep_for_report
from deriva_ml_core.executions.opening import METADATA_TABLE
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.datasets.feature_records import FeatureRecord
    from deriva_ml_core.executions.adding_files import FileLike
    from deriva_ml_core.executions.pending import Waiting

METRICS_FILE = "metrics.jsonl"


class ExecutionOutputs(ExecutionLife):
    """The files, datasets and values of features that an execution makes."""

    _metrics: AssetFilePath | None = None

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

        Example:
            >>> weights = execution.asset_file_path("Execution_Asset", "weights.bin", description="After 10 epochs")
            >>> weights.write_bytes(b"0123")
            4
        """
        if str(asset_name) == METADATA_TABLE and asset_types is None and Path(file_name).name == "metrics.json":
            asset_types = self._metrics_types()
        return self._opened.staging.register(
            str(asset_name), file_name, asset_types, copy_file, rename_file, metadata, description, **columns
        )

    def table_path(self, table: str | Table) -> Path:
        """
        Where to write rows for a table, as a CSV file whose first line names columns; it is stored with the outputs.

        The catalog gives the system's columns, and defaults where a cell is empty. Each row is stored once, whatever
        is killed and repeated. An asset table's files are named with `asset_file_path` instead.

        Raises:
            DerivaMLTableNotFound: there is no such table. DerivaMLTableTypeError: it is an asset table.
        """
        from deriva_ml_core.executions.table_rows import table_file

        found = self._session.model.table(table)
        if found.is_asset:
            raise DerivaMLTableTypeError(f"{found} is an asset table: name its files with asset_file_path")
        return table_file(self._opened.folder, found)

    def metrics_file(self, filename: str = METRICS_FILE) -> AssetFilePath:
        """The place of a metrics file; it is uploaded with the outputs."""
        return self.asset_file_path(METADATA_TABLE, filename, asset_types=self._metrics_types())

    def log_metrics(self, step: float | None = None, /, **values: Any) -> None:
        """
        Keep what was measured at one step, as a line of the run's metrics file; `log_metrics(3, loss=0.25)`.

        The file can be read while the run goes on (`metrics`, or any reader of JSON lines), by any process.

        Args:
            step: number of the step, epoch or batch; None for values of the run as a whole.
            values: numbers, texts, truth values, or None.

        Raises:
            DerivaMLValidationError: there is no value, or one is of another kind.
            WorkingFolderError: the file can't be written.

        Example:
            >>> execution.log_metrics(0, loss=0.5)
            >>> execution.log_metrics(1, loss=0.25)
            >>> [line["loss"] for line in execution.metrics]
            [0.5, 0.25]
        """
        from deriva_ml_core.executions.metrics import append_metrics

        if self._metrics is None:
            self._metrics = self.metrics_file()
        append_metrics(self._metrics, step, values)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """What `log_metrics` has kept so far, in order: step, time and the values of each."""
        from deriva_ml_core.executions.metrics import read_metrics

        return list(read_metrics(self._metrics or self._opened.staging.assets_folder / METADATA_TABLE / METRICS_FILE))

    def _metrics_types(self) -> list[str]:
        terms = self._session.vocabularies.terms(self._session.model.ml_table("Asset_Type"))
        return [name for name in ("Metrics_File",) if name in terms]

    def keep_log(self) -> None:
        """
        Make the log of Hydra's job, as it is now, one of the files that are uploaded; nothing outside Hydra.

        Raises:
            WorkingFolderError: it can't be written.
        """
        from deriva_ml_core.executions.leftovers import stage_log

        if not self.is_dry_run:
            stage_log(self._opened)

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
            max_retries: how often files that got no answer are tried again.
            retry_delay: seconds before the first of these; each further pause is twice as long.
            timeout: seconds to connect and to wait for an answer; the connection's own by default.
            chunk_size: bytes; larger files go in chunks.

        Raises:
            DerivaMLConfigurationError: a value that can't be meant; nothing has happened.
            DerivaMLUploadError: some are not in the catalog; all are kept.
        """
        manner = Manner(max_retries, retry_delay, timeout, chunk_size)
        return self.commit_output_assets(clean_folder, progress_callback, manner=manner).assets

    def upload_assets(self, assets_dir: Path | str) -> dict[str, list[AssetFilePath]]:
        """
        Name all files of a folder as outputs and upload them; its sub-folders are called like the files' asset tables.

        Returns:
            "schema/table" to the files.

        Raises:
            DerivaMLValidationError: there is no such folder. DerivaMLTableNotFound, DerivaMLTableTypeError: a
                sub-folder is called like no asset table. Nothing was named.
        """
        top = Path(assets_dir)
        if not top.is_dir():
            raise DerivaMLValidationError(f"there is no folder {top}")
        tables = sorted(folder for folder in top.iterdir() if folder.is_dir())
        for folder in tables:
            self._session.model.asset_table(folder.name)
        for folder in tables:
            for file in sorted(file for file in folder.rglob("*") if file.is_file()):
                self.asset_file_path(folder.name, file, rename_file=file.relative_to(folder).as_posix())
        return self.upload_execution_outputs()

    def pending_summary(self) -> Waiting | None:
        """What of it is not in the catalog: how many files, of what; None where all is."""
        from deriva_ml_core.executions.pending import waiting_of

        return waiting_of(self.working_dir, self.journal_entry)

    def commit_output_assets(
        self,
        clean_folder: bool | None = None,
        progress_callback: ProgressCallback | None = None,
        *,
        manner: Manner = DEFAULT_MANNER,
    ) -> UploadReport:
        """
        Bring the outputs into the catalog; a running execution is stopped first. Called again, it adds what is new.

        Args:
            clean_folder: remove the files once all are in the catalog; the connection's choice by default.
            progress_callback: hears of every block sent.
            manner: repeats, time-outs, chunks.

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
        report = commit(self._session, self._opened, progress=progress_callback, manner=manner)
        for table, paths in report.assets.items():
            self.uploaded_assets.setdefault(table, []).extend(paths)
        keep_for_report(self._ml.cache_dir, self._opened)
        if clean:
            self._clean()
        return report

    def _clean(self) -> None:
        """The files go, the journal stays: it is small, and says when the run started and stopped."""
        names = ["downloaded-assets", "metadata", "unfinished", "prepared", "tables", CHECKPOINTS]
        if not self._opened.staging.unregistered():  # these are nowhere else
            names.append("assets")
        for name in names:
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
            self._ml,
            dataset_types=dataset_types,
            description=description,
            execution_rid=self.execution_rid,
            version=version,
        )

    def add_files(  # the signature of existing projects
        self,
        files: Iterable[FileLike] | FileLike,
        dataset_types: str | Iterable[str] | None = None,
        description: str = "",
        chunk_size: int = 500,
        root_name: str | None = None,
    ) -> Dataset:
        """
        Record files that stay where they are, as outputs and as a dataset; see `adding_files.add_files`.

        Raises:
            DerivaMLValidationError: a path is not there, or there is no file; nothing was recorded.
            DerivaMLExecutionError: a dry run records nothing.
        """
        from deriva_ml_core.executions.adding_files import add_files

        self._require_record("record files")
        return add_files(
            self._ml,
            files,
            execution_rid=self.execution_rid,
            dataset_types=dataset_types,
            description=description,
            chunk_size=chunk_size,
            root_name=root_name,
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

"""
How an execution comes to be: all is checked, then it has a record, then its inputs arrive.

    working folder writable -> configuration valid -> workflow registered
        -> RID leased -> journal on disk -> row in the catalog -> metadata files uploaded -> inputs down and linked

The RID is leased and the journal written before the row, so that there is no moment at which a killed process leaves
a row that no journal knows of. From the row on, whatever goes wrong is recorded: the execution Failed, or Aborted.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.download import download, fetch_assets, link_inputs
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.progress import UploadReport
from deriva_ml_core.assets.specs import DRY_RUN_RID, AssetSpec
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLExecutionError, WorkingFolderError
from deriva_ml_core.executions.bags import DatasetBags, fetch_bags
from deriva_ml_core.executions.beginning import begin, first_entry, save_rid
from deriva_ml_core.executions.contributions import require_plugins
from deriva_ml_core.executions.ending import record_failure
from deriva_ml_core.executions.for_reports import keep_for_report
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.journal import (
    Journal,
    check_writable,
    executions_folder,
)
from deriva_ml_core.executions.metadata import MetadataFile, project_around, write_metadata_files
from deriva_ml_core.executions.observing import facts_of, tell, tell_inputs_ready
from deriva_ml_core.executions.owner import Owner
from deriva_ml_core.executions.recorder import StatusRecorder
from deriva_ml_core.executions.reporting import SILENT, Reporter
from deriva_ml_core.executions.sweeps import Place, write_sweep
from deriva_ml_core.executions.validation import Inputs, validate
from deriva_ml_core.workflows import registry
from deriva_ml_core.workflows.provenance import CodeReference, find_code_reference
from deriva_ml_core.workflows.source import calling_file
from deriva_ml_core.workflows.workflow import Workflow

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.config.connection_config import FailureUploads
    from deriva_ml_core.executions.configuration import ExecutionConfiguration

log = logging.getLogger(__name__)

METADATA_TABLE = "Execution_Metadata"


class Connection(Protocol):
    """What an execution needs of the user's handle, DerivaML."""

    @property
    def session(self) -> CatalogSession:
        """The catalog."""

    @property
    def working_dir(self) -> Path:
        """The working folder."""

    @property
    def cache_dir(self) -> Path:
        """Below it: bags and assets by content."""

    @property
    def clean_execution_dir(self) -> bool:
        """Whether files go once all of them are in the catalog."""

    @property
    def upload_on_failure(self) -> FailureUploads:
        """What of a run that failed goes into the catalog at once."""


@dataclass(slots=True)
class Opened:
    """An execution that exists, and what it has been given."""

    configuration: ExecutionConfiguration
    recorder: StatusRecorder
    staging: Staging
    dry_run: bool = False
    asset_paths: dict[str, list[AssetFilePath]] = field(default_factory=dict)
    bags: DatasetBags = field(default_factory=DatasetBags)
    temporary: Path | None = None

    @property
    def folder(self) -> Path:
        """The execution's folder."""
        return self.staging.folder


@dataclass(frozen=True, slots=True)
class Request:
    """
    What is to be opened.

    Args:
        code: the code that runs; None looks for the script or notebook that asks.
        hydra: the job of Hydra's that it is.
        place: the place in a sweep that it has.
        sweep: what a sweep is to do, for the parent's metadata file.
        owner: the process that answers for its end; None is this one. A notebook's is the command that runs it.
        dry_run: check all and bring the inputs, but write nothing to the catalog.
    """

    configuration: ExecutionConfiguration
    code: CodeReference | None = None
    hydra: HydraFacts | None = None
    place: Place | None = None
    sweep: Mapping[str, Any] | None = None
    owner: Owner | None = None
    dry_run: bool = False
    reporter: Reporter = SILENT


def open_execution(ml: Connection, request: Request) -> Opened:
    """
    Make the record of an execution and bring its inputs.

    Raises:
        WorkingFolderError, DerivaMLValidationError, DerivaMLConfigurationError: nothing has been written.
        DerivaMLException: its description did not reach the catalog, or an input could not be had; the execution is
            recorded as Failed.
    """
    configuration = request.configuration
    if configuration.workflow is None:
        raise DerivaMLConfigurationError("an execution needs a workflow: give workflow=Workflow(name, workflow_type)")
    if request.place is not None:
        ml.session.vocabularies.learn(request.place.sweep.shared.terms)
    require_plugins(ml.session.plugins)
    inputs = validate(ml.session, configuration)
    if not request.dry_run:
        check_writable(ml.working_dir)  # makes the folder: not for a run that is refused for its input
    code = request.code or find_code_reference(calling_file())
    known = request.place.sweep.shared.workflow if request.place else None
    workflow = _workflow(ml.session, configuration.workflow, code, known, register=not request.dry_run)
    described = configuration.model_copy(update={"workflow": workflow})
    opened = _open_dry(ml, described) if request.dry_run else _open_recorded(ml, described, request)
    try:
        if request.place is not None and not request.dry_run:
            request.place.require_turn()  # again: who stopped the sweep before the journal was there could not see it
        if not request.dry_run:
            tell(ml.session.plugins, "deriva_execution_opened", opened.recorder.journal)
            _upload_metadata(ml, opened, code, request)
            keep_for_report(ml.cache_dir, opened)
        _bring_inputs(ml, opened, inputs, request.reporter)
        if not request.dry_run:
            tell_inputs_ready(ml.session.plugins, opened)
    except BaseException as err:  # Ctrl-C too: the record must say how it ended
        record_failure(opened.recorder, err)
        discard(opened)
        raise
    return opened


def discard(opened: Opened) -> None:
    """Remove what a dry run has put on disk."""
    if opened.temporary is not None:
        shutil.rmtree(opened.temporary, ignore_errors=True)


def _workflow(
    session: CatalogSession, asked: Workflow | str, code: CodeReference, known: Workflow | None, *, register: bool
) -> Workflow:
    """The workflow as it is recorded; one that is named by RID or URL must be there."""
    if isinstance(asked, str):
        if known is not None and asked in (known.workflow_rid, known.url, known.checksum):
            return known
        return registry.lookup(session, asked) if rows.is_rid(asked) else registry.lookup_by_url(session, asked)
    filled = asked.filled(code)
    if not register or filled.workflow_rid is not None:
        return filled
    if known is not None and known == filled.model_copy(update={"workflow_rid": known.workflow_rid}):
        return known
    return filled.model_copy(update={"workflow_rid": registry.register(session, filled)})


# --- the record -------------------------------------------------------------------------------------------------------


def _open_recorded(ml: Connection, configuration: ExecutionConfiguration, request: Request) -> Opened:
    session, place = ml.session, request.place
    rid = (place.rid if place else None) or rows.lease_rids(session, 1)[0]
    folder = executions_folder(ml.working_dir) / rid
    entry = replace(first_entry(session, rid, configuration, place), owner=request.owner)
    journal = begin(session, folder, entry)
    link = "" if session.is_embedded else f" ({session.record_url(rid)})"
    request.reporter.say(f"Execution {rid}{link}")
    save_rid(journal.entry)
    recorder = StatusRecorder(session, journal, in_sweep=place is not None)
    return Opened(configuration, recorder, Staging(folder, session))


def _open_dry(ml: Connection, configuration: ExecutionConfiguration) -> Opened:
    """The same on a folder that goes away again, with a recorder that tells nobody."""
    temporary = Path(tempfile.mkdtemp(prefix="deriva-ml-dry-run-"))
    folder = executions_folder(temporary) / DRY_RUN_RID
    entry = replace(first_entry(ml.session, DRY_RUN_RID, configuration), pending=frozenset())
    recorder = StatusRecorder(None, Journal.start(folder, entry))
    return Opened(configuration, recorder, Staging(folder, ml.session), dry_run=True, temporary=temporary)


# --- what it is given -------------------------------------------------------------------------------------------------


def _upload_metadata(ml: Connection, opened: Opened, code: CodeReference, request: Request) -> None:
    """The files that describe the run, in the catalog before the model starts, so that they survive what it does."""
    project = project_around(code, os.environ)
    if project.warning:
        request.reporter.warn(f"{project.git_root}, whose configuration this is, has {project.warning}")
    try:
        files = write_metadata_files(
            opened.folder / "metadata",
            opened.configuration,
            hydra_output_dir=request.hydra.output_dir if request.hydra else None,
            code_reference=code,
            project=project,
            execution=facts_of(opened.recorder.journal.entry, opened.folder),
            plugins=ml.session.plugins,
        )
        if request.sweep is not None:
            files.append(write_sweep(opened.folder / "metadata", request.sweep))
    except OSError as err:
        raise WorkingFolderError(f"can't write the metadata of a run: {err.filename}: {err.strerror}") from err
    for file in files:
        opened.staging.register(
            METADATA_TABLE,
            file.path,
            asset_types=[file.asset_type],
            copy_file=False,
            rename_file=file.filename,
            description=file.description,
        )
    if request.place is not None:
        opened.staging.assume_stored(request.place.sweep.shared.files)
    rid = opened.recorder.journal.entry.rid
    with request.reporter.transfer("metadata") as progress:
        report = upload_staged(ml.session, opened.staging, rid, progress=progress)
    if report.errors:
        raise DerivaMLExecutionError(
            f"execution {rid} was not started, because {report.total_failed} of the files that describe it did not "
            f"reach the catalog: {report.errors[0]}; run it again"
        )
    opened.recorder.journal.update(environment=_environment(files, report))


def _environment(files: Iterable[MetadataFile], report: UploadReport) -> dict[str, str]:
    """RID and description of the environment snapshot, which is each run's own."""
    rids = {path.file_name: path.asset_rid for paths in report.assets.values() for path in paths}
    found = ((rids.get(file.filename), file.description) for file in files if file.asset_type == "Runtime_Env")
    return next(({"rid": rid, "description": description} for rid, description in found if rid), {})


def _bring_inputs(ml: Connection, opened: Opened, inputs: Inputs, reporter: Reporter) -> None:
    """Datasets and assets on disk, linked to the execution; how long it took is on the record."""
    if not (inputs.datasets or inputs.assets or inputs.files):
        return
    started = time.monotonic()
    rid = None if opened.dry_run else opened.recorder.journal.entry.rid
    opened.bags = fetch_bags(ml, inputs.datasets, execution_rid=rid, reporter=reporter)
    opened.asset_paths = _bring_assets(ml, opened, inputs, rid, reporter)
    opened.recorder.journal.update(inputs=_named_inputs(inputs))
    opened.recorder.measured("download", time.monotonic() - started)


def _bring_assets(
    ml: Connection, opened: Opened, inputs: Inputs, rid: str | None, reporter: Reporter
) -> dict[str, list[AssetFilePath]]:
    dest = opened.folder / "downloaded-assets"
    keep = {a.rid for a in opened.configuration.assets if isinstance(a, AssetSpec) and a.cache}
    if inputs.assets:
        reporter.say(f"Input assets: {len(inputs.assets)}")
    with reporter.transfer("input assets") as progress:
        cache = ObjectCache(ml.cache_dir)
        paths = download(ml.session, inputs.assets, dest, cache, cached=keep, progress=progress)
    if rid is not None:
        link_inputs(ml.session, inputs.assets, rid)
    for table, files in fetch_assets(ml.session, inputs.files, dest, ml.cache_dir, execution_rid=rid).items():
        paths.setdefault(table, []).extend(files)
    return paths


def _named_inputs(inputs: Inputs) -> Mapping[str, Any]:
    """The inputs for a person who reads the journal."""
    return {
        "datasets": [str(dataset.spec) for dataset in inputs.datasets],
        "assets": [{"rid": asset.rid, "table": asset.table, "file": asset.file_name} for asset in inputs.assets],
        "files": [str(file.path) for file in inputs.files],
    }

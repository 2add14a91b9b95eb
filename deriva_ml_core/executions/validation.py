"""Whether all that a configuration names is there, before anything is written: every problem in one message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.handlers import why_unfetchable
from deriva_ml_core.assets.resolving import CatalogAsset, resolve_assets
from deriva_ml_core.assets.specs import AssetSpec, LocalFile
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.history import DatasetHistory, read_datasets
from deriva_ml_core.datasets.reach import excluded_tables
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError, nearest
from deriva_ml_core.workflows.workflow import Workflow

if TYPE_CHECKING:
    from pathlib import Path

    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.executions.configuration import ExecutionConfiguration


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset that exists, in a version that exists."""

    spec: DatasetSpec
    version: DatasetHistory


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an execution will use."""

    datasets: tuple[DatasetInput, ...] = ()
    assets: tuple[CatalogAsset, ...] = ()
    files: tuple[LocalFile, ...] = ()


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ConfigurationReport:
    """What is wrong with a configuration: a line each, and nothing where it can be used."""

    problems: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether an execution can have it."""
        return not self.problems


def check(session: CatalogSession, configuration: ExecutionConfiguration) -> ConfigurationReport:
    """
    As `validate`, with what is wrong as a value.

    Raises:
        DerivaMLSchemaError: the catalog has no deriva-ml schema.
    """
    try:
        validate(session, configuration)
    except DerivaMLValidationError as err:
        return ConfigurationReport(tuple(err.problems))
    return ConfigurationReport()


def validate(session: CatalogSession, configuration: ExecutionConfiguration) -> Inputs:
    """
    Check a configuration against a catalog: one request for each kind of thing that it names, not for each thing.

    Raises:
        DerivaMLValidationError: all that is wrong, one line each in `problems`.
        DerivaMLSchemaError: the catalog has no deriva-ml schema.
    """
    session.model.ml_table("Execution")
    findings = _Findings()
    datasets = tuple(_datasets(session, configuration.datasets, findings))
    assets = _assets(session, [a for a in configuration.assets if isinstance(a, AssetSpec)], findings)
    files = tuple(a for a in configuration.assets if isinstance(a, LocalFile))
    findings.problems += [f"assets: {_no_file(file.path)}" for file in files if not file.path.is_file()]
    _workflow(session, configuration.workflow, findings)
    if findings.problems:
        raise DerivaMLValidationError("this configuration can't be used", findings.problems)
    return Inputs(datasets, assets, files)


def _workflow(session: CatalogSession, workflow: Any, findings: _Findings) -> None:
    """A workflow that is named by RID or URL is looked up when it is registered: here only its types are known."""
    if not isinstance(workflow, Workflow) or workflow.workflow_rid:
        return
    for name in workflow.types:
        try:
            session.vocabularies.lookup(session.model.ml_table("Workflow_Type"), name)
        except DerivaMLException as err:
            findings.problems.append(f"workflow '{workflow.name}': {err}")


def _datasets(session: CatalogSession, specs: Sequence[DatasetSpec], findings: _Findings) -> Iterator[DatasetInput]:
    known = read_datasets(session, {spec.rid for spec in specs}, deleted=True) if specs else {}
    for spec in specs:
        record = known.get(rows.normal_rid(spec.rid))
        if record is None:
            findings.problems.append(_no_dataset(session, spec.rid))
            continue
        if record.deleted:
            findings.problems.append(f"datasets: {spec.rid} has been deleted")
            continue
        try:
            excluded_tables(session.model, spec.exclude_tables or ())
        except DerivaMLException as err:
            findings.problems.append(f"datasets: {spec.rid}: {err}")
        try:
            version = record.at(spec.version)
            record.require_release(version)
        except DerivaMLException as err:
            findings.problems.append(f"datasets: {err}")
            continue
        # A spec without a version means the current one: fixed here, so that the record says which it was.
        yield DatasetInput(spec.model_copy(update={"version": version.dataset_version}), version)


def _no_dataset(session: CatalogSession, rid: str) -> str:
    other = rows.locate_rid(session, rid)
    if other is not None:
        return f"datasets: {rid} is a row of {other[1]}, not a dataset"
    there = [row["RID"] for row in rows.select(session, session.model.ml_table("Dataset"), columns=["RID"], limit=200)]
    return f"datasets: the catalog has no dataset {rid}{nearest(rid, there) or _some(there)}"


def _some(rids: Sequence[str]) -> str:
    more = ", …" if len(rids) > 10 else ""
    return f" (datasets: {', '.join(rids[:10])}{more})" if rids else " (it has none)"


def _no_file(path: Path) -> str:
    return f"{path} is a folder: name its files" if path.is_dir() else f"there is no file {path}"


def _assets(session: CatalogSession, specs: Sequence[AssetSpec], findings: _Findings) -> tuple[CatalogAsset, ...]:
    try:
        assets = tuple(resolve_assets(session, (spec.rid for spec in specs))) if specs else ()
    except DerivaMLValidationError as err:
        findings.problems += [f"assets: {problem}" for problem in err.problems]
        return ()
    for asset in assets:
        if why := why_unfetchable(session, str(asset.row.get("URL") or "")):
            findings.problems.append(f"assets: {asset.rid} ({asset.table} {asset.file_name}): {why}")
    return assets

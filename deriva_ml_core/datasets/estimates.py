"""
What a dataset's bag would bring, before it is downloaded.

Files and their bytes are exact: the asset rows that will come are read, without their other columns. Rows are counted
by the server: of a table that several ways lead to, the count of the way with the most is told, which may be less than
all; rows that come because others refer to them (executions, workflows) are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.cache import find_bag
from deriva_ml_core.datasets.export import reach_of, remote_file
from deriva_ml_core.datasets.history import read_dataset
from deriva_ml_core.datasets.layout import AssetFile, PayloadFile

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.history import DatasetHistory
    from deriva_ml_core.datasets.reach import Reach, TableId, TablePath
    from deriva_ml_core.datasets.specs import DatasetSpec

_RIDS_IN_A_URL = 400


@dataclass(frozen=True, slots=True)
class BagInfo:
    """
    What a bag brings.

    Attributes:
        rows: "schema/Table" -> number of rows; estimated unless `is_cached`.
        files, size_bytes: of its assets. missing_files, missing_bytes: those that would be downloaded now.
        is_cached: its tables are on this disk; with `missing_files` 0 all of it is.
    """

    dataset_rid: str
    version: str
    rows: Mapping[str, int]
    files: int
    size_bytes: int
    missing_files: int
    missing_bytes: int
    is_cached: bool

    def __str__(self) -> str:
        from rich.filesize import decimal

        if self.is_cached and not self.missing_files:
            here = "cached"
        elif self.missing_files:
            here = f"{decimal(self.missing_bytes)} to download"
        else:
            here = "only the tables to download"
        return (
            f"dataset {self.dataset_rid}@{self.version}: {sum(self.rows.values())} rows in {len(self.rows)} tables, "
            f"{self.files} files, {decimal(self.size_bytes)}; {here}"
        )

    @property
    def document(self) -> dict[str, object]:
        """The same for a program."""
        return asdict(self) | {"rows": dict(self.rows)}


def bag_info(
    session: CatalogSession, spec: DatasetSpec, cache_dir: Path, *, entry: DatasetHistory | None = None
) -> BagInfo:
    """
    What the bag of a dataset at a version brings; one small query for each way to a table, none of a cached bag.

    Args:
        entry: the version, where the caller has looked it up.

    Raises:
        DerivaMLDatasetNotFound: no such dataset or version.
        DerivaMLTableNotFound: a table to exclude is not there.
    """
    entry = entry or read_dataset(session, spec.rid, deleted=True).at(spec.version)
    cached = find_bag(session, spec, cache_dir, entry)
    files: Sequence[AssetFile | PayloadFile]
    if cached is not None:
        counts, files = dict(cached.rows), cached.files
    else:
        assert entry.snapshot is not None
        counts, files = _asked(session.at(entry.snapshot), spec, entry.dataset_rid)
    objects = ObjectCache(cache_dir)
    absent = cached.missing if cached is not None else files
    missing = [file for file in absent if objects.find(file.md5, file.size_bytes) is None]
    return BagInfo(
        dataset_rid=entry.dataset_rid,
        version=str(entry.dataset_version),
        rows=counts,
        files=len(files),
        size_bytes=sum(max(file.size_bytes, 0) for file in files),
        missing_files=len(missing),
        missing_bytes=sum(max(file.size_bytes, 0) for file in missing),
        is_cached=cached is not None,
    )


# --- inside ---


def _asked(session: CatalogSession, spec: DatasetSpec, rid: str) -> tuple[dict[str, int], list[AssetFile]]:
    workers = spec.reachability_concurrency
    datasets, reach = reach_of(session, rid, exclude_tables=spec.exclude_tables or (), workers=workers)
    counts: dict[str, int] = {}
    files: dict[str, AssetFile] = {}

    def look(identity: TableId) -> None:
        table = session.model.tables[identity]
        if table.is_asset:
            found = {row["RID"]: row for row in _asset_rows(session, reach.paths[identity], datasets)}
            files.update(_files(session, table, found.values()))
            number = len(found)
        else:
            number = _count(session, reach, identity, datasets)
        counts[f"{table.schema}/{table.name}"] = number

    for outcome in in_parallel(sorted({*reach.paths, *reach.vocabularies}), look, workers=workers):
        if outcome.error is not None:
            raise outcome.error
    return dict(sorted(counts.items())), list(files.values())


def _count(session: CatalogSession, reach: Reach, identity: TableId, datasets: Sequence[str]) -> int:
    if identity not in reach.paths:
        return _number(session, f"/aggregate/{session.model.tables[identity].url_name}/n:=cnt(RID)")
    return max(
        sum(_number(session, _as("aggregate", path, some) + "/n:=cnt_d(RID)") for some in _some(datasets))
        for path in reach.paths[identity]
    )


def _number(session: CatalogSession, path: str) -> int:
    return int(session.get_json(path)[0]["n"])


def _asset_rows(
    session: CatalogSession, paths: Iterable[TablePath], datasets: Sequence[str]
) -> Iterable[Mapping[str, object]]:
    for path in paths:
        for some in _some(datasets):
            yield from rows.stream(session, _as("attribute", path, some) + "/RID,URL,Filename,Length,MD5")


def _files(
    session: CatalogSession, table: Table, found: Iterable[Mapping[str, object]]
) -> Iterable[tuple[str, AssetFile]]:
    for row in found:
        file = remote_file(session, table, row)
        if isinstance(file, AssetFile):
            yield file.rid, file


def _as(api: str, path: TablePath, rids: Sequence[str]) -> str:
    return f"/{api}/{path.url(rids).removeprefix('/entity/')}"


def _some(datasets: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(datasets), _RIDS_IN_A_URL):
        yield datasets[start : start + _RIDS_IN_A_URL]

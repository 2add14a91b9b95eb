"""Input assets: which they are, their bytes on disk, their link to the execution.

<dest>/<Table>/<asset RID>/<Filename>      so two inputs of one name never meet
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deriva_ml_core.assets.cache import ObjectCache, folder_errors, place, require_space
from deriva_ml_core.assets.handlers import fetch_asset
from deriva_ml_core.assets.names import safe_file_name
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.progress import ProgressCallback, ProgressMeter
from deriva_ml_core.assets.records import StoredFile, link_assets, record_files
from deriva_ml_core.assets.specs import AssetSpec, LocalFile, as_input
from deriva_ml_core.assets.tables import SYSTEM_COLUMNS
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.errors import (
    DerivaMLException,
    DerivaMLTableNotFound,
    DerivaMLValidationError,
    WorkingFolderError,
)
from deriva_ml_core.hookvalues import AssetRef

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import TableName
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

DEFAULT_WORKERS = 8
_FILE = "File"
_MD5 = re.compile("[0-9a-f]{32}")
_NO_METADATA = SYSTEM_COLUMNS | {"URL", "Filename", "Length", "MD5", "Description"}


@dataclass(frozen=True, slots=True)
class CatalogAsset:
    """One asset as the catalog has it; `row` has all its columns."""

    rid: str
    schema: str
    table: str
    row: Mapping[str, Any]
    asset_types: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Its name, safe to be one on disk."""
        return safe_file_name(self.row.get("Filename"), self.rid)

    @property
    def size_bytes(self) -> int:
        """Its length; 0 where the row has none."""
        return int(self.row.get("Length") or 0)

    @property
    def md5(self) -> str | None:
        """Lower-case hex, None where the row has none that is one."""
        text = str(self.row.get("MD5") or "").lower()
        return text if _MD5.fullmatch(text) else None

    def at(self, path: Path) -> AssetFilePath:
        """The asset's file at this place, with its facts."""
        own = {name: value for name, value in self.row.items() if name not in _NO_METADATA}
        return AssetFilePath.of(
            path,
            asset_table=self.table,
            file_name=str(self.row.get("Filename") or self.file_name),
            asset_metadata=own,
            asset_types=self.asset_types,
            asset_rid=self.rid,
        )


def resolve_assets(session: CatalogSession, rids: Iterable[str], *, with_types: bool = True) -> list[CatalogAsset]:
    """
    The assets of these RIDs, of whatever tables, in the order of `rids`.

    Two or three requests for each table that is met, however many RIDs; one for each RID that is wrong.

    Raises:
        DerivaMLValidationError: some are no RIDs of this catalog, or of rows that are no assets: all in one message.
    """
    wanted = list(dict.fromkeys(rows.normal_rid(rid) for rid in rids))
    found: dict[str, CatalogAsset] = {}
    problems: list[str] = []
    left = list(wanted)
    while left:
        place_of = rows.locate_rid(session, left[0])
        table = session.model.tables.get(place_of) if place_of else None
        if table is None or not table.is_asset:
            what = f"a row of {table.name}, which is no asset table" if table else "no row of this catalog"
            problems.append(f"asset {left[0]} is {what}")
            del left[0]
            continue
        some = rows.select_by_rids(session, table, left)
        types = asset_types_of(session, table, list(some)) if with_types else {}
        for rid, row in some.items():
            found[rid] = CatalogAsset(rid, table.schema, table.name, row, types.get(rid, ()))
        left = [rid for rid in left if rid not in some and rid != left[0]]
    if problems:
        raise DerivaMLValidationError("can't use these inputs", problems)
    return [found[rid] for rid in wanted]


def fetch_assets(
    session: CatalogSession,
    specs: Iterable[object],
    dest: Path,
    cache_dir: Path,
    *,
    execution_rid: str | None = None,
    progress: ProgressCallback | None = None,
    workers: int = DEFAULT_WORKERS,
) -> dict[str, list[AssetFilePath]]:
    """
    Bring input assets to disk; each byte is verified before a file appears.

    Args:
        specs: what an `assets` list may hold: RIDs, specs, local files.
        dest: the folder of downloads; local files stay where they are.
        cache_dir: the cache folder, for specs with `cache`; others use it where it has their bytes.
        execution_rid: link them to this execution as Input; None links nothing (a dry run).

    Returns:
        Table name -> the files, in the order of `specs`.

    Raises:
        DerivaMLValidationError: a wrong entry, RID, or local path.
        ChecksumMismatch, CatalogError, CatalogUnreachable: the first file that could not be had, named.
        WorkingFolderError: no room, or no right to write.
    """
    inputs = [as_input(spec) for spec in specs]
    wanted = {rows.normal_rid(item.rid): item for item in inputs if isinstance(item, AssetSpec)}
    assets = resolve_assets(session, wanted)
    cached = {asset.rid for asset in assets if wanted[asset.rid].cache}
    paths = download(session, assets, dest, ObjectCache(cache_dir), cached=cached, progress=progress, workers=workers)
    if execution_rid is not None:
        link_inputs(session, assets, execution_rid)
    for local in (item for item in inputs if isinstance(item, LocalFile)):
        path = _local_input(session, local, execution_rid)
        paths.setdefault(path.asset_table, []).append(path)
    return paths


def download(
    session: CatalogSession,
    assets: Sequence[CatalogAsset],
    dest: Path,
    cache: ObjectCache,
    *,
    cached: Iterable[str] = (),
    nested: bool = True,
    progress: ProgressCallback | None = None,
    workers: int = DEFAULT_WORKERS,
) -> dict[str, list[AssetFilePath]]:
    """
    The files of these assets below `dest`, in parallel.

    Args:
        cached: the RIDs whose bytes are kept in the cache.
        nested: in folders by table and RID; else all in `dest`, where files of one name would meet.
    """
    keep = frozenset(cached)
    places = {asset.rid: (dest / asset.table / asset.rid if nested else dest) / asset.file_name for asset in assets}
    require_space(dest, sum(asset.size_bytes for asset in assets))
    meter = ProgressMeter(progress, {places[asset.rid]: asset.size_bytes for asset in assets})

    near = objects.near_files(session, [str(asset.row.get("URL") or "") for asset in assets])

    def fetch(asset: CatalogAsset) -> None:
        _fetch_one(session, asset, places[asset.rid], cache, near, keep=asset.rid in keep, meter=meter)
        meter.finish(places[asset.rid])

    for outcome in in_parallel(assets, fetch, workers=workers, stop=meter.stop):
        if outcome.error is not None:
            asset = outcome.job
            raise type(outcome.error)(
                f"input {asset.rid} ({asset.table} {asset.file_name}): {outcome.error}"
            ) from outcome.error
    found: dict[str, list[AssetFilePath]] = {}
    for asset in assets:
        found.setdefault(asset.table, []).append(asset.at(places[asset.rid]))
    return found


def link_inputs(session: CatalogSession, assets: Iterable[CatalogAsset], execution_rid: str) -> None:
    """Link assets to an execution as Input: one request for each association of each table."""
    by_table: dict[tuple[str, str], list[str]] = {}
    for asset in assets:
        by_table.setdefault((asset.schema, asset.table), []).append(asset.rid)
    for table, rids in by_table.items():
        link_assets(session, table, rids, execution_rid, "Input")


def _fetch_one(
    session: CatalogSession,
    asset: CatalogAsset,
    target: Path,
    cache: ObjectCache,
    near: Mapping[str, Path],
    *,
    keep: bool,
    meter: ProgressMeter,
) -> None:
    url, md5 = str(asset.row.get("URL") or ""), asset.md5
    advance = lambda size: meter.advance(target, size, "Downloading")  # noqa: E731  # a name for the callback
    with folder_errors(target.parent):
        source = None
        if md5 is not None:
            size = asset.size_bytes or None
            source = (
                cache.fetch(session, url, md5, size, progress=advance, near=near.get(url))
                if keep
                else cache.find(md5, size)
            )
        if source is not None:
            place(source, target)
        else:
            length = asset.row.get("Length")
            here = near.get(url)
            if here is None or not objects.copy_near(here, target, md5, length, advance):
                wanted = AssetRef(url, asset.file_name, md5, length, asset.rid, asset.table)
                fetch_asset(session, wanted, target, advance)


def asset_types_of(session: CatalogSession, table: TableName, rids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The terms of Asset_Type of some assets of one table, by RID, sorted."""
    try:
        link = session.model.type_link(table)
    except DerivaMLTableNotFound:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(rids), 400):
        some = rids[start : start + 400]
        for row in rows.select(
            session, link.table, {link.near_column: some}, columns=(link.near_column, link.far_column)
        ):
            rid = row[link.near_column]
            found[rid] = (*found.get(rid, ()), row[link.far_column])
    return {rid: tuple(sorted(types)) for rid, types in found.items()}


def _local_input(session: CatalogSession, local: LocalFile, execution_rid: str | None) -> AssetFilePath:
    """A file of this machine: its row says where it is and what was in it; its bytes stay here."""
    path = Path(os.path.abspath(local.path.expanduser()))  # noqa: PTH100  # a link keeps its own name
    if not path.is_file():
        raise DerivaMLValidationError(f"input {path} is {'a folder' if path.is_dir() else 'not there'}: give a file")
    try:
        md5 = objects.file_md5(path)
    except OSError as err:
        raise WorkingFolderError(f"can't read the input {path}: {err.strerror}") from err
    rid = None
    if execution_rid is not None:
        url = f"file://{socket.gethostname()}{quote(str(path))}#md5={md5}"
        file = StoredFile(url=url, file_name=path.name, size_bytes=path.stat().st_size, md5=md5, asset_types=(_FILE,))
        table = session.model.ml_table(_FILE)
        recorded = record_files(
            session, (table.schema, table.name), [file], execution_rid=execution_rid, role="Input"
        ).rids[0]
        if isinstance(recorded, DerivaMLException):
            raise recorded
        rid = recorded
    return AssetFilePath.of(path, asset_table=_FILE, file_name=path.name, asset_types=(_FILE,), asset_rid=rid)

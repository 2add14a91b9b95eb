"""Input assets: which they are, their bytes on disk, their link to the execution.

<dest>/<Table>/<asset RID>/<Filename>      so two inputs of one name never meet
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache, folder_errors, place, require_space
from deriva_ml_core.assets.handlers import fetch_asset
from deriva_ml_core.assets.local_files import record_local_input
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.progress import ProgressCallback, ProgressMeter
from deriva_ml_core.assets.records import link_assets
from deriva_ml_core.assets.resolving import CatalogAsset, resolve_assets
from deriva_ml_core.assets.specs import AssetSpec, LocalFile, as_input
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.hookvalues import AssetRef

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

DEFAULT_WORKERS = 8


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
        path = record_local_input(session, local, execution_rid)
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
    by_table: dict[tuple[str, str], dict[str, Sequence[str]]] = {}
    for asset in assets:
        by_table.setdefault((asset.schema, asset.table), {})[asset.rid] = asset.asset_types
    for table, types in by_table.items():
        link_assets(session, table, types, execution_rid, "Input")


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

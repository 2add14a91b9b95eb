"""The files of an execution, out of the catalog: for people who want to look at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.download import download
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.resolving import CatalogAsset
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLValidationError, nearest
from deriva_ml_core.executions.assets_of import linked_assets
from deriva_ml_core.executions.record import lookup_execution

if TYPE_CHECKING:
    from deriva_ml_core.assets.progress import ProgressCallback
    from deriva_ml_core.catalog.session import CatalogSession


def fetch_outputs(
    session: CatalogSession,
    execution_rid: str,
    folder: Path,
    cache_dir: Path,
    *,
    names: Collection[str] = (),
    progress: ProgressCallback | None = None,
) -> list[AssetFilePath]:
    """
    Outputs of an execution, metadata among them, as `folder/<Table>/<file>`; each verified.

    Outputs of one table with the same name each get a folder named by their RID.

    Args:
        folder: must be empty or not there.
        names: only these file names or RIDs; all where it is empty.

    Raises:
        DerivaMLExecutionNotFound: there is no such execution.
        DerivaMLNotFoundError: it has no such output, or none at all.
        DerivaMLValidationError: the folder has files, which might be overwritten.
        WorkingFolderError: no room, or no right to write.
    """
    rid = lookup_execution(session, execution_rid).execution_rid
    wanted = _chosen([one.asset for one in linked_assets(session, rid, "Output")], rid, names)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DerivaMLValidationError(f"{folder} is there and is not empty: name another folder")
    count = Counter((asset.table, asset.file_name) for asset in wanted)
    cache, paths = ObjectCache(cache_dir), []
    for table in sorted({asset.table for asset in wanted}):
        for clash in (False, True):
            some = [a for a in wanted if a.table == table and (count[a.table, a.file_name] > 1) is clash]
            place = folder if clash else folder / table
            paths += download(session, some, place, cache, nested=clash, progress=progress).get(table, [])
    return paths


def _chosen(outputs: list[CatalogAsset], rid: str, names: Collection[str]) -> list[CatalogAsset]:
    if not outputs:
        raise DerivaMLNotFoundError(f"execution {rid} has no outputs in the catalog")
    known = [name for asset in outputs for name in (asset.file_name, asset.rid)]
    for name in names:
        if name not in known:
            listing = ", ".join(asset.file_name for asset in outputs)
            raise DerivaMLNotFoundError(f"execution {rid} has no output {name!r}{nearest(name, known)} ({listing})")
    return [asset for asset in outputs if not names or {asset.file_name, asset.rid} & set(names)]

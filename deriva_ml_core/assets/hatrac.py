"""
The built-in plugin: objects of the catalog's own Hatrac, in and out.

Every command that asks plugins for their subcommands loads it; so what moves the bytes is loaded when some move.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deriva_ml_core.hookspecs import hookimpl
from deriva_ml_core.hookvalues import AssetRef, Fetched, OutputFile, Progress, StoredObject, Transfer

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


@hookimpl
def deriva_fetch_asset(asset: AssetRef, target: Path, progress: Progress, catalog: CatalogSession) -> Fetched | None:
    """Fetch `/hatrac/…`; the same of another server is refused, as our login is sent to no other."""
    if asset.scheme not in ("", "http", "https") or not urlsplit(asset.url).path.startswith("/hatrac/"):
        return None
    from deriva_ml_core.assets.cache import folder_errors
    from deriva_ml_core.catalog import objects

    with folder_errors(target.parent):
        objects.get_file(catalog, asset.url, target, md5=asset.md5, length=asset.size_bytes, progress=progress)
    # The transfer has checked the bytes against the record and the server's word: without a record, against the latter.
    return Fetched(target, md5=asset.md5)


@hookimpl
def deriva_store_asset(output: OutputFile, transfer: Transfer, catalog: CatalogSession) -> StoredObject:
    """Store at `/hatrac/<Table>/<md5>.<file name>`."""
    from deriva_ml_core.assets.names import hatrac_path
    from deriva_ml_core.catalog import objects

    url = objects.put_file(
        catalog,
        output.path,
        hatrac_path(output.table, output.md5, output.file_name),
        md5=output.md5,
        content_type=output.content_type,
        filename=output.file_name,
        chunk_size=transfer.chunk_bytes,
        lanes=transfer.lanes,
        progress=transfer.progress,
        resume_file=transfer.resume_file,
    )
    return StoredObject(url, output.size_bytes, output.md5)

"""What a sweep's report is made of stays on this disk, so that it need not come back from the catalog."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache

if TYPE_CHECKING:
    from deriva_ml_core.executions.opening import Opened

TABLE = "Execution_Metadata"
_MOST_BYTES = 2**20


def keep_for_report(cache_dir: Path, opened: Opened) -> None:
    """Copy the metadata files of a sweep's job that are in the catalog to the cache; nothing for any other run."""
    if opened.recorder.journal.entry.parent is None:
        return
    cache = ObjectCache(cache_dir)
    for asset in opened.staging.ledger:
        if asset.table == TABLE and asset.rid and asset.md5 and (asset.size_bytes or 0) <= _MOST_BYTES:
            with suppress(OSError):  # then the report fetches it
                cache.keep(opened.staging.path(asset), asset.md5)

"""The objects that rows of asset tables are about, from one store into another; those that are there are not sent."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.names import object_name, safe_file_name
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.errors import DerivaMLUploadError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

_WORKERS = 8
_HATRAC = "/hatrac/"
Row = dict[str, Any]


def in_store(found: Mapping[str, Row]) -> dict[str, Row]:
    """Those whose content is an object of the source; the others are addresses elsewhere."""
    return {rid: row for rid, row in found.items() if str(row.get("URL") or "").startswith(_HATRAC)}


def same_assets(target: CatalogSession, there: Table, found: Mapping[str, Row]) -> dict[str, str]:
    """RID -> RID of a row of the target with the same content under the same name."""
    md5s = sorted({str(row["MD5"]) for row in found.values() if row.get("MD5")})
    known = {
        object_name(str(row["URL"])): str(row["RID"])
        for row in rows.select(target, there, {"MD5": md5s}, columns=["RID", "URL"])
    }
    same: dict[str, str] = {}
    for rid, row in found.items():
        name = safe_file_name(row.get("Filename"), rid)
        if other := known.get(objects.object_path(there.name, f"{str(row.get('MD5')).lower()}.{name}")):
            same[rid] = other
    return same


def copy_objects(
    source: CatalogSession, target: CatalogSession, table: Table, todo: Mapping[str, Row]
) -> dict[str, str]:
    """
    Send these: RID -> the URL in the target's store.

    Raises:
        DerivaMLUploadError: one of them did not arrive.
    """
    near = objects.near_files(source, [str(row["URL"]) for row in todo.values()])
    urls: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="deriva-ml-publish-") as folder:

        def send(item: tuple[str, Row]) -> str:
            rid, row = item
            md5 = str(row.get("MD5") or "").lower() or None
            place = Path(folder, rid)
            path = near.get(str(row["URL"])) or objects.get_file(
                source, str(row["URL"]), place, md5=md5, length=row.get("Length")
            )
            try:
                return _send(target, table, row, path, md5)
            finally:
                place.unlink(missing_ok=True)

        for outcome in in_parallel(todo.items(), send, workers=_WORKERS):
            rid, row = outcome.job
            if outcome.answer is None:
                raise DerivaMLUploadError(
                    f"{row.get('Filename')} ({table} {rid}) was not copied: {outcome.error}; repeat the command, "
                    "it goes on where it stopped"
                ) from outcome.error
            urls[rid] = outcome.answer
    return urls


def _send(target: CatalogSession, table: Table, row: Row, path: Path, md5: str | None) -> str:
    """One object into the target's store; checked there against the checksum of its row, as it was when it was read."""
    name = f"{md5 or objects.file_md5(path)}.{safe_file_name(row.get('Filename'), str(row['RID']))}"
    there = objects.object_path(table.name, name)
    return objects.put_file(target, path, there, md5=md5, filename=row.get("Filename"))

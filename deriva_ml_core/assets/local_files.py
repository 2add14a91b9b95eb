"""Files that stay where they are: their rows say where that is and what is in them; their bytes are never sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deriva_ml_core.assets.file_specs import FileSpec, absolute
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.records import StoredFile, record_files
from deriva_ml_core.assets.specs import LocalFile
from deriva_ml_core.assets.tables import AssetTables
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

FILE_TABLE = "File"


def record_local_input(session: CatalogSession, local: LocalFile, execution_rid: str | None) -> AssetFilePath:
    """A file of this machine, linked as Input where there is an execution."""
    spec = FileSpec.of_path(local.path)
    rid = None
    if execution_rid is not None:
        (rid,) = record_where_they_are(session, [spec], execution_rid, role="Input")
    path = absolute(local.path)
    return AssetFilePath.of(path, asset_table=FILE_TABLE, file_name=path.name, asset_types=(FILE_TABLE,), asset_rid=rid)


def record_where_they_are(
    session: CatalogSession, specs: Sequence[FileSpec], execution_rid: str | None, *, role: str
) -> list[str]:
    """
    A row of File for each, with its types, linked to the execution; RIDs in the order of `specs`.

    Raises:
        DerivaMLInvalidTerm: a type is no term of Asset_Type; nothing was recorded.
        DerivaMLValidationError: rows that the catalog refused; the others are there.
    """
    table = session.model.ml_table(FILE_TABLE)
    tables = AssetTables(session)
    checked = {types: tables.check_types(table, [FILE_TABLE, *types]) for types in {spec.file_types for spec in specs}}
    files = [
        StoredFile(
            url=spec.url,
            file_name=spec.path.name or spec.url,
            size_bytes=spec.length,
            md5=spec.md5,
            description=spec.description or None,
            asset_types=checked[spec.file_types],
        )
        for spec in specs
    ]
    recorded = record_files(session, (table.schema, table.name), files, execution_rid=execution_rid, role=role).rids
    if refused := [f"{spec.url}: {rid}" for spec, rid in zip(specs, recorded, strict=True) if not isinstance(rid, str)]:
        first = next(rid for rid in recorded if isinstance(rid, DerivaMLException))
        raise first if len(refused) == 1 else DerivaMLValidationError("files were refused", refused)
    return [str(rid) for rid in recorded]

"""Which assets RIDs name: their tables, rows and types, in as few requests as the protocol has for them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deriva_ml_core.assets.names import safe_file_name
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.tables import SYSTEM_COLUMNS
from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.filters import any_rids
from deriva_ml_core.errors import DerivaMLTableNotFound, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table, TableName
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

_MD5 = re.compile("[0-9a-f]{32}")
_NO_METADATA = SYSTEM_COLUMNS | {"URL", "Filename", "Length", "MD5", "Description"}
_TYPE = "asset type"  # a name that no column has: the type beside the row's own columns


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


def resolve_assets(session: CatalogSession, rids: Iterable[str]) -> list[CatalogAsset]:
    """
    The assets of these RIDs, of whatever tables, with their types, in the order of `rids`.

    A RID that is not found yet is located, and one request brings all that are in its table: each table of the list
    costs two requests, however many RIDs it has and however many asset tables the catalog has.

    Raises:
        DerivaMLValidationError: some are no RIDs of this catalog, or of rows that are no assets: all in one message.
    """
    wanted = list(dict.fromkeys(rows.normal_rid(rid) for rid in rids))
    found: dict[str, CatalogAsset] = {}
    problems: list[str] = []
    left = wanted
    while left:
        place = rows.locate_rid(session, left[0])
        table = session.model.tables.get(place) if place else None
        if table is not None and table.is_asset:
            found.update(_assets_in(session, table, left))
        if left[0] not in found:
            problems.append(f"asset {left[0]} is {_what_else(table)}")
        left = [rid for rid in left[1:] if rid not in found]
    if problems:
        raise DerivaMLValidationError("can't use these inputs", problems)
    return [found[rid] for rid in wanted]


def _what_else(table: Table | None) -> str:
    if table is None or table.is_asset:  # or its row is gone since, or not for this user
        return "no row of this catalog"
    return f"a row of {table.name}, which is no asset table"


def _assets_in(session: CatalogSession, table: Table, rids: Sequence[str]) -> dict[str, CatalogAsset]:
    """Those of the RIDs that are in this table, with their types, in one request (more for a very long list)."""
    try:
        link = session.model.type_link(table)
    except DerivaMLTableNotFound:
        stored = rows.select_by_rids(session, table, rids)
        return {rid: CatalogAsset(rid, table.schema, table.name, row) for rid, row in stored.items()}
    near, far = (quote(name, safe="") for name in (link.near_column, link.far_column))
    columns = ",".join(f"A:{quote(name, safe='')}" for name in table.columns)
    tail = f"T:=left(A:RID)=({link.table.url_name}:{near})/{columns},{quote(_TYPE)}:=T:{far}"
    found: dict[str, CatalogAsset] = {}
    for member in any_rids(rids):
        for row in session.get_json(f"/attribute/A:={table.url_name}/RID={member}/{tail}"):
            name = row.pop(_TYPE)
            known = found.get(row["RID"])
            types = {*(known.asset_types if known else ()), *([name] if name else [])}
            found[row["RID"]] = CatalogAsset(row["RID"], table.schema, table.name, row, tuple(sorted(types)))
    return found


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

"""The assets that an execution used and made, as the catalog has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.resolving import CatalogAsset, resolve_assets
from deriva_ml_core.assets.tables import ROLE_TAGS
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLTableNotFound

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Association, Table, TableName
    from deriva_ml_core.catalog.session import CatalogSession


@dataclass(frozen=True, slots=True)
class LinkedAsset:
    """One asset of an execution; `role` is "Input" or "Output", None where the catalog does not say."""

    asset: CatalogAsset
    role: str | None


def linked_assets(session: CatalogSession, execution_rid: str, role: str | None = None) -> list[LinkedAsset]:
    """
    The assets of an execution, of all tables; one request for each table, and one more where there are any.

    Args:
        role: only these: "Input" or "Output".

    Raises:
        DerivaMLInvalidTerm: there is no such role.
    """
    found: list[LinkedAsset] = []
    for table in session.model.asset_tables():
        link = _link(session, table)
        if link is None:
            continue
        roles = _roles(session, link, execution_rid, role)
        known = rows.select_by_rids(session, table, roles) if roles else {}
        found += [
            LinkedAsset(CatalogAsset(rid, table.schema, table.name, row), roles[rid])
            for rid, row in sorted(known.items())
        ]
    return found


def _link(session: CatalogSession, table: Table) -> Association | None:
    try:
        return session.model.execution_link(table)
    except DerivaMLTableNotFound:
        return None


def _roles(session: CatalogSession, link: Association, execution_rid: str, role: str | None) -> dict[str, str | None]:
    """RIDs of the linked assets, with their roles."""
    filters = {link.far_column: execution_rid} | _of_role(session, link, role)
    return {row[link.near_column]: row.get("Asset_Role") for row in rows.select(session, link.table, filters)}


def _of_role(session: CatalogSession, link: Association, role: str | None) -> dict[str, str]:
    """The filter for links of one role; a catalog of the former generation may have none."""
    if role is None or "Asset_Role" not in link.table.columns:
        return {}
    if role not in ROLE_TAGS:
        role = session.vocabularies.lookup(session.model.ml_table("Asset_Role"), role).name
    return {"Asset_Role": role}


def executions_of_asset(session: CatalogSession, asset_rid: str, role: str | None = None) -> list[dict[str, Any]]:
    """Rows of the executions that an asset is linked to, in that role where one is given."""
    (asset,) = resolve_assets(session, [asset_rid])
    rids = execution_rids(session, (asset.schema, asset.table), asset.rid, role)
    return list(rows.select_by_rids(session, session.model.ml_table("Execution"), rids).values())


def execution_rids(session: CatalogSession, table: TableName, asset_rid: str, role: str | None = None) -> list[str]:
    """The executions that an asset of this table is linked to, in that role where one is given; the first first."""
    link = session.model.execution_link(table)
    filters = {link.near_column: asset_rid} | _of_role(session, link, role)
    return [row[link.far_column] for row in rows.select(session, link.table, filters, sort=["RCT"])]

"""What executions used and made, of many at once: a request for each table of assets and two for datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from deriva_ml_core.catalog import filters, rows
from deriva_ml_core.errors import DerivaMLTableNotFound

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Association, Table
    from deriva_ml_core.catalog.session import CatalogSession

Role = Literal["Input", "Output"]
_FACTS = ("RID", "Filename", "URL", "Length", "MD5", "Description")


@dataclass(frozen=True, slots=True)
class AssetLink:
    """An asset that an execution used (Input) or made (Output); `table` is "schema:Table"."""

    execution: str
    role: Role
    table: str
    rid: str
    name: str
    url: str
    size_bytes: int | None
    md5: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class DatasetLink:
    """A dataset that an execution used (Input), or of which it made a version (Output)."""

    execution: str
    role: Role
    rid: str
    version: str | None


def asset_links(
    session: CatalogSession,
    *,
    executions: Iterable[str] | None = None,
    assets: Iterable[str] | None = None,
    role: Role | None = None,
    leave_out: Iterable[str] = (),
) -> list[AssetLink]:
    """
    The links between executions and assets, of these executions, or of these assets.

    Args:
        leave_out: names of tables that are not looked at.
    """
    skipped = set(leave_out)
    found: list[AssetLink] = []
    for table in session.model.asset_tables():
        link = _execution_link(session, table) if table.name not in skipped else None
        if link is not None:
            column, rids = (link.far_column, executions) if executions is not None else (link.near_column, assets)
            wanted = {column: sorted(set(rids or ()))}
            found += _asset_links(session, link, wanted, role)
    return found


def _execution_link(session: CatalogSession, table: Table) -> Association | None:
    try:
        return session.model.execution_link(table)
    except DerivaMLTableNotFound:
        return None


def _asset_links(
    session: CatalogSession, link: Association, wanted: dict[str, Any], role: Role | None
) -> Iterator[AssetLink]:
    has_role = "Asset_Role" in link.table.columns
    if role is not None and has_role:
        wanted = {**wanted, "Asset_Role": role}
    asked = [name for name in _FACTS if name in link.near.columns]
    columns = [f"Execution:={quote(link.far_column)}", *(["Asset_Role"] if has_role else [])]
    columns += [f"A:{name}" for name in asked]
    for part in filters.filter_paths(link.table, wanted):
        path = f"/attribute/L:={link.table.url_name}/{part}/A:=({quote(link.near_column)})=({link.near.url_name}:RID)"
        for row in rows.stream(session, f"{path}/$L/{','.join(columns)}"):
            yield AssetLink(
                row["Execution"],
                row.get("Asset_Role") or "Output",
                str(link.near),
                row["RID"],
                row["Filename"] or row["URL"],
                row["URL"],
                row["Length"],
                row["MD5"],
                row.get("Description"),
            )


def datasets_used(
    session: CatalogSession, *, executions: Iterable[str] | None = None, datasets: Iterable[str] | None = None
) -> list[DatasetLink]:
    """Which executions used which datasets, with the version that each used; two requests."""
    table = session.model.ml_table("Dataset_Execution")
    column, rids = ("Execution", executions) if executions is not None else ("Dataset", datasets)
    links = list(rows.select(session, table, {column: sorted(set(rids or ()))}))
    known = {link["Dataset_Version"] for link in links if link.get("Dataset_Version")}
    version_table = session.model.ml_table("Dataset_Version")
    versions = rows.select_by_rids(session, version_table, known, columns=["RID", "Version"]) if known else {}
    return [
        DatasetLink(
            link["Execution"],
            "Input",
            link["Dataset"],
            versions.get(link.get("Dataset_Version") or "", {}).get("Version"),
        )
        for link in links
        if link["Dataset"] and link["Execution"]
    ]


def datasets_made(
    session: CatalogSession, *, executions: Iterable[str] | None = None, datasets: Iterable[str] | None = None
) -> list[DatasetLink]:
    """Which executions made which versions of which datasets; one request."""
    table = session.model.ml_table("Dataset_Version")
    column, rids = ("Execution", executions) if executions is not None else ("Dataset", datasets)
    found = rows.select(session, table, {column: sorted(set(rids or ()))})
    return [
        DatasetLink(row["Execution"], "Output", row["Dataset"], row["Version"]) for row in found if row["Execution"]
    ]

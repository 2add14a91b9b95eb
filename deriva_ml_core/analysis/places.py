"""Where a RID is: which table, and the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLNotFoundError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

_LEASE = "ERMrest_RID_Lease"


def find_row(session: CatalogSession, text: str) -> tuple[Table, dict[str, Any]]:
    """
    The table and the row of a RID; two or three requests.

    Raises:
        DerivaMLNotFoundError: there is no row of this RID.
    """
    rid = rows.normal_rid(text)
    place = rows.locate_rid(session, rid) if rows.is_rid(rid) else None
    if place is None:
        raise DerivaMLNotFoundError(f"catalog {session.catalog_id} has no row {text}")
    # A RID that was leased is found as its lease; the row that has it is of one of the tables that leases are for.
    leased = (session.model.ml_table("Execution"), session.model.ml_table("Dataset"), *session.model.asset_tables())
    tables = leased if place[1] == _LEASE else (session.model.table(place),)
    for table in tables:
        if found := rows.select_by_rids(session, table, [rid]):
            return table, found[rid]
    raise DerivaMLNotFoundError(f"catalog {session.catalog_id} has no row {text}")

"""Where a RID is: which table, and the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLNotFoundError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession


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
    table = session.model.table(place)
    if found := rows.select_by_rids(session, table, [rid]):
        return table, found[rid]
    raise DerivaMLNotFoundError(f"catalog {session.catalog_id} has no row {text}")

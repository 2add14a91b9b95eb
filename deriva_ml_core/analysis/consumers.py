"""Which executions used something: a dataset, or an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deriva_ml_core.analysis.links import asset_links, datasets_used
from deriva_ml_core.analysis.places import find_row
from deriva_ml_core.datasets.reach import DATASET
from deriva_ml_core.errors import DerivaMLValidationError
from deriva_ml_core.executions.record import ExecutionRecord, find_executions

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


def executions_consuming(session: CatalogSession, rid: str, version: str | None = None) -> list[ExecutionRecord]:
    """
    The executions that used a dataset or an asset, the newest first.

    Args:
        version: of a dataset: only those that used this one.

    Raises:
        DerivaMLNotFoundError: no row of this RID.
        DerivaMLValidationError: it is neither a dataset nor an asset.
    """
    table, row = find_row(session, rid)
    if table.name == DATASET:
        links = datasets_used(session, datasets=[row["RID"]])
        users = {link.execution for link in links if version in (None, link.version)}
    elif version is not None:
        raise DerivaMLValidationError(f"{rid} is a row of {table}: only datasets have versions")
    elif table.is_asset:
        others = [other.name for other in session.model.asset_tables() if other != table]
        assets = asset_links(session, assets=[row["RID"]], role="Input", leave_out=others)
        users = {link.execution for link in assets}
    else:
        raise DerivaMLValidationError(f"{rid} is a row of {table}: executions use datasets and assets")
    return list(find_executions(session, rids=users)) if users else []

"""That whoever publishes may write there: asked of the target's model, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deriva_ml_core.errors import DerivaMLAuthenticationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

_ALWAYS = ("Workflow", "Execution", "Execution_Execution", "Execution_Metadata", "Execution_Metadata_Execution")


def require_rights(target: CatalogSession, tables: Iterable[Table]) -> None:
    """
    Refuse whoever may not insert rows.

    Args:
        tables: of the target, besides those that every execution needs.

    Raises:
        DerivaMLAuthenticationError: all tables that the login may not write, in one line.
    """
    needed = [*(target.model.ml_table(name) for name in _ALWAYS), *tables]
    if closed := sorted({str(table) for table in needed if table.rights.get("insert") is False}):
        some = ", ".join(closed[:5]) + (f" and {len(closed) - 5} more" if len(closed) > 5 else "")
        raise DerivaMLAuthenticationError(
            f"your login may not write into catalog {target.catalog_id} of {target.hostname} ({some}): "
            "an owner of it can give you the right to write"
        )


def may_not_create(target: CatalogSession, tables: Iterable[Table]) -> DerivaMLAuthenticationError:
    """What is said to somebody who writes rows and creates no tables."""
    names = ", ".join(map(str, tables))
    return DerivaMLAuthenticationError(
        f"your login may not create tables in catalog {target.catalog_id} of {target.hostname}: an owner of it can "
        f"create {names}, or publish something once with --create-tables"
    )

"""What a catalog says of itself: its name, whose it is, and what it was cloned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


@dataclass(frozen=True, slots=True)
class CatalogProvenance:
    """
    Where a catalog comes from; what the server does not say is None.

    Args:
        snapshot: its state when it was asked.
        clone_source: the catalog that it is a copy of.
        generation: of its deriva-ml schema.
    """

    hostname: str
    catalog_id: str
    snapshot: str | None
    name: str | None
    description: str | None
    owner: tuple[str, ...] | None
    clone_source: str | None
    generation: str


def catalog_provenance(session: CatalogSession) -> CatalogProvenance:
    """
    Ask a catalog; one request.

    Source: ERMrest docs, "Catalog Retrieval".
    """
    document: dict[str, Any] = session.get_json("/")
    owner = document.get("owner") or (document.get("acls") or {}).get("owner")
    return CatalogProvenance(
        hostname=session.hostname,
        catalog_id=str(document.get("id") or session.catalog_id),
        snapshot=document.get("snaptime"),
        name=document.get("name"),
        description=document.get("description"),
        owner=tuple(owner) if owner else None,
        clone_source=document.get("clone_source"),
        generation=session.model.generation.name,
    )

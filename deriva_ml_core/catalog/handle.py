"""What the rooms use of the user's DerivaML: its catalog, and where bags and objects are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


class Handle(Protocol):
    """A DerivaML, or what does as one."""

    @property
    def session(self) -> CatalogSession:
        """The catalog."""

    @property
    def cache_dir(self) -> Path:
        """Where bags are kept."""


def session_of(catalog: CatalogSession | Handle) -> CatalogSession:
    """The session of a user's handle, or the session itself."""
    handle = handle_of(catalog)
    return handle.session if handle else catalog  # type: ignore[return-value]  # what has no session is one


def handle_of(catalog: Any) -> Handle | None:
    """The user's handle; None where it is a bare session."""
    return catalog if hasattr(catalog, "session") else None

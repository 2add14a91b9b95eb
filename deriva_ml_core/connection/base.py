"""What the parts of DerivaML share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


class HasSession(Protocol):
    """A connected handle."""

    @property
    def session(self) -> CatalogSession:
        """Its catalog."""

    @property
    def cache_dir(self) -> Path:
        """Where bags and assets are kept by content."""

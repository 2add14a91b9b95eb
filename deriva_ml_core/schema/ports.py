"""
What this room needs of a catalog session.

schema/ stands below catalog/ (which asks it for the generation), so it says what it needs instead of importing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from deriva_ml_core.hookvalues import Catalog


class CatalogPort(Catalog, Protocol):
    """A writable catalog, as `deriva_ml_core.catalog.CatalogSession` is."""

    def forget_model(self) -> None:
        """The model has changed; the next use of it reads it again."""


Annotations = Mapping[str, Any]

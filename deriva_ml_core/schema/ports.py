"""
What this room needs of a catalog session.

schema/ stands below catalog/ (which asks it for the generation), so it says what it needs instead of importing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class CatalogPort(Protocol):
    """A writable catalog, as `deriva_ml_core.catalog.CatalogSession` is. Paths start below the catalog."""

    @property
    def hostname(self) -> str:
        """The host, as the user named it."""

    @property
    def catalog_id(self) -> str:
        """The catalog's number or alias."""

    def get_json(self, path: str) -> Any:
        """The answer to a GET, parsed."""

    def post_json(self, path: str, document: Any) -> Any:
        """The answer to a POST, parsed."""

    def put_json(self, path: str, document: Any) -> Any:
        """The answer to a PUT, parsed; None where it is empty."""

    def forget_model(self) -> None:
        """The model has changed; the next use of it reads it again."""


Annotations = Mapping[str, Any]

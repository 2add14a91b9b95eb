"""One change of the model that a request asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.draft import Draft
from deriva_ml_core.local_catalog.ermrest.locating import Finder, Target
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.http import Response


@dataclass(frozen=True, slots=True)
class Edit:
    """
    What is to be changed, by whom, and how.

    Attributes:
        body: the request's JSON document, text (for comments) or None.
    """

    txn: Transaction
    client: Client
    target: Target
    body: Any

    @property
    def finder(self) -> Finder:
        """Finds elements in the model before the change."""
        return Finder(self.txn.model, self.client)

    def draft(self) -> Draft:
        """A new draft of the model."""
        return Draft(self.txn, self.client)


Change = Callable[[Edit], Response]
Changes = dict[tuple[str, str, bool], Change]
"""By method, resource, and whether it is one named member of a set."""

"""How many executions of a workflow have which status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deriva_ml_core.catalog import rows

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession


@dataclass(frozen=True, slots=True)
class StatusSummary:
    """
    The executions of one workflow, counted.

    Args:
        counts: by the word of the status; none is 0.
    """

    workflow_rid: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


def status_summary(session: CatalogSession, workflow_rid: str) -> StatusSummary:
    """Count in one request; none of a workflow that nobody has run."""
    rid = rows.normal_rid(workflow_rid)
    read = session.model.generation.read_status
    found = rows.select(session, session.model.ml_table("Execution"), {"Workflow": rid}, columns=["Status"])
    counts = Counter(read(row["Status"]) for row in found)
    return StatusSummary(rid, dict(sorted(counts.items())))

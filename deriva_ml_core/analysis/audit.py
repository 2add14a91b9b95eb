"""What a catalog can't account for: files and dataset versions that nobody made, executions without code or end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLTableNotFound
from deriva_ml_core.executions.states import Status
from deriva_ml_core.schema.terms import UNKNOWN_EXECUTION_DESCRIPTION, UNKNOWN_FILE_URL, UNKNOWN_WORKFLOW_URL

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

Gap = Literal["no producer", "no workflow", "no code", "no end"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row whose origin is not on record; `name` is what a person calls it, "" where it has no name."""

    gap: Gap
    table: str
    rid: str
    name: str


@dataclass(frozen=True, slots=True)
class ProvenanceAudit:
    """
    What was found.

    Args:
        checked: "schema:Table" to how many rows were looked at.
    """

    findings: tuple[Finding, ...]
    checked: dict[str, int]

    @property
    def is_complete(self) -> bool:
        """Whether everything is accounted for."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"checked": dict(self.checked), "findings": [asdict(finding) for finding in self.findings]}


def audit_provenance(session: CatalogSession) -> ProvenanceAudit:
    """
    Look through a catalog: two requests for each asset table, and three more.

    no producer   a file or a dataset's version that no execution made: raw data that was loaded by hand, say
    no workflow   an execution that does not say what it ran
    no code       a workflow with neither a URL nor a checksum
    no end        an execution that is on record as Created, Running or Stopped; it may still run

    The rows that come with the schema and stand for what is unknown are no findings.
    """
    checked: dict[str, int] = {}
    findings: list[Finding] = []
    for table in session.model.asset_tables():
        findings += _assets(session, table, checked)
    findings += _versions(session, checked)
    findings += _executions(session, checked)
    findings += _workflows(session, checked)
    return ProvenanceAudit(tuple(findings), checked)


def _assets(session: CatalogSession, table: Table, checked: dict[str, int]) -> Iterator[Finding]:
    columns = [name for name in ("RID", "Filename", "URL") if name in table.columns]
    found = [row for row in rows.select(session, table, columns=columns) if row.get("URL") != UNKNOWN_FILE_URL]
    checked[str(table)] = len(found)
    try:
        link = session.model.execution_link(table)
    except DerivaMLTableNotFound:
        made: set[str] = set()
    else:
        role = {"Asset_Role": "Output"} if "Asset_Role" in link.table.columns else {}
        made = {row[link.near_column] for row in rows.select(session, link.table, role, columns=[link.near_column])}
    for row in found:
        if row["RID"] not in made:
            yield Finding("no producer", str(table), row["RID"], row.get("Filename") or "")


def _versions(session: CatalogSession, checked: dict[str, int]) -> Iterator[Finding]:
    table = session.model.ml_table("Dataset_Version")
    found = list(rows.select(session, table, columns=["RID", "Dataset", "Version", "Execution"]))
    checked[str(table)] = len(found)
    for row in found:
        if not row["Execution"]:
            yield Finding("no producer", str(table), row["RID"], f"{row['Dataset']}@{row['Version']}")


def _executions(session: CatalogSession, checked: dict[str, int]) -> Iterator[Finding]:
    table, generation = session.model.ml_table("Execution"), session.model.generation
    columns = ["RID", "Workflow", "Status", "Description"]
    found = [
        row
        for row in rows.select(session, table, columns=columns)
        if row["Description"] != UNKNOWN_EXECUTION_DESCRIPTION
    ]
    checked[str(table)] = len(found)
    for row in found:
        name = (row["Description"] or "").partition("\n")[0]
        if not row["Workflow"]:
            yield Finding("no workflow", str(table), row["RID"], name)
        if generation.read_status(row["Status"]) in (Status.created, Status.running, Status.stopped):
            yield Finding("no end", str(table), row["RID"], name)


def _workflows(session: CatalogSession, checked: dict[str, int]) -> Iterator[Finding]:
    table = session.model.ml_table("Workflow")
    found = [
        row
        for row in rows.select(session, table, columns=["RID", "Name", "URL", "Checksum"])
        if row["URL"] != UNKNOWN_WORKFLOW_URL
    ]
    checked[str(table)] = len(found)
    for row in found:
        if not (row["URL"] or row["Checksum"]):
            yield Finding("no code", str(table), row["RID"], row["Name"] or "")

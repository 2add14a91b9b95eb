"""Workflows in the catalog: one row for one code, found again by its checksum."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLWorkflowError

from .workflow import Workflow

_TABLE = "Workflow"
_TYPES = "Workflow_Workflow_Type"
_VOCABULARY = "Workflow_Type"

logger = logging.getLogger("deriva_ml")


def register(session: CatalogSession, workflow: Workflow) -> str:
    """
    The RID of this workflow: of the row that has its code already, or of a new one.

    A row is the same workflow if its Checksum or its URL equals our checksum (our URL, where there is no checksum).
    Of several, one of the same name is taken, then the oldest.

    Raises:
        DerivaMLInvalidTerm: a workflow type is not a term of the catalog; nothing is written.
        DerivaMLNotFoundError: `workflow.workflow_rid` is no workflow of this catalog.
    """
    if workflow.workflow_rid is not None:
        return lookup(session, workflow.workflow_rid).workflow_rid or workflow.workflow_rid
    types = [term.name for term in session.vocabularies.lookup_all(_VOCABULARY, workflow.types)]
    known = find_same(session, workflow)
    if known is not None:
        return str(known["RID"])
    return _insert(session, workflow, types)


def find_same(session: CatalogSession, workflow: Workflow) -> Mapping[str, Any] | None:
    """The catalog's row for this workflow's code, or None. One request, none for a workflow without code."""
    same = workflow.checksum or workflow.url
    if not same:
        return None
    table = session.model.table(_TABLE)
    wanted = ";".join(rows.filter_path(table, {column: same}) for column in ("Checksum", "URL"))
    found = session.get_json(f"/entity/{table.url_name}/{wanted}@sort(RCT,RID)")
    for row in found:
        if row["Name"] == workflow.name:
            return dict(row)
    if found:
        logger.warning(
            "workflow '%s' is recorded as %s ('%s'): same code", workflow.name, found[0]["RID"], found[0]["Name"]
        )
        return dict(found[0])
    return None


def lookup(session: CatalogSession, rid: str) -> Workflow:
    """
    A workflow of the catalog. Setting its description or workflow_type writes to the catalog.

    Raises:
        DerivaMLNotFoundError: no workflow has this RID.
    """
    row = rows.select_by_rids(session, _TABLE, [rid]).get(rows.normal_rid(rid))
    if row is None:
        raise DerivaMLNotFoundError(f"no workflow {rid} in catalog {session.catalog_id} on {session.hostname}")
    return _bound(session, row, _types_of(session, [row["RID"]]).get(row["RID"], []))


def lookup_by_url(session: CatalogSession, url_or_checksum: str) -> Workflow:
    """
    The oldest workflow with this URL or checksum.

    Raises:
        DerivaMLNotFoundError: there is none.
    """
    table = session.model.table(_TABLE)
    wanted = ";".join(rows.filter_path(table, {column: url_or_checksum}) for column in ("Checksum", "URL"))
    found = session.get_json(f"/entity/{table.url_name}/{wanted}@sort(RCT,RID)", limit=1)
    if not found:
        raise DerivaMLNotFoundError(
            f"no workflow with URL or checksum '{url_or_checksum}' in catalog {session.catalog_id}"
        )
    return lookup(session, found[0]["RID"])


def find_all(session: CatalogSession) -> Iterator[Workflow]:
    """All workflows of the catalog, oldest first, in two requests."""
    types = _types_of(session, None)
    for row in rows.select(session, _TABLE, sort=["RCT", "RID"]):
        yield _bound(session, row, types.get(row["RID"], []))


def _insert(session: CatalogSession, workflow: Workflow, types: list[str]) -> str:
    row = rows.insert_one(
        session,
        _TABLE,
        Name=workflow.name,
        Description=workflow.description or "",
        URL=workflow.url,
        Checksum=workflow.checksum,
        Version=workflow.version,
    )
    rid = str(row["RID"])
    rows.insert(session, _TYPES, [{"Workflow": rid, "Workflow_Type": name} for name in dict.fromkeys(types)])
    return rid


def _types_of(session: CatalogSession, rids: Iterable[str] | None) -> dict[str, list[str]]:
    filters = None if rids is None else {"Workflow": list(rids)}
    found: dict[str, list[str]] = {}
    for link in rows.select(session, _TYPES, filters, sort=["RCT", "RID"]):
        found.setdefault(link["Workflow"], []).append(link["Workflow_Type"])
    return found


def _bound(session: CatalogSession, row: Mapping[str, Any], types: list[str]) -> Workflow:
    workflow = Workflow(
        name=row["Name"] or "",
        workflow_type=types,
        description=row["Description"],
        url=row["URL"],
        checksum=row["Checksum"],
        version=row["Version"],
        workflow_rid=row["RID"],
        is_notebook=str(row["URL"] or "").endswith(".ipynb"),
    )
    return workflow.written_by(lambda field, value: _write(session, str(row["RID"]), field, value))


def _write(session: CatalogSession, rid: str, field: str, value: Any) -> None:
    """Write one changed field of a looked-up workflow."""
    if field == "description":
        rows.update(session, _TABLE, [{"RID": rid, "Description": value}])
        return
    if not value:
        raise DerivaMLWorkflowError(f"workflow {rid} needs at least one type")
    wanted = [term.name for term in session.vocabularies.lookup_all(_VOCABULARY, value)]
    present = {link["Workflow_Type"]: link["RID"] for link in rows.select(session, _TYPES, {"Workflow": rid})}
    rows.insert(session, _TYPES, [{"Workflow": rid, "Workflow_Type": name} for name in wanted if name not in present])
    rows.delete(session, _TYPES, [link for name, link in present.items() if name not in wanted])

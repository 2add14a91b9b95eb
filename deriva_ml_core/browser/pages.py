"""What each page tells: documents of the rooms below, handed to its template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.wrappers import Response

from deriva_ml_core.analysis.facts import read_facts
from deriva_ml_core.analysis.lineage import trace
from deriva_ml_core.analysis.lineage_tree import tree
from deriva_ml_core.analysis.links import asset_links, datasets_used
from deriva_ml_core.analysis.places import find_row
from deriva_ml_core.analysis.report import PAGE_FOLDER, report_page
from deriva_ml_core.analysis.selection import Selection, list_documents
from deriva_ml_core.browser.rendering import FOLDER, HEADERS, html
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.history import read_datasets
from deriva_ml_core.datasets.reach import DATASET, element_types
from deriva_ml_core.errors import DerivaMLNotFoundError
from deriva_ml_core.executions.listing import show_document
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

Row = dict[str, Any]
SHOWN_EXECUTIONS, SHOWN_MEMBERS = 100, 60
_STYLES = (PAGE_FOLDER / "theme.css", FOLDER / "browse.css")
_PICTURE = re.compile(r"\.(png|jpe?g|gif|webp|svg|bmp)$", re.IGNORECASE)
_MOST_PICTURE_BYTES = 4_000_000
_REPORT_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


def static(name: str) -> Response:
    """A file that belongs to the pages."""
    if name != "browse.css":
        raise DerivaMLNotFoundError(f"there is no file {name}")
    headers = {**HEADERS, "Cache-Control": "max-age=300"}
    return Response(b"".join(style.read_bytes() for style in _STYLES), headers=headers, content_type="text/css")


def find(catalog: str, text: str) -> Response:
    """To the row that is searched for."""
    if not rows.is_rid(text):
        raise DerivaMLNotFoundError(f"{text!r} is no RID: letters and digits, in groups of four after the first")
    place = f"/id/{quote(catalog, safe='')}/{quote(rows.normal_rid(text), safe='')}"
    return Response(status=303, headers={"Location": place})


def executions(session: CatalogSession, cache_dir: Path, query: Mapping[str, str]) -> Response:
    """The newest executions."""
    status, kind = query.get("status", ""), query.get("type", "")
    limit = None if query.get("all") else SHOWN_EXECUTIONS
    selection = Selection(
        statuses=(status,) if status else (), workflow_type=kind or None, limit=None if limit is None else limit + 1
    )
    found = list_documents(session, cache_dir, selection)
    return html(
        "executions.html",
        title="Executions",
        catalog=session.catalog_id,
        executions=found[:limit],
        more=limit is not None and len(found) > limit,
        status=status,
        kind=kind,
        statuses=[one.value for one in Status],
        kinds=sorted(session.vocabularies.terms(session.model.ml_table("Workflow_Type"))),
    )


def datasets(session: CatalogSession) -> Response:
    """All datasets that are not deleted."""
    records = read_datasets(session)
    found = [
        {"rid": rid, "description": one.description, "version": _current(one), "versions": len(one.history)}
        for rid, one in records.items()
    ]
    return html("datasets.html", title="Datasets", catalog=session.catalog_id, datasets=found)


def row(session: CatalogSession, cache_dir: Path, rid: str, query: Mapping[str, str]) -> Response:
    """A row, as what it is."""
    table, found = find_row(session, rid)
    if table.schema == session.model.ml_schema and table.name == "Execution":
        return _execution(session, cache_dir, found["RID"])
    if table.schema == session.model.ml_schema and table.name == DATASET:
        return _dataset(session, found, query)
    if table.schema == session.model.ml_schema and table.name == "Dataset_Version":
        place = f"/id/{quote(session.catalog_id, safe='')}/{found['Dataset']}?version={quote(found['Version'])}"
        return Response(status=303, headers={"Location": place})
    return _asset(session, table, found) if table.is_asset else _any_row(session, table, found)


def lineage(session: CatalogSession, rid: str) -> Response:
    """What it came from, and what came of it, step by step."""
    back = trace(session, rid, directions=["back"], most=300)
    forward = trace(session, rid, directions=["forward"], most=300)
    return html(
        "lineage.html",
        title=f"Lineage of {back.start}",
        catalog=session.catalog_id,
        start=back.nodes[back.start],
        parts=[
            {"title": title, "root": tree(found, back=found is back), "complete": found.complete}
            for title, found in (("Came from", back), ("Led to", forward))
        ],
    )


def report(session: CatalogSession, cache_dir: Path, rid: str) -> Response:
    """The page of a sweep; it brings its own policy, by which nothing but its own scripts may run."""
    page = report_page(session, cache_dir, rid)
    policy = _REPORT_POLICY.search(page)
    allowed = policy[1].replace("&#39;", "'") if policy else "default-src 'none'"
    headers = {**HEADERS, "Content-Security-Policy": f"{allowed}; frame-ancestors 'none'"}
    return Response(page, headers=headers, content_type="text/html; charset=utf-8")


# --- rows -------------------------------------------------------------------------------------------------------------


def _execution(session: CatalogSession, cache_dir: Path, rid: str) -> Response:
    document = show_document(session, cache_dir / "no-journals", rid)
    facts = read_facts(session, cache_dir, [rid], ("configuration", "hydra", "metrics"))[rid]
    outputs = [one | {"picture": _picture(one["file"], one["url"], one["bytes"])} for one in document["outputs"]]
    metadata = f"{session.model.ml_schema}/Execution_Metadata"
    return html(
        "execution.html",
        title=f"Execution {rid}",
        catalog=session.catalog_id,
        one=document,
        outputs=[one for one in outputs if one["table"] != metadata],
        metadata=[one for one in outputs if one["table"] == metadata],
        choices=facts.choices,
        parameters=facts.parameters,
        metrics=facts.metrics.final,
    )


def _dataset(session: CatalogSession, found: Row, query: Mapping[str, str]) -> Response:
    """Members as a version had them, of the present one where none is chosen."""
    rid = found["RID"]
    record = read_datasets(session, [rid], deleted=True)[rid]
    named = {str(one.dataset_version): one for one in record.history}
    chosen = query.get("version") or _current(record)
    version = named.get(chosen or "")
    if query.get("version") and version is None:
        raise DerivaMLNotFoundError(f"dataset {rid} has no version {chosen} (it has: {', '.join(named) or 'none'})")
    at = session.at(version.snapshot) if version and version.snapshot else session
    return html(
        "dataset.html",
        title=f"Dataset {rid}",
        catalog=session.catalog_id,
        rid=rid,
        description=record.description,
        deleted=record.deleted,
        versions=list(reversed(record.history)),
        chosen=chosen,
        members=list(_members(at, rid)),
        users=datasets_used(session, datasets=[rid]),
    )


def _members(session: CatalogSession, rid: str) -> Iterable[dict[str, Any]]:
    """The first members of each kind, with pictures where they are some."""
    for element in element_types(session.model).values():
        filters = {element.dataset_column: rid}
        links = rows.select(session, element.link, filters, columns=[element.member_column, "RID"])
        rids = sorted((link[element.member_column] for link in links), key=lambda rid: (len(rid), rid))
        if not rids:
            continue
        some = rows.select_by_rids(session, element.table, rids[:SHOWN_MEMBERS])
        yield {
            "table": element.table.name,
            "count": len(rids),
            "rows": [
                {
                    "rid": one["RID"],
                    "name": one.get("Filename") or one.get("Name") or one.get("Description") or one["RID"],
                    "picture": _picture(one.get("Filename"), one.get("URL"), one.get("Length")),
                }
                for one in (some[rid] for rid in rids[:SHOWN_MEMBERS] if rid in some)
            ],
        }


def _asset(session: CatalogSession, table: Table, found: Row) -> Response:
    links = asset_links(session, assets=[found["RID"]])
    return html(
        "asset.html",
        title=str(found.get("Filename") or found["RID"]),
        catalog=session.catalog_id,
        table=str(table),
        row=found,
        stored=str(found.get("URL") or "").startswith("/hatrac/"),
        picture=_picture(found.get("Filename"), found.get("URL"), found.get("Length")),
        makers=[link.execution for link in links if link.role == "Output"],
        users=[link.execution for link in links if link.role == "Input"],
        columns=[(name, found[name]) for name in table.user_columns if name not in _ASSET_COLUMNS],
    )


_ASSET_COLUMNS = ("URL", "Filename", "Length", "MD5", "Description")


def _any_row(session: CatalogSession, table: Table, found: Row) -> Response:
    references = {key.columns[0] for key in table.foreign_keys if key.referenced_columns == ("RID",)}
    return html(
        "row.html",
        title=f"{table.name} {found['RID']}",
        catalog=session.catalog_id,
        table=str(table),
        row=found,
        references=references,
    )


def _current(record: Any) -> str | None:
    known = {one.version_rid: str(one.dataset_version) for one in record.history}
    newest = str(record.history[-1].dataset_version) if record.history else None
    return known.get(record.current_version_rid, newest)


def _picture(name: str | None, url: str | None, size_bytes: int | None) -> str | None:
    """The address of a file that a browser shows as a picture."""
    is_one = _PICTURE.search(name or "") and str(url or "").startswith("/hatrac/")
    return url if is_one and (size_bytes or 0) <= _MOST_PICTURE_BYTES else None

"""
/entity_rid/RID: in which table a row lives, or lived until it was deleted.

Source: ERMrest docs, "Entity Resolution" in "Data Operations".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw

from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.fragments import Fragment
from deriva_ml_core.local_catalog.ermrest.identifiers import canonical, encode, microseconds_of, time_text
from deriva_ml_core.local_catalog.ermrest.locating import unescape
from deriva_ml_core.local_catalog.ermrest.model import Model, Table
from deriva_ml_core.local_catalog.ermrest.rowrights import RowRights
from deriva_ml_core.local_catalog.ermrest.storage import View
from deriva_ml_core.local_catalog.ermrest.types import ENCODE
from deriva_ml_core.local_catalog.errors import NotFound
from deriva_ml_core.local_catalog.http import Response, json_response

_TABLES_A_QUERY = 200  # SQLite takes at most 500 parts of a compound SELECT


def answer(call: Call, raw_rid: str) -> Response:
    """
    Where the row with a RID is, in any spelling of it.

    Raises:
        NotFound: no row has or had it at this snapshot; RIDs of model elements are no rows.
    """
    rid = unescape(raw_rid)
    spellings = tuple(dict.fromkeys([rid, canonical(rid) or rid]))
    with call.read() as view:
        document = _living(view, call, spellings)
        if document is None and not _is_hidden(view, spellings):
            document = _deleted(view, call, spellings)
        if document is None:
            raise NotFound(f"There is no row with RID {rid!r}.")
        return call.answer(json_response(document), view.snaptime)


def _living(view: View, call: Call, spellings: tuple[str, ...]) -> dict[str, Any] | None:
    """A row that uses a leased RID comes before the lease, which stays where an owner used it."""
    tables = _readable(view.model, call)
    leases = view.model.find_table("public", "ERMrest_RID_Lease")
    users, rights = [table for table in tables if table is not leases], RowRights(view, call.client)
    for group in (users, [table for table in tables if table is leases]):
        found = _search(view.db, [(table, rights.rows(table)) for table in group], "''", spellings)
        if found is not None:
            table, rid, _ = found
            return _place(view.model, table, rid)
    return None


def _is_hidden(view: View, spellings: tuple[str, ...]) -> bool:
    """Whether a row is there that the client may not see: its former versions do not make it a deleted one."""
    every = [(table, Fragment(view.source(table))) for table in view.model.tables.values()]
    return _search(view.db, every, "''", spellings) is not None


def _deleted(view: View, call: Call, spellings: tuple[str, ...]) -> dict[str, Any] | None:
    """
    The place at the row's last snapshot, in tables of which the client may select every row.

    Tables that were deleted since are looked through too, for owners of the catalog.
    """
    newest, access = time_text(view.snaptime), Access(view.model, call.client)
    former = call.catalog.former_tables(view) if access.catalog("owner") else []
    known = [table for table in view.model.tables.values() if access.table(table, "select")]
    tables = [*known, *(table for table, _ in former)]
    sources = [(table, Fragment(f"(SELECT * FROM {table.history} WHERE until <= '{newest}')")) for table in tables]
    # The rows that a table had when it was deleted stay where they were.
    gone = [(table, f"(SELECT *, '{time_text(until)}' AS until FROM {table.live})") for table, until in former]
    sources += [(table, Fragment(rows)) for table, rows in gone]
    found = _search(view.db, sources, "until", spellings)
    if found is None:
        return None
    table, rid, until = found
    moment = microseconds_of(until)
    last = view.db.execute("SELECT max(snaptime) FROM snapshot WHERE snaptime < ?", (moment,)).get
    model = call.catalog.model_at(view, last)
    place = _place(model, model.tables.get(table.oid, table), rid)
    return place | {
        "deleted_at": _python_time(moment),
        "last_visible_at": _python_time(last),
        "last_visible_snaptime": encode(last),
    }


def _readable(model: Model, call: Call) -> list[Table]:
    access = Access(model, call.client)
    return [table for table in model.tables.values() if access.table(table, "select") is not False]


def _search(
    db: apsw.Connection, sources: Iterable[tuple[Table, Fragment]], order: str, spellings: tuple[str, ...]
) -> tuple[Table, str, str] | None:
    """The table and stored RID of the newest row with one of these RIDs, and what `order` says of it."""
    every = list(sources)
    best: tuple[Table, str, str] | None = None
    wanted = ENCODE(spellings)
    for start in range(0, len(every), _TABLES_A_QUERY):
        part = every[start : start + _TABLES_A_QUERY]
        selects = [
            f"SELECT {number}, {table.rid_column.sql}, {order} AS moment FROM {source.sql}"
            f" WHERE {table.rid_column.sql} IN (SELECT value FROM json_each(?))"
            for number, (table, source) in enumerate(part)
        ]
        parameters = [value for _, source in part for value in (*source.parameters, wanted)]
        row = db.execute(" UNION ALL ".join(selects) + " ORDER BY moment DESC LIMIT 1", parameters).fetchone()
        if row is not None and (best is None or row[2] > best[2]):
            best = part[row[0]][0], row[1], row[2]
    return best


def _place(model: Model, table: Table, rid: str) -> dict[str, Any]:
    return {"RID": rid, "schema_name": model.schemas[table.schema].name, "table_name": table.name}


def _python_time(microseconds: int) -> str:
    """Six digits and a whole offset, as this resource alone writes times (observed)."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat(sep=" ", timespec="microseconds")

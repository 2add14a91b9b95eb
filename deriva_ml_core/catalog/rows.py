"""
Rows in bulk: as few requests as the protocol allows, none of them too large for a server on the way.

Tables are named as in CatalogModel.table. A value of a row is what JSON can say; a missing column of an inserted row
gets its default, as a person expects (ERMrest itself would write null, so the missing ones are named to it).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from urllib.parse import quote

from deriva_ml_core.catalog.filters import any_rids, column_names, filter_path, filter_paths, is_rid, normal_rid
from deriva_ml_core.catalog.http import json_body
from deriva_ml_core.catalog.model import Table, TableName
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, DerivaMLAuthenticationError, DerivaMLNotFoundError
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

__all__ = [
    "delete",
    "delete_where",
    "filter_path",
    "insert",
    "insert_one",
    "is_rid",
    "lease_rids",
    "locate_rid",
    "normal_rid",
    "resolve_rids",
    "select",
    "select_by_rids",
    "stream",
    "update",
]

Row = dict[str, Any]
RowIn = Mapping[str, Any]

# One request carries at most so many rows and about so many bytes: enough that 100 ms of distance do not matter,
# little enough that a proxy takes it and a refusal costs little.
MAX_ROWS = 2_000
MAX_BODY_BYTES = 4_000_000
_LEASES = ("public", "ERMrest_RID_Lease")
_WORKERS = 8


def insert(
    session: CatalogSession,
    table: TableName,
    rows: Iterable[RowIn],
    *,
    defaults: Iterable[str] = (),
    leased: bool = False,
    skip_existing: bool = False,
) -> list[Row]:
    """
    Insert rows; each request is all or nothing, and most inserts are one request.

    The answer's rows are in the order of the input where the rows have a key of their own (URL, Name, ...) or
    leased RIDs; otherwise in the server's, which is the same as far as anyone has seen.

    Args:
        rows: columns to values; columns that are missing get their defaults.
        defaults: columns whose values the server shall make, whatever the rows say.
        leased: the rows bring RIDs from `lease_rids`. Such an insert may be repeated: a row that is there is left.
        skip_existing: leave out rows that clash with a stored row on any key; they are not in the answer.

    Returns:
        The stored rows, with RID and all columns.

    Raises:
        CatalogError: the server refused; CatalogUnreachable: no answer, so the rows of this request may be there.
    """
    found = session.model.table(table)
    todo = [_named(found, row) for row in rows]
    # Rows with the same columns go together: the columns to default are named once per request.
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(todo):
        groups.setdefault(_to_default(found, row, defaults), []).append(index)
    stored: list[tuple[int, Row]] = []
    for defaulted, indexes in groups.items():
        query = _insert_query(defaulted, leased=leased, skip=skip_existing or leased)
        for chunk in _chunks([todo[index] for index in indexes], indexes):
            answer = _post_rows(session, f"/entity/{found.url_name}{query}", [todo[index] for index in chunk], leased)
            stored.extend(_in_order(found, [(index, todo[index]) for index in chunk], answer))
    return [row for _, row in sorted(stored, key=lambda pair: pair[0])]


def insert_one(session: CatalogSession, table: TableName, **columns: Any) -> Row:
    """Insert one row; the stored row, with its RID."""
    return insert(session, table, [columns])[0]


def update(
    session: CatalogSession, table: TableName, rows: Iterable[RowIn], *, keys: Sequence[str] = ("RID",)
) -> list[Row]:
    """
    Change columns of stored rows; columns that a row does not name keep their values.

    Args:
        rows: each has every column of `keys`, and those to change.
        keys: columns that find the row.

    Returns:
        The rows as changed: `keys` and the changed columns.

    Raises:
        DerivaMLNotFoundError: some rows are not there (the others of their request are changed).
    """
    found = session.model.table(table)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        named = _named(found, row)
        groups.setdefault(tuple(sorted(name for name in named if name not in keys)), []).append(named)
    changed: list[Row] = []
    for targets, members in groups.items():
        if targets:
            path = f"/attributegroup/{found.url_name}/{column_names(keys)};{column_names(targets)}"
            for chunk in _chunks(members, range(len(members))):
                sent = [members[index] for index in chunk]
                answer = session.put_json(path, sent) or []
                _require_all(found, keys, sent, answer)
                changed.extend(answer)
    return changed


def delete(session: CatalogSession, table: TableName, rids: Iterable[str]) -> int:
    """Delete rows by RID; how many requests found something to delete. Rows that are gone already are no error."""
    found = session.model.table(table)
    paths = (f"/entity/{found.url_name}/RID={member}" for member in any_rids(rids))
    return sum(session.delete(path) for path in paths)


def delete_where(session: CatalogSession, table: TableName, filters: Mapping[str, Any]) -> bool:
    """
    Delete the rows that match `filters` (as in `select`); False where there were none.

    Raises:
        ValueError: no filter: nobody deletes a whole table by forgetting one.
    """
    if not filters:
        raise ValueError("delete_where needs a filter")
    found = session.model.table(table)
    paths = [f"/entity/{found.url_name}/{part}" for part in filter_paths(found, filters)]
    deleted = [session.delete(path) for path in paths]  # all of them, whatever the first one found
    return any(deleted)


def select(
    session: CatalogSession,
    table: TableName,
    filters: Mapping[str, Any] | None = None,
    *,
    columns: Sequence[str] = (),
    sort: Sequence[str] = (),
    limit: int | None = None,
) -> Iterator[Row]:
    """
    Rows of a table, streamed: memory holds one block of the answer.

    Args:
        filters: column to value; a list means any of its values, None means that there is none. An empty list
            matches nothing.
        columns: only these; all when empty.
        sort: columns to sort by, among those selected; "-RCT" for the newest first.
        limit: at most so many rows.

    Raises:
        ValueError: a list is too long for one request, and the rows shall be sorted.
    """
    found = session.model.table(table)
    chosen = "/" + column_names([found.column(name).name for name in columns]) if columns else ""
    order = "@sort(" + ",".join(_sort_key(found, name) for name in sort) + ")" if sort else ""
    tail = f"{chosen}{order}" + (f"?limit={int(limit)}" if limit is not None else "")
    base = f"/{'attribute' if columns else 'entity'}/{found.url_name}"
    paths = [f"{base}/{part}{tail}" for part in filter_paths(found, filters)] if filters else [base + tail]
    if sort and len(paths) > 1:
        raise ValueError(f"a list of {len(paths)} requests' length can't be sorted; sort the rows yourself")
    return islice((row for path in paths for row in stream(session, path)), limit)


def stream(session: CatalogSession, path: str) -> Iterator[Row]:
    """The rows of any GET below the catalog (an /entity, /attribute or /attributegroup path), one by one."""
    answer = session.get(path, headers={"Accept": "application/x-json-stream"}, stream=True)
    try:
        rest = b""
        for block in answer.stream(65_536):
            *lines, rest = (rest + block).split(b"\n")
            yield from (json.loads(line) for line in lines if line.strip())
        if rest.strip():
            yield json.loads(rest)
    finally:
        # Read to the end, the connection has gone back and serves again; left early, it is closed here.
        answer.close()
        answer.release_conn()


def select_by_rids(
    session: CatalogSession, table: TableName, rids: Iterable[str], *, columns: Sequence[str] = ()
) -> dict[str, Row]:
    """The rows with these RIDs, by RID; RIDs that the table does not have are missing from the answer."""
    found = session.model.table(table)
    found_rows: dict[str, Row] = {}
    names = ["RID", *(found.column(name).name for name in columns if name != "RID")]
    for member in any_rids(rids):
        base = f"{found.url_name}/RID={member}"
        path = f"/attribute/{base}/{column_names(names)}" if columns else f"/entity/{base}"
        found_rows.update((row["RID"], row) for row in session.get_json(path))
    return found_rows


def resolve_rids(
    session: CatalogSession, rids: Iterable[str], *, candidates: Sequence[TableName] = ()
) -> dict[str, tuple[str, str]]:
    """
    The table of each RID, as (schema, table); RIDs that the catalog does not have (any more) are missing.

    Args:
        candidates: tables in which the RIDs probably are; each costs one request for all RIDs together, and only
            RIDs not found there cost one each.
    """
    wanted = {normal_rid(rid) for rid in rids if is_rid(rid)}
    found: dict[str, tuple[str, str]] = {}
    for candidate in candidates:
        left = wanted - found.keys()
        if len(left) < 2:
            break
        table = session.model.table(candidate)
        found.update((rid, (table.schema, table.name)) for rid in select_by_rids(session, table, left, columns=["RID"]))
    for rid in sorted(wanted - found.keys()):
        place = locate_rid(session, rid)
        if place is not None:
            found[rid] = place
    return found


def locate_rid(session: CatalogSession, rid: str) -> tuple[str, str] | None:
    """
    The (schema, table) of one RID, or None where it is unknown, deleted, or leased and not used. One request.

    An owner's lease stays when its RID is used, and a server may answer with the lease: then we look where the row is.
    """
    answer = session.request("GET", f"/entity_rid/{quote(normal_rid(rid))}", accept=(400, 404, 409))
    if answer.status != 200:
        return None
    entry = json.loads(answer.data)
    if entry.get("deleted_at"):
        return None
    place = (entry["schema_name"], entry["table_name"])
    return _user_of_lease(session, rid) if place == _LEASES else place


def lease_rids(session: CatalogSession, count: int) -> list[str]:
    """
    RIDs that nobody else will get, to be used by `insert(..., leased=True)`; one request.

    Source: NOTES, "RID leases" (public:ERMrest_RID_Lease).
    """
    wanted = [{"ID": uuid.uuid4().hex} for _ in range(count)]
    leased: list[str] = []
    for chunk in _chunks(wanted, range(count)):
        answer = session.post_json(f"/entity/{':'.join(_LEASES)}", [wanted[index] for index in chunk])
        leased.extend(row["RID"] for row in answer)
    return leased


# --- inside ---


def _user_of_lease(session: CatalogSession, rid: str) -> tuple[str, str] | None:
    """The table that has a row of a leased RID; all of them are asked at the same time."""

    def asked(place: tuple[str, str]) -> tuple[str, str] | None:
        try:
            return place if select_by_rids(session, place, [rid], columns=["RID"]) else None
        except DerivaMLAuthenticationError:
            return None  # what one may not see, one does not find

    places = [place for place in session.model.tables if place != _LEASES]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return next((place for place in pool.map(asked, places) if place), None)


def _named(table: Table, row: RowIn) -> Row:
    """The row under the table's own names of its columns; ERMrest drops a name that it does not know in silence."""
    return {table.column(name).name: value for name, value in row.items()}


def _sort_key(table: Table, name: str) -> str:
    column = quote(table.column(name.removeprefix("-")).name, safe="")
    return f"{column}::desc::" if name.startswith("-") else column


def _to_default(table: Table, row: RowIn, forced: Iterable[str]) -> tuple[str, ...]:
    """Columns of `table` that the server shall fill: those with a default that the row lacks, and the forced ones."""
    lacking = (
        column.name
        for column in table.columns.values()
        if column.name not in row and column.name not in SYSTEM_COLUMNS and column.default is not None
    )
    return tuple(sorted({*lacking, *forced}))


def _insert_query(defaults: Sequence[str], *, leased: bool, skip: bool) -> str:
    parts = []
    if defaults:
        parts.append(f"defaults={column_names(defaults)}")
    if leased:
        parts.append("nondefaults=RID")
    if skip:
        parts.append("onconflict=skip")
    return "?" + "&".join(parts) if parts else ""


def _post_rows(session: CatalogSession, path: str, rows: list[Row], leased: bool) -> list[Row]:
    """One insert. With leased RIDs it says the same when said twice, so a lost answer is asked for once more."""
    try:
        answer: list[Row] = session.post_json(path, rows)
    except CatalogError as err:
        if not leased or (err.status is not None and err.status < 500):
            raise
        answer = session.post_json(path, rows)
    return answer


def _chunks(rows: Sequence[RowIn], indexes: Sequence[int]) -> Iterator[list[int]]:
    """The indexes of rows that travel together: bounded in number and in bytes."""
    chunk: list[int] = []
    size = 0
    for row, index in zip(rows, indexes, strict=True):
        weight = len(json_body(row))
        if chunk and (len(chunk) >= MAX_ROWS or size + weight > MAX_BODY_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(index)
        size += weight
    if chunk:
        yield chunk


def _in_order(table: Table, sent: list[tuple[int, Row]], answer: list[Row]) -> Iterator[tuple[int, Row]]:
    """The answer's rows with the indexes of the rows that they came from."""
    for key in sorted(table.keys, key=lambda key: key != ("RID",)):
        if all(name in row and row[name] is not None for _, row in sent for name in key):
            places = {tuple(str(row[name]) for name in key): index for index, row in sent}
            found = [(places.get(tuple(str(row[name]) for name in key)), row) for row in answer]
            if all(index is not None for index, _ in found):
                yield from ((index, row) for index, row in found if index is not None)
                return
    yield from zip((index for index, _ in sent), answer, strict=False)


def _require_all(table: Table, keys: Sequence[str], sent: Sequence[RowIn], answer: Sequence[RowIn]) -> None:
    """ERMrest ignores rows that match nothing; a caller who names a row means it."""
    if len(answer) >= len(sent):
        return
    there = {tuple(str(row.get(name)) for name in keys) for row in answer}
    missing = [key for row in sent if (key := tuple(str(row[name]) for name in keys)) not in there]
    names = ", ".join("/".join(key) for key in missing[:5])
    raise DerivaMLNotFoundError(f"{table} has no row with {'/'.join(keys)} {names or '(some of those given)'}")

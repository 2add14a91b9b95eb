"""
DELETE of rows, and of values.

Source: ERMrest API documentation, "Entity Deletion", "Attribute Deletion"; NOTES.md "Writing rows".
"""

from __future__ import annotations

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import require
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.constraints import constraint_refusals
from deriva_ml_core.local_catalog.ermrest.model import Column
from deriva_ml_core.local_catalog.ermrest.paging import parse_limit
from deriva_ml_core.local_catalog.ermrest.paths import Path, bind_path, resolve
from deriva_ml_core.local_catalog.ermrest.queries import limits_are_refusals
from deriva_ml_core.local_catalog.ermrest.rowrights import RowRights
from deriva_ml_core.local_catalog.ermrest.sql import rowids_sql
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.syntax import DataName, Reference
from deriva_ml_core.local_catalog.ermrest.urlgrammar import parse_name, parse_query
from deriva_ml_core.local_catalog.ermrest.written import Input
from deriva_ml_core.local_catalog.errors import BadRequest, Forbidden, NotFound


def delete_rows(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Delete the rows of the path's last table that the path reaches.

    Raises:
        NotFound: there are none. Conflict: others refer to them.
    """
    name = parse_name("entity", request.path)
    _refuse_pages(name, request)
    path = bind_path(txn.model, name.elements)
    table, rights = path.context.table, RowRights(txn, client)
    chosen = rowids_sql(rights, path)
    _require_reads(txn, client, path)
    require(txn, client, table, "delete")
    with limits_are_refusals(), constraint_refusals(txn.model, table):
        rights.require(table, "delete", chosen)
        txn.db.execute(f"DELETE FROM {table.live} WHERE rowid IN ({chosen.sql})", chosen.parameters)
    return _done(txn)


def clear_columns(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Set columns to null in the rows that the path reaches.

    Raises:
        NotFound: there are none. Forbidden: a system column. Conflict: a column that must not be null.
    """
    name = parse_name("attribute", request.path)
    _refuse_pages(name, request)
    path = bind_path(txn.model, name.elements)
    columns = _columns(path, name)
    table, rights = path.context.table, RowRights(txn, client)
    if system := [column.name for column in columns if column.is_system]:
        raise Forbidden(f"{', '.join(system)} cannot be cleared.")
    chosen = rowids_sql(rights, path)
    _require_reads(txn, client, path)
    require(txn, client, table, "update", columns)
    clears = ", ".join(f"{column.sql} = NULL" for column in columns)
    rmt, rmb = table.rmt_column.sql, table.by_name["RMB"].sql
    sql = f"UPDATE {table.live} SET {clears}, {rmt} = ?, {rmb} = ? WHERE rowid IN ({chosen.sql})"
    with limits_are_refusals(), constraint_refusals(txn.model, table):
        rights.require(table, "update", chosen, columns)
        txn.db.execute(sql, (txn.now, txn.client, *chosen.parameters))
    return _done(txn)


def _refuse_pages(name: DataName, request: Input) -> None:
    """Whoever limits a deletion must not lose more: sort, page and limit are for reading only."""
    if name.sort or name.after or name.before or parse_limit(parse_query(request.query)) is not None:
        raise BadRequest("A deletion has no order and no limit: it takes every row that the path names.")


def _columns(path: Path, name: DataName) -> list[Column]:
    columns: dict[int, Column] = {}
    for item in name.items or ():
        if not isinstance(item.source, Reference):
            raise BadRequest(f"'{item.source.function}(...)' cannot be deleted; name columns.")
        if item.source.star:
            columns |= {column.oid: column for column in path.context.table.columns}
            continue
        bound = resolve(path, item.source, path.context, BadRequest)
        if bound.instance != path.context:
            raise BadRequest(f"'{item.source}' is no column of the path's last table.")
        columns[bound.column.oid] = bound.column
    return list(columns.values())


def _require_reads(txn: Transaction, client: Client, path: Path) -> None:
    for instance in path.instances:
        require(txn, client, instance.table, "select", path.read.get(instance.table.oid, {}).values())


def _done(txn: Transaction) -> Answer:
    if not txn.db.changes():
        raise NotFound("No row is named by this URL.")
    txn.changed()
    return Answer(204)

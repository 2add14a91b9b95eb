"""
PUT of whole rows, and of some columns of rows.

Source: ERMrest API documentation, "Entity Update", "Attribute Group Update"; NOTES.md "Writing rows".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import require, require_foreign_keys
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.bodies import Field, Row, Rows, body_format, read_rows
from deriva_ml_core.local_catalog.ermrest.constraints import check_references, constraint_refusals
from deriva_ml_core.local_catalog.ermrest.formats import choose_format
from deriva_ml_core.local_catalog.ermrest.identifiers import canonical
from deriva_ml_core.local_catalog.ermrest.inserting import insert_rows, keys_first, refuse_repeated, whole_table
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import find_column
from deriva_ml_core.local_catalog.ermrest.rowrights import RowRights
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.syntax import Item, Reference
from deriva_ml_core.local_catalog.ermrest.types import ENCODE
from deriva_ml_core.local_catalog.ermrest.urlgrammar import parse_name, parse_query
from deriva_ml_core.local_catalog.ermrest.written import Input, Page, answer_rows, answer_values
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, Forbidden


def upsert(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Overwrite the rows that have the same keys, insert the others; skip those that clash on some key only.

    Raises:
        BadRequest, Conflict, Forbidden, Unauthorized, UnsupportedType: see `writing.put`.
    """
    table = whole_table(txn, parse_name("entity", request.path))
    parameters = parse_query(request.query)
    kind = body_format(request.content_type)
    fields = [Field(column.name, column) for column in table.columns if not column.is_system]
    keys = {oid for key in table.keys for oid in key.columns if not table.by_oid[oid].is_system}
    if not keys:
        raise Conflict(f"Table {txn.model.qualified(table)} has no key but RID: there is nothing to recognise rows by.")
    for right in ("insert", "update"):
        require(txn, client, table, right, [field.column for field in fields])
        require_foreign_keys(txn, client, table, right, [field.column for field in fields])
    rows = read_rows(request.body, kind, fields, table.by_name)
    refuse_repeated(table, fields, rows)
    rights = RowRights(txn, client)
    updated, new = _overwrite(txn, table, fields, rows, keys=keys, rights=rights)
    columns = [field.column for field in fields]
    system = [column for column in table.columns if column.is_system]
    first = insert_rows(txn, table, columns, new, system, skip=True)
    rights.require_references(table, "insert", columns, "r.rowid > ?", (first,))
    own = [column for column in keys_first(table) if not column.is_system]
    old_rows = f"SELECT {{}} FROM {table.live} AS i0 WHERE rowid IN (SELECT value FROM json_each(?))"
    new_rows = f"SELECT {{}} FROM {table.live} AS i0 WHERE rowid > ? ORDER BY rowid"
    pages: list[Page] = [(new_rows, (first,), [*own, *system])]
    if updated:
        pages = [(old_rows, (ENCODE(updated),), own), *pages]
    return answer_rows(txn, pages, choose_format(parameters, request.accept, kind))


def _overwrite(
    txn: Transaction, table: Table, fields: Sequence[Field], rows: Iterable[Row], *, keys: set[int], rights: RowRights
) -> tuple[list[int], Rows]:
    """Write the rows that are there already, as far as the client sees; returns their row ids, and the other rows."""
    key_places = [i for i, field in enumerate(fields) if field.column.oid in keys]
    other_places = [i for i, field in enumerate(fields) if field.column.oid not in keys]
    same = " AND ".join(f"{fields[i].column.sql} IS ?" for i in key_places)
    seen = rights.rows(table)
    find = f"SELECT rowid FROM {seen.sql} WHERE {same} LIMIT 1"
    found: list[int | None] = [
        txn.db.execute(find, (*seen.parameters, *(row[i] for i in key_places))).get for row in rows
    ]
    updated = [rowid for rowid in found if rowid is not None]
    if updated:
        columns = [fields[i].column for i in other_places]
        which = "r.rowid IN (SELECT value FROM json_each(?))", (ENCODE(updated),)
        rights.require(table, "update", Statement("SELECT value FROM json_each(?)", which[1]), columns)
        sets = _sets(table, columns)
        with constraint_refusals(txn.model, table):
            txn.db.execute("PRAGMA defer_foreign_keys = ON")
            changes = (
                (*(row[i] for i in other_places), txn.now, txn.client, rowid)
                for row, rowid in zip(rows, found, strict=True)
                if rowid is not None
            )
            txn.db.executemany(f"UPDATE {table.live} SET {sets} WHERE rowid = ?", changes)
        check_references(txn.db, txn.model, table, *which)
        rights.require_references(table, "update", columns, *which)
        txn.changed()
    return updated, Rows(row for row, rowid in zip(rows, found, strict=True) if rowid is None)


def _sets(table: Table, columns: Sequence[Column]) -> str:
    """The assignments of an UPDATE: RMT and RMB always move."""
    return ", ".join(f"{column.sql} = ?" for column in [*columns, table.rmt_column, table.by_name["RMB"]])


def update(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Set the target columns of all rows that have the key columns' values.

    Raises:
        BadRequest, Conflict, Forbidden, Unauthorized, UnsupportedType: see `writing.put`.
    """
    name = parse_name("attributegroup", request.path)
    table = whole_table(txn, name)
    parameters = parse_query(request.query)
    kind = body_format(request.content_type)
    keys = _fields(txn, table, name.items or ())
    targets = _targets(txn, table, keys, name.targets)
    columns = [field.column for field in targets]
    require(txn, client, table, "select", [field.column for field in keys])
    require(txn, client, table, "update", columns)
    require_foreign_keys(txn, client, table, "update", columns)
    rows = read_rows(request.body, kind, [*keys, *targets], ())
    _refuse_repeated_keys(keys, rows)
    written = _set_columns(txn, table, keys, targets, rows, rights=RowRights(txn, client))
    named = [(field.name, field.column) for field in (*keys, *targets)]
    return answer_values(txn, named, written, choose_format(parameters, request.accept, kind))


def _fields(txn: Transaction, table: Table, items: Sequence[Item]) -> list[Field]:
    fields: list[Field] = []
    for item in items:
        if not isinstance(item.source, Reference) or item.source.star or len(item.source.parts) != 1:
            raise BadRequest("An update names plain columns, as in key;target or key;new:=target.")
        column = find_column(txn.model, table, item.source.parts[0])
        name = item.output if item.output is not None else column.name
        if name in {field.name for field in fields}:
            raise BadRequest(f"The column '{name}' is named twice.")
        fields.append(Field(name, column))
    return fields


def _targets(txn: Transaction, table: Table, keys: Sequence[Field], items: Sequence[Item] | None) -> list[Field]:
    if items is None:
        raise BadRequest("An update needs target columns: key;target.")
    targets = _fields(txn, table, items)
    if system := [field.column.name for field in targets if field.column.is_system]:
        raise Forbidden(f"{', '.join(system)} cannot be changed.")
    if both := {field.name for field in keys} & {field.name for field in targets}:
        raise Conflict(f"'{', '.join(sorted(both))}' is key and target at once; rename one: old:=key;new:=key.")
    if len({field.column.oid for field in targets}) < len(targets):
        raise Conflict("A column is the target twice.")
    return targets


def _refuse_repeated_keys(keys: Sequence[Field], rows: Iterable[Row]) -> None:
    seen: set[Row] = set()
    for row in rows:
        key = row[: len(keys)]
        if key in seen:
            names = ", ".join(field.name for field in keys)
            raise BadRequest(f"Two rows of the body have the same key ({names}): {', '.join(map(str, key))[:200]}.")
        seen.add(key)


def _set_columns(
    txn: Transaction,
    table: Table,
    keys: Sequence[Field],
    targets: Sequence[Field],
    rows: Iterable[Row],
    *,
    rights: RowRights,
) -> Rows:
    """Write the targets; returns each row of the body as often as it was written."""
    columns, seen = [field.column for field in targets], rights.rows(table)
    same = " AND ".join(f"{field.column.sql} IS ?" for field in keys)
    chosen = f"SELECT rowid FROM {seen.sql} WHERE {same}"
    # What is written may grant or take rights: those of before count.
    if rights.granted(table, "update", columns) is not None:
        for row in rows:
            rights.require(table, "update", Statement(chosen, (*seen.parameters, *_key_values(keys, row))), columns)
    which = same if seen.sql == table.live else f"rowid IN ({chosen})"
    sql = f"UPDATE {table.live} SET {_sets(table, columns)} WHERE {which} RETURNING rowid"
    touched: list[int] = []

    def write() -> Iterator[Row]:
        for row in rows:
            values = (*row[len(keys) :], txn.now, txn.client, *seen.parameters, *_key_values(keys, row))
            with constraint_refusals(txn.model, table):
                found: list[Any] = txn.db.execute(sql, values).fetchall()
            touched.extend(rowid for (rowid,) in found)
            yield from [row] * len(found)

    written = Rows(write())
    if touched:
        those = "r.rowid IN (SELECT value FROM json_each(?))", (ENCODE(touched),)
        check_references(txn.db, txn.model, table, *those)
        rights.require_references(table, "update", columns, *those)
        txn.changed()
    return written


def _key_values(keys: Sequence[Field], row: Row) -> list[object]:
    return [_key_value(field, value) for field, value in zip(keys, row, strict=False)]


def _key_value(field: Field, value: object) -> object:
    return canonical(value) or value if field.column.name == "RID" and isinstance(value, str) else value

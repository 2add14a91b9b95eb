"""
Whether a catalog's file is what the service would have made: its model, its SQLite schema, its rows' times and RIDs.

What SQLite itself can tell (pages, indexes, constraints, references) is not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deriva_ml_core.local_catalog.ermrest.identifiers import decode, time_text
from deriva_ml_core.local_catalog.ermrest.model import Model, Table
from deriva_ml_core.local_catalog.ermrest.physical import create_text
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, StorageError, View

_FEW = 10


def defects(path: Path, *, read_only: bool = False) -> Iterator[str]:
    """
    What is wrong with a catalog's file, in words; nothing if it is sound.

    Args:
        path: of catalog.db; it may be in use.
        read_only: its folder cannot be written.
    """
    try:
        catalog = Catalog(path, read_only=read_only)
    except StorageError as err:
        yield str(err)
        return
    try:
        with catalog.read() as view:
            yield from _clock(view)
            for table in view.model.tables.values():
                yield from _table(view, table)
        yield from _past(catalog)
    except (ValueError, KeyError, TypeError) as err:  # a document of the model that cannot be read
        yield f"the model cannot be read: {err!r}"
    finally:
        catalog.close()


def _clock(view: View) -> Iterator[str]:
    newest = view.db.execute("SELECT max(snaptime) FROM snapshot").get
    if newest != view.snaptime:
        yield f"the newest snapshot is {newest}, but the catalog says {view.snaptime}"
    changed = view.db.execute("SELECT max(snaptime) FROM model_change").get
    if changed != view.model.snaptime:
        yield f"the model changed last at {changed}, but the catalog says {view.model.snaptime}"


def _table(view: View, table: Table) -> Iterator[str]:
    name = view.model.qualified(table)
    sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
    found = view.db.execute(sql, (table.live,)).fetchone()
    if found is None or not view.db.table_exists(None, table.history):
        yield f"table {name} has no SQLite table {table.live} or {table.history}"
        return
    if found[0] != create_text(table, view.model):
        yield f"table {name} is not declared in SQLite as the model says"
        return
    yield from _indexes(view, table, name)
    yield from _rows(view, table, name)


def _indexes(view: View, table: Table, name: str) -> Iterator[str]:
    rows = view.db.execute("SELECT name FROM sqlite_schema WHERE tbl_name = ? AND type <> 'table'", (table.live,))
    there = {row[0] for row in rows}
    wanted = {f"k{key.oid}" for key in table.keys} | {f"f{fkey.oid}" for fkey in table.foreign_keys}
    for missing in sorted((wanted | {f"u{table.oid}", f"d{table.oid}"}) - there):
        yield f"table {name} lacks its index or trigger {missing}"


def _rows(view: View, table: Table, name: str) -> Iterator[str]:
    rid, rmt = table.rid_column.sql, table.rmt_column.sql
    newest = time_text(view.snaptime)
    for row in view.db.execute(f"SELECT {rid} FROM {table.live} WHERE {rmt} > ? LIMIT {_FEW}", (newest,)):
        yield f"row {row[0]} of table {name} is newer than the newest snapshot"
    for row in view.db.execute(f"SELECT {rid} FROM {table.history} WHERE until <= {rmt} LIMIT {_FEW}"):
        yield f"a former version of row {row[0]} of table {name} ended before it began"
    overlap = (
        f"SELECT DISTINCT h.{rid} FROM {table.history} AS h JOIN {table.live} AS t ON t.{rid} = h.{rid}"
        f" WHERE h.until > t.{rmt} LIMIT {_FEW}"
    )
    for row in view.db.execute(overlap):
        yield f"row {row[0]} of table {name} has a former version that outlives it"
    following = view.db.execute("SELECT next_rid FROM state").get
    for row in view.db.execute(f"SELECT {rid} FROM {table.live}"):
        number = decode(str(row[0]))
        if number is not None and number >= following:
            yield f"row {row[0]} of table {name} has a RID that would be given out again"
            break


def _past(catalog: Catalog) -> Iterator[str]:
    """Every former model must be readable, and refer to nothing that it does not have."""
    with catalog.read() as view:
        rows: list[tuple[Any, ...]] = view.db.execute("SELECT snaptime FROM model_change ORDER BY snaptime").fetchall()
        for (snaptime,) in rows:
            yield from _references(catalog.model_at(view, snaptime))


def _references(model: Model) -> Iterator[str]:
    for table in model.tables.values():
        if table.schema not in model.schemas:
            yield f"at {time_text(model.snaptime)} table {table.name!r} was in no schema"
        for fkey in table.foreign_keys:
            parent = model.tables.get(fkey.to_table)
            if parent is None or not all(oid in parent.by_oid for oid in fkey.to_columns):
                yield f"at {time_text(model.snaptime)} foreign key {fkey.name!r} referred to nothing"

"""
The SQLite side of a model change: tables, indexes and triggers that follow the model.

Nothing that history needs is ever dropped: a dropped column or table stays in SQLite without its constraints. What
changes in place is therefore small: tables gain columns, and constraints come and go. SQLite cannot alter constraints,
but keeps them only as the text of CREATE TABLE: we write the new text, as its documentation describes for changes that
do not touch the stored rows ("Making Other Kinds Of Table Schema Changes", lang_altertable.html). The rows are
checked before.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Key, Model, Table
from deriva_ml_core.local_catalog.ermrest.values import stored_default


def apply(db: apsw.Connection, old: Model, new: Model) -> None:
    """
    Make the SQLite schema fit `new`, inside the open transaction.

    Columns whose slot is new exist and are filled already (`add_columns`); rows that break a new constraint raise
    apsw.ConstraintError.
    """
    for oid, table in new.tables.items():
        before = old.tables.get(oid)
        if before is None:
            _create(db, table, new)
        elif before is not table or _references_changed(before, old, new):
            _alter(db, before, table, old, new)
    for oid, table in old.tables.items():
        if oid not in new.tables:
            _retire(db, table)


def add_columns(db: apsw.Connection, before: Table, after: Table) -> None:
    """Give the live and the history table the slots that `after` has in addition; stops history until `apply`."""
    added = after.physical[len(before.physical) :]
    if not added:
        return
    db.execute(f"DROP TRIGGER IF EXISTS u{after.oid}; DROP TRIGGER IF EXISTS d{after.oid}")
    for slot, affinity in added:
        for name in (after.live, after.history):
            db.execute(f"ALTER TABLE {name} ADD COLUMN c{slot} {affinity}")


def _create(db: apsw.Connection, table: Table, model: Model) -> None:
    db.execute(create_text(table, model))
    former = "".join(f", c{slot} {affinity}" for slot, affinity in table.physical)
    db.execute(f"CREATE TABLE {table.history} (until TEXT NOT NULL{former})")
    db.execute(f"CREATE INDEX hr{table.oid} ON {table.history} ({table.rid_column.sql})")
    db.execute(f"CREATE INDEX hu{table.oid} ON {table.history} (until)")
    for key in table.keys:
        _create_key(db, table, key)
    for fkey in table.foreign_keys:
        _create_reference_index(db, table, fkey)
    _create_triggers(db, table)


def _alter(db: apsw.Connection, before: Table, after: Table, old: Model, new: Model) -> None:
    text = create_text(after, new)
    dropped_keys = [key for key in before.keys if not _has(after.keys, key)]
    dropped_fkeys = [fkey for fkey in before.foreign_keys if not _has(after.foreign_keys, fkey)]
    for key in dropped_keys:
        db.execute(f"DROP INDEX k{key.oid}")
    for fkey in dropped_fkeys:
        db.execute(f"DROP INDEX IF EXISTS f{fkey.oid}")
    if text != create_text(before, old):
        _replace_text(db, after.live, text)
    for key in after.keys:
        if not _has(before.keys, key) or _slots(before, key.columns) != _slots(after, key.columns):
            db.execute(f"DROP INDEX IF EXISTS k{key.oid}")
            _create_key(db, after, key)
    for fkey in after.foreign_keys:
        if not _has(before.foreign_keys, fkey) or _slots(before, fkey.columns) != _slots(after, fkey.columns):
            db.execute(f"DROP INDEX IF EXISTS f{fkey.oid}")
            _create_reference_index(db, after, fkey)
    if before.physical != after.physical:
        _create_triggers(db, after)


def _has(constraints: Iterable[Key | ForeignKey], one: Key | ForeignKey) -> bool:
    return any(constraint.oid == one.oid for constraint in constraints)


def _slots(table: Table, oids: Iterable[int]) -> tuple[int | None, ...]:
    return tuple(table.by_oid[oid].slot if oid in table.by_oid else None for oid in oids)


def _references_changed(table: Table, old: Model, new: Model) -> bool:
    """Whether a column that this table refers to has another SQL name now."""
    return any(
        fkey.to_table not in new.tables
        or _slots(old.tables[fkey.to_table], fkey.to_columns) != _slots(new.tables[fkey.to_table], fkey.to_columns)
        for fkey in table.foreign_keys
    )


def _retire(db: apsw.Connection, table: Table) -> None:
    """Keep a dropped table's rows for history, but none of its constraints."""
    columns = ", ".join(f"c{slot} {affinity}" for slot, affinity in table.physical)
    _replace_text(db, table.live, f"CREATE TABLE {table.live} ({columns})")
    db.execute(f"DROP TRIGGER IF EXISTS u{table.oid}; DROP TRIGGER IF EXISTS d{table.oid}")
    for fkey in table.foreign_keys:
        db.execute(f"DROP INDEX IF EXISTS f{fkey.oid}")


def create_text(table: Table, model: Model) -> str:
    """CREATE TABLE with every slot in its physical order and the constraints of today's columns."""
    today = {column.slot: column for column in table.columns}
    defaulted = {oid for f in table.foreign_keys if "SET DEFAULT" in (f.on_delete, f.on_update) for oid in f.columns}
    parts = [_column_text(slot, affinity, today.get(slot), defaulted) for slot, affinity in table.physical]
    parts += [_foreign_key_text(table, fkey, model) for fkey in table.foreign_keys]
    return f"CREATE TABLE {table.live} ({', '.join(parts)})"


def _column_text(slot: int, affinity: str, column: Column | None, defaulted: set[int]) -> str:
    text = f"c{slot} {affinity}"
    if column is not None and not column.nullok:
        text += " NOT NULL"
    if column is not None and column.oid in defaulted and column.default is not None:
        text += f" DEFAULT {apsw.format_sql_value(stored_default(column.type, column.default))}"
    return text


def _foreign_key_text(table: Table, fkey: ForeignKey, model: Model) -> str:
    parent = model.tables[fkey.to_table]
    mine = ", ".join(column.sql for column in table.columns_of(fkey.columns))
    theirs = ", ".join(column.sql for column in parent.columns_of(fkey.to_columns))
    return (
        f"FOREIGN KEY ({mine}) REFERENCES {parent.live} ({theirs})"
        f" ON DELETE {fkey.on_delete} ON UPDATE {fkey.on_update}"
    )


def _create_key(db: apsw.Connection, table: Table, key: Key) -> None:
    columns = ", ".join(column.sql for column in table.columns_of(key.columns))
    db.execute(f"CREATE UNIQUE INDEX k{key.oid} ON {table.live} ({columns})")


def _create_reference_index(db: apsw.Connection, table: Table, fkey: ForeignKey) -> None:
    """Without it every delete of a referenced row would scan the referring table."""
    columns = ", ".join(column.sql for column in table.columns_of(fkey.columns))
    db.execute(f"CREATE INDEX f{fkey.oid} ON {table.live} ({columns})")


def _create_triggers(db: apsw.Connection, table: Table) -> None:
    """
    Former versions go to the history table, whoever changes the row: a request, or a cascade.

    A version that the same transaction made was never visible and leaves no trace. A cascade does not move RMT and
    RMB itself, so the update trigger does (its own update does not fire it again: recursive_triggers is off).
    """
    slots = ", ".join(f"c{slot}" for slot, _ in table.physical)
    olds = ", ".join(f"OLD.c{slot}" for slot, _ in table.physical)
    rid, rmt, rmb = (table.by_name[name].sql for name in ("RID", "RMT", "RMB"))
    keep = f"INSERT INTO {table.history} (until, {slots}) SELECT now, {olds} FROM state WHERE OLD.{rmt} < now"
    touch = (
        f"UPDATE {table.live} SET {rmt} = (SELECT now FROM state), {rmb} = (SELECT client FROM state)"
        f" WHERE {rid} = NEW.{rid} AND {rmt} < (SELECT now FROM state)"
    )
    db.execute(f"CREATE TRIGGER u{table.oid} AFTER UPDATE ON {table.live} BEGIN {keep}; {touch}; END")
    db.execute(f"CREATE TRIGGER d{table.oid} AFTER DELETE ON {table.live} BEGIN {keep}; END")


def _replace_text(db: apsw.Connection, name: str, text: str) -> None:
    version = db.execute("PRAGMA schema_version").get
    db.execute("PRAGMA writable_schema = ON")
    try:
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", (text, name))
        db.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        db.execute("PRAGMA writable_schema = RESET")

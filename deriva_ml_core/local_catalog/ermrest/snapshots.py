"""What a catalog's file gives to readers and writers: a view of one snapshot, a transaction that makes the next."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from deriva_ml_core.local_catalog.ermrest import physical
from deriva_ml_core.local_catalog.ermrest.elements import dump, elements_of
from deriva_ml_core.local_catalog.ermrest.identifiers import decode, encode, time_text
from deriva_ml_core.local_catalog.ermrest.model import Column, Model, Table

FOREVER = 2**63 - 1
"""Until when what is valid now is valid."""


@dataclass(frozen=True, slots=True)
class View:
    """
    One consistent snapshot to read: the newest, or a past one.

    Attributes:
        db: a connection inside one read transaction; use it only within the `with`.
        model: the model of that time.
        today: the newest model: who reads the past needs today's rights too.
        snaptime: the snapshot's time, microseconds; for a past view the snapshot at or before the time asked for.
        past: whether the caller asked for a time, even that of the newest snapshot.
    """

    db: apsw.Connection
    model: Model
    today: Model
    snaptime: int
    past: bool = False

    @property
    def snapshot(self) -> str:
        """The snapshot's identifier, as in catalog/N@361-WBEJ-DKF0."""
        return encode(self.snaptime)

    def source(self, table: Table) -> str:
        """What to write after FROM to get the table's rows: its name, or a parenthesised query over its past."""
        if not self.past:
            return table.live
        when = time_text(self.snaptime)
        columns = ", ".join(f"c{slot}" for slot, _ in table.physical)
        rmt = table.rmt_column.sql
        return (
            f"(SELECT {columns} FROM {table.live} WHERE {rmt} <= '{when}' UNION ALL"
            f" SELECT {columns} FROM {table.history} WHERE {rmt} <= '{when}' AND until > '{when}')"
        )


class Transaction:
    """
    One write transaction. It becomes a snapshot if `changed()` was called and no exception leaves the `with`.

    Attributes:
        db: the connection, inside BEGIN IMMEDIATE, foreign keys enforced.
        model: the newest model; `change_model` replaces it.
        snaptime, now: the transaction's time, as microseconds and as stored timestamptz (RCT and RMT of its rows).
        client: the id of who writes, or None (RCB and RMB of its rows).
        newest: the snapshot before this one, microseconds.
    """

    def __init__(
        self, db: apsw.Connection, model: Model, *, newest: int, snaptime: int, next_rid: int, client: str | None
    ) -> None:
        self.db = db
        self.model = model
        self.newest = newest
        self.snaptime = snaptime
        self.now = time_text(snaptime)
        self.client = client
        self.next_rid = next_rid
        self.is_changed = False
        self.model_before = model
        self.past = False

    def source(self, table: Table) -> str:
        """The live rows, so that code written for a View reads in a transaction too."""
        return table.live

    @property
    def today(self) -> Model:
        """The model: a transaction is always of today."""
        return self.model

    @property
    def snapshot(self) -> str:
        """The identifier of the snapshot that the transaction will be."""
        return encode(self.snaptime)

    def changed(self) -> None:
        """Say that something was written: the transaction will be a snapshot."""
        self.is_changed = True

    def allocate_rids(self, count: int) -> list[str]:
        """New RIDs; never handed out again, even if this transaction fails."""
        return [encode(number) for number in self.allocate_oids(count)]

    def allocate_oids(self, count: int) -> range:
        """The same as numbers."""
        first = self.next_rid
        self.next_rid += count
        return range(first, self.next_rid)

    def allocate_serials(self, column: Column, count: int) -> range:
        """The next numbers of a serial column, whatever numbers clients have put into it themselves."""
        sql = "INSERT INTO serial VALUES (?1, ?2) ON CONFLICT DO UPDATE SET last = last + excluded.last RETURNING last"
        last: int = self.db.execute(sql, (column.oid, count)).get
        return range(last - count + 1, last + 1)

    def skip_past(self, rid: str) -> None:
        """Never allocate this RID, which a client chose, nor any below it."""
        number = decode(rid)
        if number is not None:
            self.next_rid = max(self.next_rid, number + 1)

    def change_model(self, model: Model) -> None:
        """
        Make `model` the model, in SQLite too.

        Raises:
            apsw.ConstraintError: stored rows break a constraint that is new.
        """
        physical.apply(self.db, self.model, model)
        self.model = model
        self.changed()

    def finish(self) -> None:
        """Record the snapshot and what changed in the model; the caller commits."""
        self.db.execute("INSERT INTO snapshot VALUES (?, ?)", (self.snaptime, self.client))
        model_snaptime = self.model_before.snaptime
        if self.model is not self.model_before:
            self._store_model()
            model_snaptime = self.snaptime
        self.db.execute("UPDATE state SET model_snaptime = ?, next_rid = ?", (model_snaptime, self.next_rid))

    def _store_model(self) -> None:
        before = elements_of(self.model_before) if self.model_before.snaptime else {}
        after = elements_of(self.model)
        gone = [oid for oid, element in before.items() if after.get(oid) is not element and after.get(oid) != element]
        new = [oid for oid, element in after.items() if oid in gone or oid not in before]
        self.db.executemany(
            "UPDATE element SET until = ? WHERE oid = ? AND until = ?",
            [(self.snaptime, oid, FOREVER) for oid in gone],
        )
        self.db.executemany(
            "INSERT INTO element VALUES (?, ?, ?, ?)",
            [(oid, self.snaptime, FOREVER, dump(after[oid])) for oid in new],
        )
        self.db.execute("INSERT INTO model_change VALUES (?)", (self.snaptime,))

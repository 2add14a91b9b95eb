"""
One catalog in one SQLite file: snapshots to read, transactions to write.

    with catalog.read() as view:                     # or read(snaptime) for the past
        view.db.execute(f"SELECT ... FROM {view.source(table)}")
    with catalog.write(client_id) as txn:
        rids = txn.allocate_rids(2)
        txn.db.execute(f"INSERT INTO {table.live} ...", ...)
        txn.changed()

The file's tables besides t{N} and h{N} (physical.py): `state` (one row: newest snapshot, next RID), `snapshot` (one
row a write transaction), `element` (every version of every model element) and `model_change`. Times are microseconds
since 1970, except those in data rows, which are text (identifiers.time_text).

Any number of threads and processes may read and write at once: readers see one WAL snapshot, writers queue.
"""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from deriva_ml_core.local_catalog.database import Pool, connect
from deriva_ml_core.local_catalog.ermrest import folds, functions
from deriva_ml_core.local_catalog.ermrest.elements import Element, load, model_of
from deriva_ml_core.local_catalog.ermrest.identifiers import encode, time_text
from deriva_ml_core.local_catalog.ermrest.model import Model, Table
from deriva_ml_core.local_catalog.ermrest.snapshots import Transaction, View

__all__ = ["FORMAT", "Catalog", "NoCatalog", "NoSnapshot", "StorageError", "Transaction", "View"]

FORMAT = 1
"""PRAGMA user_version of the file; another number means a file of another generation."""
_APPLICATION_ID = 0x44455249  # "DERI"

_CACHED_MODELS = 8

_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    snaptime INTEGER NOT NULL, now TEXT NOT NULL, model_snaptime INTEGER NOT NULL,
    next_rid INTEGER NOT NULL, client TEXT
);
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE snapshot (snaptime INTEGER PRIMARY KEY, client TEXT);
CREATE TABLE amendment (snaptime INTEGER PRIMARY KEY, until INTEGER NOT NULL);
CREATE TABLE model_change (snaptime INTEGER PRIMARY KEY);
CREATE TABLE serial (column_oid INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE element (
    oid INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (oid, since)
);
CREATE INDEX element_until ON element (until);
INSERT INTO state VALUES (1, 0, '1970-01-01 00:00:00+00', 0, 1, NULL);
"""


class StorageError(Exception):
    """The file cannot be used as a catalog; the message says why and what to do."""


class NoCatalog(StorageError):  # noqa: N818 - as below
    """There is no such file."""


class NoSnapshot(StorageError):  # noqa: N818 - it is a fact about the request, told in its words
    """A time before the catalog's first snapshot."""


class Catalog:
    """One catalog's file, open. Safe to share between threads; other processes may have it open too."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """
        Open an existing file; connections are made when they are needed.

        Args:
            read_only: the file's folder cannot be written.

        Raises:
            StorageError: there is no such file, or it is not one of ours.
        """
        self.path = path
        self._pool = Pool(path, lambda file: _connect(file, read_only=read_only))
        self._lock = threading.Lock()
        self._models: OrderedDict[int, Model] = OrderedDict()
        self._elements: dict[tuple[int, int], Element] = {}
        if not path.is_file():
            raise NoCatalog(f"There is no catalog at {path}.")
        with self._pool.connection() as db:
            generation = db.execute("PRAGMA user_version").get
            if generation != FORMAT:
                raise StorageError(f"{path} has format {generation}; this version of deriva-ml reads {FORMAT}.")

    @classmethod
    def create(
        cls,
        path: Path,
        populate: Callable[[Transaction], None],
        client: str | None,
        properties: Mapping[str, object] | None = None,
    ) -> Catalog:
        """
        Make a new file with a first snapshot.

        Args:
            path: of the file; its folder is made if it is missing.
            populate: fills it, inside its first transaction.
            client: the id of who makes it.
            properties: what `properties` will give back: JSON values by name.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        beginning = path.with_suffix(".new")  # whoever dies here leaves no file that looks like a catalog
        db = _connect(beginning)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {FORMAT};" + _TABLES)
            described = [(name, json.dumps(value)) for name, value in (properties or {}).items()]
            db.executemany("INSERT INTO property VALUES (?, ?)", described)
            txn = _start(db, Model(0, {}, {}), client)
            populate(txn)
            txn.changed()
            txn.finish()
            db.execute("COMMIT")
        finally:
            db.close()
        beginning.replace(path)
        return cls(path)

    def close(self) -> None:
        """Close every idle connection; a later use opens new ones."""
        self._pool.close()

    def snaptime(self) -> int:
        """The newest snapshot, microseconds: what every ETag of the catalog depends on."""
        with self._pool.connection() as db:
            return int(db.execute("SELECT snaptime FROM state").get)

    def properties(self, view: View) -> dict[str, Any]:
        """What the catalog's maker said of it."""
        return {name: json.loads(value) for name, value in view.db.execute("SELECT name, value FROM property")}

    def model_at(self, view: View, snaptime: int) -> Model:
        """The model at another snapshot, inside a view."""
        sql = "SELECT max(snaptime) FROM model_change WHERE snaptime <= ?"
        return self._model(view.db, view.db.execute(sql, (snaptime,)).get)

    def former_tables(self, view: View) -> list[tuple[Table, int]]:
        """The tables that were deleted at the view's snapshot or before, each in its last form, and when it ended."""
        # SQLite takes a bare column beside max() from the row that has the maximum.
        sql = "SELECT document, max(until) FROM element GROUP BY oid HAVING max(until) <= ?"
        elements = [(load(text), until) for text, until in view.db.execute(sql, (view.snaptime,))]
        return [(element, until) for element, until in elements if isinstance(element, Table)]

    @contextmanager
    def read(self, snaptime: int | None = None) -> Iterator[View]:
        """
        A consistent snapshot.

        Args:
            snaptime: microseconds; None for the newest. The snapshot at or before it is taken.

        Raises:
            NoSnapshot: the catalog did not exist yet.
        """
        with self._pool.connection() as db:
            db.execute("BEGIN")
            try:
                yield self._view(db, snaptime)
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def write(self, client: str | None) -> Iterator[Transaction]:
        """
        A transaction; see Transaction. Waits for its turn.

        Args:
            client: the id of who writes, for RCB and RMB.

        Raises:
            apsw.ConstraintError: also at the end, if `PRAGMA defer_foreign_keys` was used.
        """
        with self._turn(), self._pool.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                model = self._model(db, db.execute("SELECT model_snaptime FROM state").get)
                db.execute("SAVEPOINT body")
                txn = _start(db, model, client)
            except BaseException:  # an interrupt too must not leave a connection inside a transaction in the pool
                db.execute("ROLLBACK")
                raise
            try:
                yield txn
                self._commit(txn)
            except BaseException:  # whatever happened, nothing of the body may stay
                _abandon(txn)
                raise

    def _commit(self, txn: Transaction) -> None:
        if not txn.is_changed:
            _abandon(txn)
            return
        txn.finish()
        txn.db.execute("COMMIT")

    def _view(self, db: apsw.Connection, asked: int | None) -> View:
        newest, model_snaptime = db.execute("SELECT snaptime, model_snaptime FROM state").get
        today = self._model(db, model_snaptime)
        if asked is None:
            return View(db, today, today, newest)
        snaptime = db.execute("SELECT max(snaptime) FROM snapshot WHERE snaptime <= ?", (asked,)).get
        if snaptime is None:
            raise NoSnapshot(f"The catalog did not exist yet at {encode(asked)} ({time_text(asked)}).")
        model_snaptime = db.execute("SELECT max(snaptime) FROM model_change WHERE snaptime <= ?", (snaptime,)).get
        return View(db, self._model(db, model_snaptime), today, snaptime, past=True)

    def _model(self, db: apsw.Connection, snaptime: int) -> Model:
        """The model as of one of its changes. Elements that did not change are shared between models."""
        with self._lock:
            if model := self._models.get(snaptime):
                self._models.move_to_end(snaptime)
                return model
        model = self._load_model(db, snaptime)
        with self._lock:
            self._models[snaptime] = model
            while len(self._models) > _CACHED_MODELS:
                self._models.popitem(last=False)
        return model

    def _load_model(self, db: apsw.Connection, snaptime: int) -> Model:
        versions: list[tuple[Any, ...]] = db.execute(
            "SELECT oid, since FROM element WHERE since <= ?1 AND until > ?1", (snaptime,)
        ).fetchall()
        known = self._elements
        elements: dict[int, Element] = {}
        used: dict[tuple[int, int], Element] = {}
        for oid, since in versions:
            element = known.get((oid, since))
            if element is None:
                text = db.execute("SELECT document FROM element WHERE oid = ? AND since = ?", (oid, since)).get
                element = load(text)
            elements[oid] = used[oid, since] = element
        # Only what this model uses is kept; dictionaries are replaced, never changed, so no lock is needed.
        self._elements = used
        return model_of(snaptime, elements)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """
        Writers of all threads and processes queue here, woken in order by the kernel.

        SQLite alone lets them poll with growing pauses, which wastes time and is unfair. The lock goes away with its
        process, however that ends.
        """
        with Path(f"{self.path}-writers").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    db = connect(path, read_only=read_only)
    functions.install(db)
    folds.install(db)
    return db


def _start(db: apsw.Connection, model: Model, client: str | None) -> Transaction:
    """Begin the body of a write: its time is later than every snapshot before."""
    newest, next_rid = db.execute("SELECT snaptime, next_rid FROM state").get
    snaptime = max(time.time_ns() // 1000, newest + 1)
    db.execute("UPDATE state SET snaptime = ?, now = ?, client = ?", (snaptime, time_text(snaptime), client))
    return Transaction(db, model, newest=newest, snaptime=snaptime, next_rid=next_rid, client=client)


def _abandon(txn: Transaction) -> None:
    """Undo the body but keep the RID counter where it is: no RID is handed out twice."""
    db = txn.db
    if not db.in_transaction:  # SQLite itself rolled back, as it does on a full disk
        return
    try:
        db.execute("ROLLBACK TO body")
        if db.execute("SELECT next_rid FROM state").get != txn.next_rid:
            db.execute("UPDATE state SET next_rid = ?", (txn.next_rid,))
            db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")

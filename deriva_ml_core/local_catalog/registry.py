"""
`registry.db`: the catalogs and aliases of a root folder, its users, and Hatrac's names.

A catalog has an id, by which URLs name it, and a number, by which its folder is named: ids come from outside. Neither
is ever used again (observed: "catalog-ids-increase"). An alias is another name for a catalog, or for none yet
(ERMrest "Catalog Alias" resources).
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from .database import Pool, T, connect
from .errors import Conflict, NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS catalog (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    deleted REAL
) STRICT;
CREATE TABLE IF NOT EXISTS alias (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    target TEXT,
    created REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY,
    admin INTEGER NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    created REAL NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A catalog that exists. `number` names its folder."""

    number: int
    id: str
    created: float


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """Another name of a catalog; `target` is a catalog's id, or None."""

    id: str
    owner: tuple[str, ...]
    target: str | None


class Registry:
    """The registry of one root folder."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._pool = Pool(path, lambda file: connect(file, read_only=read_only))
        if not read_only:
            self.prepare("catalog", SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection to read from."""
        with self._pool.connection() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """A connection inside a write transaction, committed at the end of the block."""
        with self._pool.writing() as db:
            yield db

    def write_together(self, work: Callable[[apsw.Connection], T]) -> T:
        """Do something inside a write transaction shared with other threads; see Pool.write_together."""
        return self._pool.write_together(work)

    def write_each_together(self, works: Sequence[Callable[[apsw.Connection], T]]) -> list[Callable[[], T]]:
        """Do several such things at once; see Pool.write_each_together."""
        return self._pool.write_each_together(works)

    def prepare(self, table: str, schema: str) -> None:
        """Make tables, unless the one that is named is there: opening a root that is in use should not write."""
        with self.reading() as db:
            there = db.table_exists(None, table)
        if not there:
            with self.writing() as db:
                db.execute(schema)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    # Catalogs

    def catalogs(self) -> list[CatalogEntry]:
        """Every catalog, oldest first."""
        with self.reading() as db:
            rows: list[Any] = db.execute(
                "SELECT number, id, created FROM catalog WHERE deleted IS NULL ORDER BY number"
            ).fetchall()
        return [CatalogEntry(*row) for row in rows]

    def reserve_catalog(self, wanted: str | None = None) -> CatalogEntry:
        """
        Take an id and a number for a catalog that is about to be made; nobody sees it until it is published.

        Args:
            wanted: its id; None: its number.

        Raises:
            Conflict: the id is or was in use.
        """
        with self.writing() as db:
            if wanted is not None and _taken(db, wanted):
                raise Conflict(f"Catalog id {wanted!r} is in use already.")
            number = _next_number(db)
            identity = str(number) if wanted is None else wanted
            created = time.time()
            row = (number, identity, created, created)
            db.execute("INSERT INTO catalog (number, id, created, deleted) VALUES (?, ?, ?, ?)", row)
        return CatalogEntry(number, identity, created)

    def publish_catalog(self, entry: CatalogEntry) -> None:
        """Let everybody see a catalog that is whole."""
        with self.writing() as db:
            db.execute("UPDATE catalog SET deleted = NULL WHERE number = ?", (entry.number,))

    def find_catalog(self, name: str) -> CatalogEntry:
        """
        The catalog that an id or an alias names.

        Raises:
            NotFound: nothing has that name.
            Conflict: the alias has no target.
        """
        with self.reading() as db:
            if found := _catalog(db, name):
                return found
            alias = db.execute("SELECT target FROM alias WHERE id = ?", (name,)).fetchone()
            if alias is None:
                raise NotFound(f"There is no catalog {name!r}.")
            if alias[0] is None:
                raise Conflict(f"Catalog alias {name!r} has no target.")
            if found := _catalog(db, alias[0]):
                return found
        raise NotFound(f"Catalog alias {name!r} names catalog {alias[0]!r}, which does not exist.")

    def delete_catalog(self, identity: str) -> CatalogEntry:
        """
        Forget a catalog; aliases of it stay, naming nothing.

        Raises:
            NotFound: no such catalog.
        """
        with self.writing() as db:
            found = _catalog(db, identity)
            if found is None:
                raise NotFound(f"There is no catalog {identity!r}.")
            db.execute("UPDATE catalog SET deleted = ? WHERE number = ?", (time.time(), found.number))
        return found

    # Aliases

    def aliases(self) -> list[AliasEntry]:
        """Every alias, by name."""
        with self.reading() as db:
            rows: list[Any] = db.execute("SELECT id, owner, target FROM alias ORDER BY id").fetchall()
        return [AliasEntry(name, tuple(json.loads(owner)), target) for name, owner, target in rows]

    def find_alias(self, name: str) -> AliasEntry | None:
        """One alias, or None."""
        with self.reading() as db:
            row: Any = db.execute("SELECT id, owner, target FROM alias WHERE id = ?", (name,)).fetchone()
        return AliasEntry(row[0], tuple(json.loads(row[1])), row[2]) if row else None

    def new_alias(self, name: str, owner: Sequence[str], target: str | None) -> AliasEntry:
        """
        Register an alias.

        Raises:
            Conflict: the name is in use, or the target is no catalog.
        """
        with self.writing() as db:
            if _taken(db, name):
                raise Conflict(f"Catalog id {name!r} is in use already.")
            _require_target(db, target)
            row = (name, json.dumps(list(owner)), target, time.time())
            db.execute("INSERT INTO alias (id, owner, target, created) VALUES (?, ?, ?, ?)", row)
        return AliasEntry(name, tuple(owner), target)

    def change_alias(self, name: str, owner: Sequence[str], target: str | None) -> AliasEntry:
        """
        Give an alias another owner or target.

        Raises:
            NotFound: no such alias.
            Conflict: the target is no catalog.
        """
        with self.writing() as db:
            _require_target(db, target)
            db.execute("UPDATE alias SET owner = ?, target = ? WHERE id = ?", (json.dumps(list(owner)), target, name))
            if not db.changes():
                raise NotFound(f"There is no catalog alias {name!r}.")
        return AliasEntry(name, tuple(owner), target)

    def delete_alias(self, name: str) -> None:
        """
        Forget an alias.

        Raises:
            NotFound: no such alias.
        """
        with self.writing() as db:
            db.execute("DELETE FROM alias WHERE id = ?", (name,))
            if not db.changes():
                raise NotFound(f"There is no catalog alias {name!r}.")


def _catalog(db: apsw.Connection, identity: str) -> CatalogEntry | None:
    sql = "SELECT number, id, created FROM catalog WHERE id = ? AND deleted IS NULL"
    row: Any = db.execute(sql, (identity,)).fetchone()
    return CatalogEntry(*row) if row else None


def _taken(db: apsw.Connection, name: str) -> bool:
    sql = "SELECT 1 FROM catalog WHERE id = ?1 UNION ALL SELECT 1 FROM alias WHERE id = ?1"
    return db.execute(sql, (name,)).fetchone() is not None


def _next_number(db: apsw.Connection) -> int:
    """The next number that is neither a number nor, as text, an id already."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'catalog'").fetchone()
    number = (row[0] if row else 0) + 1
    while _taken(db, str(number)):
        number += 1
    return number


def _require_target(db: apsw.Connection, target: str | None) -> None:
    if target is not None and _catalog(db, target) is None:
        raise Conflict(f"There is no catalog {target!r}.")

"""
One way to open SQLite: the same settings for the registry and for every catalog.

WAL lets readers go on while somebody writes, in any number of processes of one host. `synchronous=FULL` makes an
acknowledged commit survive a power cut. A pool hands a connection to one thread at a time and never to another
process: SQLite connections must not cross a fork.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import apsw

BUSY_TIMEOUT_MS = 60_000
_inherited: list[apsw.Connection] = []  # after a fork: kept unused and open, closing would harm the parent's files


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """
    Open a database file with our settings.

    Raises:
        apsw.CantOpenError: no such file, or no right to it.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    name = str(path)
    if read_only and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        # Nobody writes, and SQLite could not make the -shm file that WAL needs.
        name, flags = f"{path.absolute().as_uri()}?immutable=1", flags | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(name, flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY")
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    return connection


@contextmanager
def transaction(connection: apsw.Connection, kind: str = "IMMEDIATE") -> Iterator[apsw.Connection]:
    """Commit what the block does, or nothing of it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:  # Ctrl-C too: the lock must be given back
        with suppress(apsw.Error):  # SQLite itself rolls back on a full disk, then there is nothing to roll back
            connection.execute("ROLLBACK")
        raise


class Pool:
    """Connections to one database file, each used by one thread at a time."""

    def __init__(self, path: Path, opener: Callable[[Path], apsw.Connection]) -> None:
        self._path = path
        self._opener = opener
        self._idle: list[apsw.Connection] = []
        self._lock = Lock()
        self._turn = Lock()
        self._process = os.getpid()

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """Borrow a connection."""
        connection = self._take()
        try:
            yield connection
        finally:
            self._give(connection)

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """
        Borrow a connection inside a write transaction, committed at the end of the block.

        Threads of this process take turns by a lock, which wakes the next at once; SQLite itself would let them sleep
        and try again, as it does with other processes.
        """
        self._forget_the_parents()
        with self._turn, self.connection() as connection, transaction(connection):
            yield connection

    def close(self) -> None:
        """Close every idle connection; a later use opens new ones."""
        self._forget_the_parents()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> apsw.Connection:
        self._forget_the_parents()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._opener(self._path)

    def _give(self, connection: apsw.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
            self._idle.append(connection)

    def _forget_the_parents(self) -> None:
        if self._process != os.getpid():
            self._lock, self._turn = Lock(), Lock()  # another thread of the parent may have held the old ones
            _inherited.extend(self._idle)
            self._idle, self._process = [], os.getpid()

"""
One way to open SQLite: the same settings for the registry and for every catalog.

WAL lets readers go on while somebody writes, in any number of processes of one host. `synchronous=FULL` makes an
acknowledged commit survive a power cut. A pool hands a connection to one thread at a time and never to another
process: SQLite connections must not cross a fork.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import apsw

BUSY_TIMEOUT_MS = 60_000
T = TypeVar("T")
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
    connection.execute("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF")
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


class _Job(Generic[T]):
    """A part of a shared transaction."""

    def __init__(self, work: Callable[[apsw.Connection], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self.error: BaseException | None = None
        self.done = False

    def attempt(self, connection: apsw.Connection) -> None:
        """Do it; what it did is undone if it fails, and the others go on."""
        connection.execute("SAVEPOINT job")
        try:
            self._value.append(self._work(connection))
        except Exception as err:  # handed to the thread whose work it is
            if not connection.in_transaction:  # SQLite has undone everything, as it does on a full disk
                raise
            connection.execute("ROLLBACK TO job")
            self.error = err
        connection.execute("RELEASE job")

    def outcome(self) -> T:
        """What it returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self._value[0]


class Pool:
    """Connections to one database file, each used by one thread at a time."""

    def __init__(self, path: Path, opener: Callable[[Path], apsw.Connection]) -> None:
        self._path = path
        self._opener = opener
        self._idle: list[apsw.Connection] = []
        self._lock = Lock()
        self._turn = Lock()
        self._gathered: list[_Job[Any]] = []
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

    def write_together(self, work: Callable[[apsw.Connection], T]) -> T:
        """
        Do something inside a write transaction that is shared with other threads that come at the same time.

        A commit waits for the disk. While one is under way others gather here, and the next of them does the work of
        all in one transaction, each within a savepoint of its own; so eight writers wait for the disk once, not eight
        times.

        Returns:
            What `work` returns, once it is on the disk.
        """
        (outcome,) = self.write_each_together([work])
        return outcome()

    def write_each_together(self, works: Sequence[Callable[[apsw.Connection], T]]) -> list[Callable[[], T]]:
        """
        The same for several at once.

        Returns:
            For each what gives its value, or raises what it raised.
        """
        self._forget_the_parents()
        jobs = [_Job(work) for work in works]
        with self._lock:
            self._gathered += jobs
        with self._turn:
            if not all(job.done for job in jobs):
                self._do_gathered()
        return [job.outcome for job in jobs]

    def _do_gathered(self) -> None:
        with self._lock:
            jobs, self._gathered = self._gathered, []
        try:
            with self.connection() as connection, transaction(connection):
                for job in jobs:
                    job.attempt(connection)
        except BaseException as err:  # nothing was committed: none of them is done
            for job in jobs:
                job.error = err
            if not isinstance(err, Exception):
                raise
        finally:
            for job in jobs:
                job.done = True

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
            self._idle, self._gathered, self._process = [], [], os.getpid()

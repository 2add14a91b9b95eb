"""
How long a client's statement may run.

What is counted is the processor time of the thread that runs it, so that neither a slow client nor a busy machine ends
a query that is nearly done. The answer is the real service's: 400 with the words by which deriva's paged downloads
halve their pages, and Chaise offers its user a simpler search. Source: deriva-py, `ErmrestCatalog.getAsFile`;
ermrestjs, `QueryTimeoutError`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from deriva_ml_core.local_catalog.errors import BadRequest

READING_S = 60.0
"""Until the next rows of an answer are there."""
WRITING_S = 600.0
"""For everything that one request writes."""
_STEPS = 20_000
"""Instructions of SQLite's machine between two looks at the clock: less than a millisecond, unless they call us."""


class Clock:
    """Says when the time is up; `restart` gives it anew."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._end = time.thread_time() + self._limit_s

    def is_up(self) -> bool:
        """Whether to interrupt the statement."""
        return time.thread_time() > self._end


@contextmanager
def limited(db: apsw.Connection, limit_s: float) -> Iterator[Clock]:
    """
    Interrupt what runs on a connection when its time is up.

    Raises:
        BadRequest: it was.
    """
    clock = Clock(limit_s)
    db.set_progress_handler(clock.is_up, _STEPS)
    try:
        yield clock
    except apsw.InterruptError as err:
        raise BadRequest("Query run time limit exceeded.") from err
    finally:
        db.set_progress_handler(None)

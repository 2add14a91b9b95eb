"""Running statements that clients made."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import apsw

from deriva_ml_core.local_catalog.ermrest import runningtime
from deriva_ml_core.local_catalog.ermrest.formats import Format, encode
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.errors import BadRequest

_TOO_COMPLEX = ("too many", "too large", "too long", "too deep", "at most", "overflow", "too big", "Recursion")
"""Words by which SQLite says that a statement exceeds one of its limits."""


def stream(
    db: apsw.Connection, statement: Statement, names: Sequence[str], chosen: Format
) -> Generator[bytes, None, None]:
    """
    The chunks of a body made from a rendering statement (formats.render_sql); at least one.

    Raises:
        BadRequest: the statement exceeds one of SQLite's limits, or runs for too long before it gives more rows.
    """
    with limits_are_refusals(), runningtime.limited(db, runningtime.READING_S) as clock:
        for chunk in encode(db.execute(statement.sql, statement.parameters), names, chosen):
            yield chunk
            clock.restart()


@contextmanager
def limits_are_refusals() -> Iterator[None]:
    """
    Tell a client whose query is too much for SQLite.

    Raises:
        BadRequest: the query exceeds one of SQLite's limits.
    """
    try:
        yield
    except (apsw.SQLError, apsw.TooBigError, apsw.BindingsError) as err:
        if any(words in str(err) for words in _TOO_COMPLEX) or isinstance(err, apsw.TooBigError):
            raise BadRequest(f"The query is too complex: {err}.") from err
        raise

"""Running statements that clients made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apsw

from deriva_ml_core.local_catalog.ermrest.formats import Format, encode
from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.errors import BadRequest

_TOO_COMPLEX = ("too many", "too large", "too long", "too deep", "at most", "overflow", "too big", "Recursion")
"""Words by which SQLite says that a statement exceeds one of its limits."""


def stream(db: apsw.Connection, statement: Statement, names: Sequence[str], chosen: Format) -> Iterator[bytes]:
    """
    The chunks of a body made from a rendering statement (formats.render_sql); at least one.

    Raises:
        BadRequest: the statement exceeds one of SQLite's limits.
    """
    with limits_are_refusals():
        yield from encode(db.execute(statement.sql, statement.parameters), names, chosen)


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

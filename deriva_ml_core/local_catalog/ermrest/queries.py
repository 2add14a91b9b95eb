"""Running statements that clients made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from deriva_ml_core.local_catalog.ermrest.sql import Statement
from deriva_ml_core.local_catalog.errors import BadRequest

_TOO_COMPLEX = ("too many", "too large", "too long", "too deep", "at most", "overflow", "too big")
"""Words by which SQLite says that a statement exceeds one of its limits."""


def run(db: apsw.Connection, statement: Statement) -> Iterator[Any]:
    """
    The rows of a statement.

    Raises:
        BadRequest: it exceeds one of SQLite's limits.
    """
    with limits_are_refusals():
        yield from db.execute(statement.sql, statement.parameters)


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

"""POST, PUT and DELETE of the data resources."""

from __future__ import annotations

from dataclasses import dataclass

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api


@dataclass(frozen=True, slots=True)
class Input:
    """
    A write request.

    Attributes:
        path, query: still escaped; what follows `/entity/` (or another api), and the query string.
        content_type: of the body, in lower case without parameters; "" if there is none.
        accept: the Accept header, "" if there is none.
    """

    api: Api
    path: str
    query: str = ""
    content_type: str = ""
    accept: str = ""
    body: bytes = b""


def post(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Insert rows into a table (entity only).

    Calls `txn.changed()` if rows were written. The answer's body is complete: the transaction may be committed before
    it is sent.

    Raises:
        MethodNotAllowed: not an entity resource.
        BadRequest, Conflict, Forbidden, Unauthorized, UnsupportedType: nothing was written.
    """
    raise NotImplementedError


def put(txn: Transaction, client: Client, request: Input) -> Answer:
    """Update or insert whole rows (entity), or update columns (attributegroup). As `post` otherwise."""
    raise NotImplementedError


def delete(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Delete rows (entity), or set columns to null (attribute). As `post` otherwise.

    Raises:
        NotFound: no row is named.
    """
    raise NotImplementedError

"""
POST, PUT and DELETE of the data resources.

Each writes inside the caller's transaction and calls `txn.changed()` if it wrote anything; when it raises, the caller
rolls back. Answers are complete: the transaction may be committed before they are sent.
"""

from __future__ import annotations

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.deleting import clear_columns, delete_rows
from deriva_ml_core.local_catalog.ermrest.inserting import insert
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.updating import update, upsert
from deriva_ml_core.local_catalog.ermrest.written import Input
from deriva_ml_core.local_catalog.errors import MethodNotAllowed

__all__ = ["Input", "delete", "post", "put"]


def post(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Insert rows into a table (entity only).

    Raises:
        MethodNotAllowed: not an entity resource.
        BadRequest, Conflict, Forbidden, Unauthorized, UnsupportedType: nothing was written.
    """
    if request.api != "entity":
        raise MethodNotAllowed(f"POST is for entity, not for {request.api}.")
    return insert(txn, client, request)


def put(txn: Transaction, client: Client, request: Input) -> Answer:
    """Update or insert whole rows (entity), or update columns (attributegroup). As `post` otherwise."""
    match request.api:
        case "entity":
            return upsert(txn, client, request)
        case "attributegroup":
            return update(txn, client, request)
    raise MethodNotAllowed(f"PUT is for entity and attributegroup, not for {request.api}.")


def delete(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Delete rows (entity), or set columns to null (attribute). As `post` otherwise.

    Raises:
        NotFound: no row is named.
    """
    match request.api:
        case "entity":
            return delete_rows(txn, client, request)
        case "attribute":
            return clear_columns(txn, client, request)
    raise MethodNotAllowed(f"DELETE is for entity and attribute, not for {request.api}.")

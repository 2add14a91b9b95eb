"""
One request to one catalog: who asks, which snapshot, preconditions, ETag.

    with call.read() as view:        # GET: 401/403 if the catalog is invisible, 304 if the caller has the answer
        ...
        return call.answer(response, view.snaptime)
    with call.write() as txn:        # anything else: 403 on a snapshot, 412 if a precondition fails
        ...
    return call.answer(response, txn.snaptime)

Who streams an answer enters `read()` on a contextlib.ExitStack and closes it by `response.call_on_close`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import require_catalog
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, NoSnapshot, Transaction, View
from deriva_ml_core.local_catalog.errors import Conflict, Forbidden
from deriva_ml_core.local_catalog.http import Request, Response, check_preconditions, make_etag


@dataclass(frozen=True, slots=True)
class Call:
    """
    A request below /ermrest/catalog/ID.

    Attributes:
        identity: the catalog's id or alias as the URL spells it, unescaped.
        asked: the time in ID@SNAP, microseconds; None: the live catalog.
    """

    request: Request
    catalog: Catalog
    identity: str
    asked: int | None = None

    @property
    def client(self) -> Client:
        """Who asks."""
        return self.request.client

    @contextmanager
    def read(self) -> Iterator[View]:
        """
        The snapshot to answer from.

        Raises:
            Unauthorized, Forbidden: the catalog is invisible to the caller.
            NotModified: the caller has this answer.
            Conflict: a time before the catalog existed.
        """
        try:
            with self.catalog.read(self.asked) as view:
                require_catalog(view, self.client, "enumerate")
                check_preconditions(self.request, self.etag(view.snaptime))
                yield view
        except NoSnapshot as err:
            raise Conflict(str(err)) from err

    def admit(self) -> None:
        """
        Refuse at once what `write` would refuse of any body.

        Raises:
            Unauthorized, Forbidden: as `write`.
        """
        if self.asked is not None:
            raise Forbidden("The past cannot be changed: leave out @ and the snapshot.")
        with self.catalog.read() as view:
            require_catalog(view, self.client, "enumerate")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """
        A transaction of the live catalog.

        Raises:
            Unauthorized, Forbidden: the catalog is invisible to the caller, or a snapshot was to be changed.
            PreconditionFailed: If-Match or If-None-Match does not hold.
        """
        if self.asked is not None:
            raise Forbidden("The past cannot be changed: leave out @ and the snapshot.")
        with self.catalog.write(self.client.id) as txn:
            require_catalog(txn, self.client, "enumerate")
            check_preconditions(self.request, self.etag(txn.newest))
            yield txn

    def etag(self, snaptime: int) -> str:
        """The tag of this URL's answer at a snapshot: it varies with Accept and the caller (NOTES.md)."""
        return make_etag(self.request.target, self.request.headers.get("Accept", ""), self.client.id, snaptime)

    def answer(self, response: Response, snaptime: int) -> Response:
        """The response with the headers that every answer about a catalog has."""
        response.headers["ETag"] = self.etag(snaptime)
        response.headers["Vary"] = "cookie, authorization, accept"
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

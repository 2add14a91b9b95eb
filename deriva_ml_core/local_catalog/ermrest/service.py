"""
/ermrest: the service, its catalogs and aliases, and what is inside a catalog.

    /ermrest/                                  what the service can do
    /ermrest/catalog[/ID[@SNAP]]               create, describe, delete
    /ermrest/alias[/ID]                        other names of catalogs
    /ermrest/catalog/ID[@SNAP]/schema...       modelresources.py (annotation, acl too)
    /ermrest/catalog/ID[@SNAP]/entity/...      reading.py, writing.py (attribute, attributegroup, aggregate too)
    /ermrest/catalog/ID[@SNAP]/entity_rid/RID  entityrid.py
    /ermrest/catalog/ID/history/FROM,UNTIL     history.py

Source: ERMrest docs, "Catalog Operations", "History Operations".
"""

from __future__ import annotations

import secrets
from pathlib import Path
from threading import Lock

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest import (
    dataresources,
    definitions,
    entityrid,
    history,
    modelresources,
    registering,
    systemtables,
)
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.documents import FEATURES, Writer
from deriva_ml_core.local_catalog.ermrest.locating import unescape
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, NoCatalog, StorageError
from deriva_ml_core.local_catalog.errors import (
    BadRequest,
    Conflict,
    MethodNotAllowed,
    NotFound,
    NotProvided,
    Unauthorized,
    Unrouted,
)
from deriva_ml_core.local_catalog.http import (
    Request,
    Response,
    check_preconditions,
    json_response,
    make_etag,
)
from deriva_ml_core.local_catalog.root import Root

VERSION = "0.5.0"
"""The version of ERMrest whose protocol this is."""


class ErmrestService:
    """Answers everything below /ermrest."""

    def __init__(self, root: Root) -> None:
        """Serve the catalogs of a root folder; each is opened when it is first asked for."""
        self._root = root
        self._open: dict[int, Catalog] = {}
        self._known: set[tuple[int, str | None]] = set()
        self._lock = Lock()
        root.on_close(self.close)

    def handle(self, request: Request) -> Response:
        """
        Answer a request.

        Raises:
            Refusal: every answer that is not 2xx.
        """
        try:
            return self._route(request)
        except RecursionError as err:
            raise BadRequest("The request is nested too deep.") from err

    def close(self) -> None:
        """Close every catalog."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for catalog in opened:
            catalog.close()

    def _route(self, request: Request) -> Response:
        match request.raw_path.split("/")[2:]:
            case [] | [""]:
                return self._advertisement(request)
            case ["catalog"] | ["catalog", ""]:
                return self._catalogs(request)
            case ["catalog", name, *rest]:
                return self._catalog(request, name, "/".join(rest))
            case ["alias"] | ["alias", ""]:
                return self._aliases(request)
            case ["alias", name] | ["alias", name, ""]:
                return self._alias(request, unescape(name))
        raise Unrouted(request.raw_path)

    def _advertisement(self, request: Request) -> Response:
        _allow(request, "GET")
        return json_response({"version": VERSION, "features": FEATURES})

    # Catalogs

    def _catalogs(self, request: Request) -> Response:
        _allow(request, "POST")
        client = request.client
        _require_admin(client)
        body = request.document()
        document = {} if body is None else definitions.read_object(body, "catalog")
        wanted = registering.read_id(document)
        owner = registering.read_owner(document, client)
        annotations = definitions.read_annotations(document)
        properties = registering.read_properties(document)

        def fill(folder: Path) -> None:
            Catalog.create(
                folder / "catalog.db",
                lambda txn: systemtables.populate(txn, client, owner, annotations),
                client.id,
                properties,
            ).close()

        entry = self._root.create_catalog(wanted, fill)
        return registering.created(request, entry.id)

    def _catalog(self, request: Request, name: str, rest: str) -> Response:
        raw_identity, at, raw_snapshot = name.partition("@")
        identity = unescape(raw_identity)
        entry, folder = self._root.find_catalog(identity)
        asked = history.read_snapshot(raw_snapshot) if at else None
        catalog = self._opened(entry.number, folder)
        self._remember(entry.number, catalog, request.client)
        call = Call(request, catalog, identity, asked)
        if not rest:
            return self._whole(call, entry.id)
        return _inside(call, rest)

    def _opened(self, number: int, folder: Path) -> Catalog:
        with self._lock:
            catalog = self._open.get(number)
            if catalog is None:
                catalog = self._open[number] = _open_catalog(folder, read_only=self._root.read_only)
        return catalog

    def _remember(self, number: int, catalog: Catalog, client: Client) -> None:
        """A client's first request to a catalog leaves a row in ERMrest_Client."""
        if client.id is None or self._root.read_only or (number, client.id) in self._known:
            return
        systemtables.remember(catalog, client)
        self._known.add((number, client.id))

    def _whole(self, call: Call, identity: str) -> Response:
        if call.request.verb == "DELETE":
            return self._delete(call, identity)
        _allow(call.request, "GET", "DELETE")
        with call.read() as view:
            writer = Writer.for_view(view, Access(view.model, call.client))
            document = {
                "id": call.identity,
                "alias_target": identity if call.identity != identity else None,
                "snaptime": view.snapshot,
                "annotations": view.model.annotations,
                "rights": writer.catalog_rights(),
                "features": FEATURES,
                **call.catalog.properties(view),
                **writer.catalog_acls(),
            }
            return call.answer(json_response(document), view.snaptime)

    def _delete(self, call: Call, identity: str) -> Response:
        with call.write() as txn:
            if not Access(txn.model, call.client).catalog("owner"):
                raise call.client.refusal("It needs ownership of the catalog.")
        if call.identity != identity:
            raise Conflict(f"{call.identity!r} is an alias: delete catalog {identity!r}, or the alias.")
        entry, _ = self._root.find_catalog(identity)
        self._root.delete_catalog(identity)
        with self._lock:
            gone = self._open.pop(entry.number, None)
        if gone is not None:
            gone.close()
        return Response(status=204)

    # Aliases

    def _aliases(self, request: Request) -> Response:
        _allow(request, "POST")
        _require_admin(request.client)
        body = request.document()
        document = {} if body is None else definitions.read_object(body, "alias")
        wanted = registering.read_id(document) or secrets.token_hex(6)
        owner = registering.read_owner(document, request.client)
        alias = self._root.registry.new_alias(wanted, owner, registering.read_target(document))
        return registering.created(request, alias.id)

    def _alias(self, request: Request, name: str) -> Response:
        _allow(request, "GET", "PUT", "DELETE")
        alias = self._root.registry.find_alias(name)
        if request.verb == "PUT" and alias is None:
            _require_admin(request.client)
            document = definitions.read_object(request.document(), "alias")
            owner = registering.read_owner(document, request.client)
            made = self._root.registry.new_alias(registering.check_id(name), owner, registering.read_target(document))
            return registering.created(request, made.id)
        if alias is None:
            raise NotFound(f"There is no catalog alias {name!r}.")
        if not request.client.passes(alias.owner):
            raise request.client.refusal(f"It needs ownership of the alias {name!r}.")
        etag = make_etag(request.target, request.client.id, alias)
        check_preconditions(request, etag)
        if request.verb == "DELETE":
            self._root.registry.delete_alias(name)
            return Response(status=204)
        if request.verb == "PUT":
            document = definitions.read_object(request.document(), "alias")
            if document.get("id", name) != name:
                raise BadRequest("The id of an alias cannot be changed.")
            owner = (
                registering.read_owner(document, request.client)
                if document.get("owner") is not None
                else list(alias.owner)
            )
            target = registering.read_target(document) if "alias_target" in document else alias.target
            alias = self._root.registry.change_alias(name, owner, target)
            etag = make_etag(request.target, request.client.id, alias)
        answer = {"id": alias.id, "owner": list(alias.owner), "alias_target": alias.target}
        return json_response(answer, ETag=etag)


def _open_catalog(folder: Path, *, read_only: bool) -> Catalog:
    try:
        return Catalog(folder / "catalog.db", read_only=read_only)
    except NoCatalog as err:  # its maker is not ready, or died before it was
        raise NotFound(str(err)) from err
    except StorageError as err:
        raise NotProvided(str(err)) from err


def _inside(call: Call, rest: str) -> Response:
    kind, _, below = rest.partition("/")
    if kind in dataresources.APIS:
        return dataresources.answer(call, kind, below)  # type: ignore[arg-type]  # it is an Api
    if kind in {"schema", "annotation", "acl"}:
        return modelresources.answer(call, rest)
    if kind == "entity_rid" and below and "/" not in below:
        _allow(call.request, "GET")
        return entityrid.answer(call, below)
    if kind == "history":
        return history.answer(call, below)
    raise Unrouted(call.request.raw_path)


def _allow(request: Request, *verbs: str) -> None:
    if request.verb not in verbs:
        raise MethodNotAllowed(f"{request.method} is not provided.", headers={"Allow": ", ".join(verbs)})


def _require_admin(client: Client) -> None:
    if client.anonymous and not client.admin:
        raise Unauthorized("Making catalogs needs a session.")
    if not client.admin:
        raise client.refusal("Only administrators of the root folder make catalogs.")

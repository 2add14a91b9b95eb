"""
/ermrest: the service, its catalogs and aliases, and what is inside a catalog.

    /ermrest/                                  what the service can do
    /ermrest/catalog[/ID[@SNAP]]               create, describe, delete
    /ermrest/alias[/ID]                        other names of catalogs
    /ermrest/catalog/ID[@SNAP]/schema...       modelresources.py (annotation, acl too)
    /ermrest/catalog/ID[@SNAP]/entity/...      reading.py, writing.py (attribute, attributegroup, aggregate too)
    /ermrest/catalog/ID[@SNAP]/entity_rid/RID  entityrid.py
    /ermrest/catalog/ID/history/FROM,UNTIL     the range of snapshots

Source: ERMrest docs, "Catalog Operations", "History Operations".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, get_args

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest import (
    definitions,
    entityrid,
    modelresources,
    reading,
    systemtables,
    writing,
)
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.documents import FEATURES, Writer
from deriva_ml_core.local_catalog.ermrest.identifiers import decode, encode
from deriva_ml_core.local_catalog.ermrest.locating import unescape
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, NoCatalog, StorageError
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api
from deriva_ml_core.local_catalog.errors import (
    BadRequest,
    Conflict,
    Forbidden,
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
    text_response,
)
from deriva_ml_core.local_catalog.root import Root

VERSION = "0.5.0"
"""The version of ERMrest whose protocol this is."""

MAX_ROWS_BYTES = 1024 * 1024 * 1024
_SNAPSHOT = re.compile(r"[0-9A-Za-z-]+")
_CATALOG_ID = re.compile(r"[A-Za-z0-9_.~-]{1,128}")
_DATA = frozenset(get_args(Api))


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
        wanted = _read_id(document)
        owner = _read_owner(document, client)
        annotations = definitions.read_annotations(document)
        properties = _read_properties(document)

        def fill(folder: Path) -> None:
            Catalog.create(
                folder / "catalog.db",
                lambda txn: systemtables.populate(txn, client, owner, annotations),
                client.id,
                properties,
            ).close()

        entry = self._root.create_catalog(wanted, fill)
        return _created(request, entry.id)

    def _catalog(self, request: Request, name: str, rest: str) -> Response:
        raw_identity, at, raw_snapshot = name.partition("@")
        identity = unescape(raw_identity)
        entry, folder = self._root.find_catalog(identity)
        asked = _read_snapshot(raw_snapshot) if at else None
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
        wanted = _read_id(document) or secrets.token_hex(6)
        owner = _read_owner(document, request.client)
        alias = self._root.registry.new_alias(wanted, owner, _read_target(document))
        return _created(request, alias.id)

    def _alias(self, request: Request, name: str) -> Response:
        _allow(request, "GET", "PUT", "DELETE")
        alias = self._root.registry.find_alias(name)
        if request.verb == "PUT" and alias is None:
            _require_admin(request.client)
            document = definitions.read_object(request.document(), "alias")
            owner = _read_owner(document, request.client)
            made = self._root.registry.new_alias(_check_id(name), owner, _read_target(document))
            return _created(request, made.id)
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
            owner = _read_owner(document, request.client) if document.get("owner") is not None else list(alias.owner)
            target = _read_target(document) if "alias_target" in document else alias.target
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
    if kind in _DATA:
        return _data(call, kind, below)  # type: ignore[arg-type]  # _DATA has the values of Api
    if kind in {"schema", "annotation", "acl"}:
        return modelresources.answer(call, rest)
    if kind == "entity_rid" and below and "/" not in below:
        _allow(call.request, "GET")
        return entityrid.answer(call, below)
    if kind == "history":
        return _history(call, below)
    raise Unrouted(call.request.raw_path)


# Data


def _data(call: Call, api: Api, path: str) -> Response:
    if not path:
        raise BadRequest(f"/{api}/ needs the name of a table.")
    if call.request.verb == "GET":
        return _read_rows(call, api, path)
    changes: dict[str, Callable[..., Answer]] = {
        "POST": writing.post,
        "PUT": writing.put,
        "DELETE": writing.delete,
    }
    if call.request.verb not in changes:
        raise MethodNotAllowed(f"{call.request.method} is not provided by this resource.")
    request = call.request
    body = b"" if request.verb == "DELETE" else request.body(limit_bytes=MAX_ROWS_BYTES)
    accept = request.headers.get("Accept", "")
    wanted = writing.Input(api, path, request.raw_query, request.content_kind, accept, body)
    with call.write() as txn:
        answer = changes[request.verb](txn, call.client, wanted)
    return call.answer(_response(answer), txn.snaptime if txn.is_changed else txn.newest)


def _read_rows(call: Call, api: Api, path: str) -> Response:
    """Rows are written while they are read, so the snapshot stays open until the answer is sent."""
    request = call.request
    with ExitStack() as stack:
        view = stack.enter_context(call.read())
        answer = reading.get(view, call.client, api, path, request.raw_query, request.headers.get("Accept", ""))
        response = call.answer(_response(answer), view.snaptime)
        if not isinstance(answer.body, list):
            response.call_on_close(stack.pop_all().close)
    return response


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    if answer.content_type is None:
        response.headers.pop("Content-Type", None)
    response.headers.update(answer.headers)
    return response


# History


def _history(call: Call, raw_range: str) -> Response:
    first, comma, rest = raw_range.partition(",")
    last, slash, _ = rest.partition("/")
    if not comma or call.asked is not None:
        raise NotFound("History is a resource of the catalog itself: catalog/ID/history/FROM,UNTIL.")
    if slash or call.request.verb != "GET":
        raise NotProvided("History cannot be truncated, amended or redacted here: it stays as it was.")
    low = _read_snapshot(first) if first else 0
    high = _read_snapshot(last) if last else 2**63 - 1
    with call.read() as view:
        sql = "SELECT min(snaptime), max(snaptime) FROM snapshot WHERE snaptime BETWEEN ? AND ?"
        found = view.db.execute(sql, (low, high)).fetchone()
        if found is None or found[0] is None:
            raise Conflict("There is no snapshot in this range.")
        document = {"amendver": None, "snaprange": [encode(snaptime) for snaptime in found]}
        return call.answer(json_response(document), view.snaptime)


# What requests say


def _allow(request: Request, *verbs: str) -> None:
    if request.verb not in verbs:
        raise MethodNotAllowed(f"{request.method} is not provided.", headers={"Allow": ", ".join(verbs)})


def _require_admin(client: Client) -> None:
    if client.anonymous and not client.admin:
        raise Unauthorized("Making catalogs needs a session.")
    if not client.admin:
        raise client.refusal("Only administrators of the root folder make catalogs.")


def _read_snapshot(raw: str) -> int:
    """The time that a snapshot id means; one that is badly escaped is 400, one that is no id 409 (observed)."""
    if not _SNAPSHOT.fullmatch(raw):
        raise BadRequest(f"{raw!r} is not a snapshot id.")
    snaptime = decode(raw)
    if snaptime is None:
        raise Conflict(f"{raw!r} is not a snapshot id.")
    return snaptime


def _read_id(document: dict[str, Any]) -> str | None:
    identity = document.get("id")
    if identity is None:
        return None
    if not isinstance(identity, str):
        raise BadRequest("The id must be a text.")
    return _check_id(identity)


def _check_id(identity: str) -> str:
    if not _CATALOG_ID.fullmatch(identity):
        raise BadRequest(f"{identity!r} cannot be an id: use up to 128 letters, digits and - . _ ~.")
    return identity


def _read_owner(document: dict[str, Any], client: Client) -> list[str]:
    """The owners that a new catalog or alias names, its maker among them; else its maker alone."""
    owner = document.get("owner")
    if owner is None:
        return [] if client.id is None else [client.id]
    if not isinstance(owner, list) or not all(isinstance(name, str) for name in owner):
        raise Conflict("The owner must be a list of texts.")
    definitions.check_acl("catalog", "owner", owner)
    if not client.named_in(owner):
        raise Forbidden("You cannot give up your ownership: name yourself among the owners.")
    return owner


def _read_properties(document: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"name": None, "description": None, "is_persistent": True, "clone_source": None}
    for name in ("name", "description", "clone_source"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise BadRequest(f"The field {name} must be a text.")
        properties[name] = value
    properties["is_persistent"] = definitions.read_bool(document, "is_persistent", default=True)
    definitions.check_storable(properties)
    return properties


def _read_target(document: dict[str, Any]) -> str | None:
    target = document.get("alias_target")
    if target is not None and not isinstance(target, str):
        raise BadRequest("The alias_target must be the id of a catalog, or null.")
    return target


def _created(request: Request, identity: str) -> Response:
    location = f"/ermrest/catalog/{identity}"
    if request.accepts("application/json", "text/plain") == "text/plain":
        response = text_response(identity + "\n", 201)
    else:
        response = json_response({"id": identity}, 201)
    response.headers["Location"] = location
    response.autocorrect_location_header = False
    return response

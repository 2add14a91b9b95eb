"""
A session with one catalog: who asks, where, and what is known about it so far.

Everything above uses the same session for the embedded catalog and for a Deriva server over HTTPS.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from deriva_ml_core.catalog.http import Body, Credential, HttpClient, Patience, json_body
from deriva_ml_core.catalog.known_models import are_trusted, forget_known_model, keep_model, known_model
from deriva_ml_core.catalog.model import CatalogModel
from deriva_ml_core.errors import (
    CatalogError,
    DerivaMLConfigurationError,
    DerivaMLNotFoundError,
    DerivaMLReadOnlyError,
    nearest,
)
from deriva_ml_core.plugins import Plugins
from deriva_ml_core.schema.generations import ML_SCHEMA

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from deriva_ml_core.catalog.object_store import ObjectStore
    from deriva_ml_core.catalog.vocabulary import Vocabularies

# Paths of objects, escaped -> the file that holds each, or None for one that has to be asked for by GET. A way to the
# bytes of a server on this machine without a request for each; reading only. The server's rules say who may read what.
ObjectFiles = Callable[[Sequence[str]], Sequence[Path | None]]

_JSON = "application/json"
_LOGINS, _LOGIN_FILES = Path("~/.deriva"), ("credential.json", "globus-credential.json")  # deriva's own names


class CatalogSession:
    """
    One catalog, or one snapshot of it. Safe in threads; made by `connect`, closed by `close` or a with statement.

    Attributes:
        hostname: as the user named the server, e.g. "local" or "www.example.org".
        catalog_id: number or alias, without the snapshot.
        snapshot_id: the snapshot that this session reads, or None for the living catalog.
        base_url: scheme://host[:port] that is really asked.
        object_files: tells where a server on this machine keeps objects; None for any other server.
        object_store: what an embedded catalog takes besides PUTs; None for any other server.
        plugins: those of this connection; loaded when a hook is first called.
    """

    def __init__(
        self,
        client: HttpClient,
        catalog_id: str,
        *,
        snapshot_id: str | None = None,
        credential: Credential | None = None,
        object_files: ObjectFiles | None = None,
        object_store: ObjectStore | None = None,
        ml_schema: str = ML_SCHEMA,
        domain_schemas: tuple[str, ...] | None = None,
        default_schema: str | None = None,
        plugins: Plugins | None = None,
        known_as: Hashable = None,
    ) -> None:
        self.client = client
        self.object_files = object_files
        self.object_store = object_store
        self.plugins = plugins or Plugins()
        self.hostname = client.hostname
        self.base_url = client.base_url
        self.catalog_id = catalog_id
        self.snapshot_id = snapshot_id
        self._credential = credential
        self._schemas = (ml_schema, domain_schemas, default_schema)
        login = tuple(sorted((credential or {}).items()))
        self._known_as: Hashable = (
            (client.base_url, login) if known_as is None else known_as,
            self.catalog_path,
            self._schemas,
        )
        self._model: CatalogModel | None = None
        self._lock = threading.RLock()

    @classmethod
    def connect(
        cls,
        hostname: str,
        catalog_id: str | int,
        *,
        credential: Credential | None = None,
        base_url: str | None = None,
        object_files: ObjectFiles | None = None,
        object_store: ObjectStore | None = None,
        ml_schema: str = ML_SCHEMA,
        domain_schemas: Iterable[str] | None = None,
        default_schema: str | None = None,
        plugins: Plugins | None = None,
        patience: Patience | None = None,
        known_catalogs: Callable[[], Iterable[str]] | None = None,
        known_as: Hashable = None,
    ) -> CatalogSession:
        """
        Connect, and prove it by reading the model: one request tells host, catalog, login and tables.

        Args:
            hostname: a Deriva server; deriva's own stored login is used unless `credential` is given.
            catalog_id: number or alias; "N@SNAPSHOT" for a snapshot.
            base_url: where to really ask, for the embedded catalog ("http://127.0.0.1:40001"); no stored login then.
            object_files: see ObjectFiles.
            object_store: of an embedded catalog.
            known_catalogs: called for the message when there is no such catalog.
            known_as: names the server in this process, where its URL changes; the URL and the login where None.

        Raises:
            DerivaMLNotFoundError: no such host or catalog.
            CatalogUnreachable: the host does not answer.
            DerivaMLAuthenticationError: no login, or one that is no longer accepted; names the command to type.
            DerivaMLSchemaError: a schema that the caller names is not there.
        """
        number, _, snapshot = str(catalog_id).partition("@")
        _require_identifier("hostname", hostname, r"[A-Za-z0-9._-]+(:\d+)?")
        _require_identifier("catalog", number, r"[^/?#@\s]+")
        if credential is None and base_url is None:
            credential = stored_credential(hostname)
        # Somebody waits for the first answer, and a wrong name is likelier than a server that is away for a moment.
        first = patience or Patience(connect_repeats=1, answer_repeats=2, doubt_unknown_names=False)
        client = HttpClient(base_url or f"https://{hostname}", credential=credential, hostname=hostname, patience=first)
        session = cls(
            client,
            number,
            snapshot_id=snapshot or None,
            credential=credential,
            object_files=object_files,
            object_store=object_store,
            ml_schema=ml_schema,
            domain_schemas=tuple(domain_schemas) if domain_schemas else None,
            default_schema=default_schema,
            plugins=plugins,
            known_as=known_as,
        )
        try:
            session._prove(known_catalogs)
            client.patience = patience or Patience()
        except BaseException:  # Ctrl-C too: no connection may stay open
            session.close()
            raise
        return session

    # --- requests ---

    @property
    def catalog_path(self) -> str:
        """/ermrest/catalog/N or /ermrest/catalog/N@SNAPSHOT."""
        at = f"@{quote(self.snapshot_id, safe='')}" if self.snapshot_id else ""
        return f"/ermrest/catalog/{quote(self.catalog_id, safe='')}{at}"

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        accept: Iterable[int] = (),
    ) -> BaseHTTPResponse:
        """
        One request below the catalog; see HttpClient.request.

        Raises:
            DerivaMLReadOnlyError: a snapshot is asked to change.
        """
        if self.snapshot_id and method not in ("GET", "HEAD"):
            raise DerivaMLReadOnlyError(
                f"catalog {self.catalog_id}@{self.snapshot_id} is a snapshot, which nobody can change; "
                f"connect to catalog {self.catalog_id} to write"
            )
        return self.client.request(
            method, self.catalog_path + path, body=body, headers=headers, stream=stream, accept=accept
        )

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, stream: bool = False) -> BaseHTTPResponse:
        """GET below the catalog, e.g. "/entity/deriva-ml:Workflow"; the path is already escaped."""
        return self.request("GET", path, headers={"Accept": _JSON, **(headers or {})}, stream=stream)

    def get_json(self, path: str, **params: Any) -> Any:
        """The answer to a GET, parsed; `params` become the query (limit=1)."""
        query = f"?{urlencode(params)}" if params else ""
        return json.loads(self.get(path + query).data)

    def post_json(self, path: str, document: Any) -> Any:
        """POST a document; the answer, parsed, or None where it is empty. Not repeated after a lost answer."""
        return self._send("POST", path, document)

    def put_json(self, path: str, document: Any) -> Any:
        """PUT a document; the answer, parsed, or None where it is empty."""
        return self._send("PUT", path, document)

    def delete(self, path: str) -> bool:
        """DELETE below the catalog; False where there was nothing to delete."""
        return self.request("DELETE", path, accept=(404,)).status != 404

    # --- what is known about the catalog ---

    @property
    def model(self) -> CatalogModel:
        """The catalog's tables; read once, until `refresh_model` or `forget_model`."""
        with self._lock:
            return self._model or self.refresh_model()

    def refresh_model(self) -> CatalogModel:
        """Read the model again if the catalog has changed since (If-None-Match)."""
        with self._lock:
            headers = {"Accept": _JSON, "Accept-Encoding": "gzip"}
            known = known_model(self._known_as)
            if known is not None:
                headers["If-None-Match"] = known.etag
            answer = self.request("GET", "/schema", headers=headers, accept=(304,))
            if answer.status == 304 and known is not None:
                self._model = known.model
                return self._model
            ml_schema, domain_schemas, default_schema = self._schemas
            self._model = CatalogModel.from_document(
                json.loads(answer.data),
                ml_schema=ml_schema,
                domain_schemas=domain_schemas,
                default_schema=default_schema,
            )
            keep_model(self._known_as, self._model, answer.headers.get("ETag"))
            return self._model

    def forget_model(self) -> None:
        """Somebody changed the model: the next use reads it again, and the vocabularies too."""
        with self._lock:
            self._model = None
            forget_known_model(self._known_as)
            self.__dict__.pop("vocabularies", None)

    @cached_property
    def vocabularies(self) -> Vocabularies:
        """The terms of this catalog's vocabularies, each read once."""
        from deriva_ml_core.catalog.vocabulary import Vocabularies

        return Vocabularies(self)

    def latest_snaptime(self) -> str:
        """The id of the newest snapshot: of the last change of data or model."""
        return str(self.get_json("/")["snaptime"])

    def at(self, snapshot_id: str) -> CatalogSession:
        """The same catalog as it was at a snapshot; shares this session's connections, so closing it is not needed."""
        ml_schema, domain_schemas, default_schema = self._schemas
        return CatalogSession(
            self.client,
            self.catalog_id,
            snapshot_id=snapshot_id,
            credential=self._credential,
            object_files=self.object_files,
            ml_schema=ml_schema,
            domain_schemas=domain_schemas,
            default_schema=default_schema,
            plugins=self.plugins,
            known_as=self._known_as,
        )

    def with_plugins(self, plugins: Plugins) -> CatalogSession:
        """The same with other plugins; shares this session's connections, so closing it is not needed."""
        other = copy.copy(self)
        other.plugins = plugins
        return other

    def client_identity(self) -> Mapping[str, Any]:
        """Who the server says that we are (`id`, `display_name`, ...); {} for an anonymous session."""
        answer = self.client.request("GET", "/authn/session", headers={"Accept": _JSON}, accept=(404,))
        return json.loads(answer.data).get("client", {}) if answer.status == 200 else {}

    def client_id(self) -> str | None:
        """The id of the user, as in RCB; None for an anonymous session."""
        return self.client_identity().get("id")

    def record_url(self, rid: str) -> str:
        """
        Where to look at a row: https://host/id/catalog/rid.

        The embedded catalog has a new port each time that it starts, so its rows are named local/id/catalog/rid
        (any hostname other than that of the URL that is asked); `deriva-ml-executions show RID` shows them.
        """
        at = f"@{self.snapshot_id}" if self.snapshot_id else ""
        place = f"{self.hostname}/id/{quote(self.catalog_id)}/{rid}{at}"
        return place if self.is_embedded else f"{urlsplit(self.base_url).scheme}://{place}"

    @property
    def is_embedded(self) -> bool:
        """The server is asked under another name than the user's."""
        return urlsplit(self.base_url).netloc != self.hostname

    # --- deriva's own client, for those who ask for it ---

    @cached_property
    def ermrest(self) -> Any:
        """Deriva's ErmrestCatalog (or ErmrestSnapshot) for this catalog, with this session's login."""
        return self._deriva_server().connect_ermrest(self.catalog_id, self.snapshot_id)

    @cached_property
    def hatrac(self) -> Any:
        """Deriva's HatracStore for this server, with this session's login."""
        from deriva.core import HatracStore

        parts = urlsplit(self.base_url)
        return HatracStore(parts.scheme, parts.netloc, self._credential)

    def deriva_model(self) -> Any:
        """Deriva's own Model of this catalog, read anew (DerivaML.model)."""
        return self.ermrest.getCatalogModel()

    def path_builder(self) -> Any:
        """Deriva's path builder for this catalog (DerivaML.pathBuilder)."""
        return self.ermrest.getPathBuilder()

    # --- the end ---

    def close(self) -> None:
        """Close every connection; may be called twice."""
        for name in ("ermrest", "hatrac"):
            # deriva closes its connections when its object goes; it has no public method for it.
            self.__dict__.pop(name, None)
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- inside ---

    def _send(self, method: str, path: str, document: Any) -> Any:
        headers = {"Content-Type": _JSON, "Accept": _JSON}
        answer = self.request(method, path, body=json_body(document), headers=headers)
        return json.loads(answer.data) if answer.data.strip() else None

    def _deriva_server(self) -> Any:
        from deriva.core import DerivaServer

        parts = urlsplit(self.base_url)
        return DerivaServer(parts.scheme, parts.netloc, self._credential)

    def _prove(self, known_catalogs: Callable[[], Iterable[str]] | None) -> None:
        """Read the model, and say in the user's words what a refusal means."""
        known = known_model(self._known_as) if are_trusted() else None
        if known is not None:
            self._model = replace(known.model, look_again=self.refresh_model)
            return
        try:
            self.refresh_model()
        except CatalogError as err:
            if err.status not in (400, 404, 409):
                raise
            raise self._no_such_catalog(known_catalogs) from err

    def _no_such_catalog(self, known_catalogs: Callable[[], Iterable[str]] | None) -> DerivaMLNotFoundError:
        answer = self.client.request("GET", "/ermrest/", accept=range(300, 600))
        if answer.status >= 400:
            return DerivaMLNotFoundError(f"{self.hostname} answers, but it is no Deriva server (no /ermrest there)")
        if self.snapshot_id:
            return DerivaMLNotFoundError(
                f"{self.hostname} has no catalog {self.catalog_id} with a snapshot {self.snapshot_id}"
            )
        known = list(known_catalogs()) if known_catalogs else []
        there = f" (catalogs there: {', '.join(known) or 'none'})" if known_catalogs else ""
        return DerivaMLNotFoundError(
            f"{self.hostname} has no catalog '{self.catalog_id}'{nearest(self.catalog_id, known)}{there}"
        )


def stored_credential(hostname: str) -> Credential | None:
    """
    Deriva's own login for a host (~/.deriva), refreshed by deriva where it is a Globus one.

    deriva would make an empty file where nobody has ever logged in, and log that; its import alone costs half a second.
    """
    own, globus = (_LOGINS.expanduser() / name for name in _LOGIN_FILES)
    if not (own.is_file() or globus.is_file()):
        return None
    from deriva.core import get_credential

    found: Credential | None = get_credential(hostname, str(own), str(globus))
    return found


def _require_identifier(what: str, value: str, pattern: str) -> None:
    if not re.fullmatch(pattern, value):
        raise DerivaMLConfigurationError(f"{value!r} can't be a {what}")

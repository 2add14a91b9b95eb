"""The embedded catalog behind `hostname="local"`: a server inside this process, on loopback, while it is used."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from deriva_ml_core.errors import (
    CatalogUnreachable,
    DerivaMLAuthenticationError,
    DerivaMLConfigurationError,
    DerivaMLNotFoundError,
)

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.local_catalog import LocalServer

LOCAL = "local"
ROOT_VARIABLE = "DERIVA_ML_LOCAL_ROOT"
URL_VARIABLE = "DERIVA_ML_LOCAL_URL"


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """A session with an embedded catalog, and the server that answers it."""

    session: CatalogSession
    server: LocalServer | None
    root: Path

    def close(self) -> None:
        """End the session, and the server where no other connection of this process uses it."""
        self.session.close()
        if self.server is not None:
            _release(self.root)


_servers: dict[Path, tuple[LocalServer, int]] = {}  # by root: the server, and how many connections use it
_servers_lock = threading.Lock()


def _acquire(root: Path) -> LocalServer:
    """The server of this process for a root: the jobs of a sweep connect one after the other, their parent stays."""
    from deriva_ml_core.local_catalog import LocalServer

    with _servers_lock:
        server, users = _servers.get(root) or (LocalServer(root), 0)
        _servers[root] = server, users + 1
        return server


def _release(root: Path) -> None:
    with _servers_lock:
        server, users = _servers.pop(root)
        if users > 1:
            _servers[root] = server, users - 1
            return
    server.stop()


# A child of a fork must not wait for a lock that another thread of its parent held.
os.register_at_fork(
    before=_servers_lock.acquire, after_in_parent=_servers_lock.release, after_in_child=_servers_lock.release
)


def default_root() -> Path:
    """The embedded catalog's folder: DERIVA_ML_LOCAL_ROOT, else `local` in the user's data folder."""
    if chosen := os.environ.get(ROOT_VARIABLE):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("deriva-ml")) / "local"


def served_url() -> str | None:
    """
    Where `deriva-ml-catalog serve` serves the embedded catalog: DERIVA_ML_LOCAL_URL; None: it is in this process.

    Raises:
        DerivaMLConfigurationError: it is no URL.
    """
    url = os.environ.get(URL_VARIABLE, "").rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
        raise DerivaMLConfigurationError(
            f"{URL_VARIABLE} is {url!r}: set it to what `deriva-ml-catalog serve` prints, such as http://host:8080"
        )
    return url or None


def where_to_look(session: CatalogSession, rid: str) -> str:
    """The page of a row that is an execution; of an embedded catalog that nobody serves, the command to type."""
    if not session.is_embedded:
        return session.record_url(rid)
    if url := served_url():
        return f"{url}/id/{quote(session.catalog_id, safe='')}/{rid}"
    return f"deriva-ml-executions show {rid} --host {session.hostname} --catalog {session.catalog_id}"


def connect_local(catalog_id: str | int, **options: Any) -> LocalConnection:
    """
    Start the server and connect to it.

    Args:
        options: what CatalogSession.connect takes of ml_schema, domain_schemas, default_schema, plugins.

    Raises:
        DerivaMLNotFoundError: no embedded catalog of that name; the message lists those there are.
        DerivaMLConfigurationError: the folder can't be used.
    """
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.local_catalog import RootError

    root = default_root()
    if url := served_url():
        return LocalConnection(_connect_served(url, catalog_id, **options), None, root)
    if not root.is_dir():
        raise DerivaMLNotFoundError(_no_root(root))
    server = _acquire(root)
    try:
        session = CatalogSession.connect(
            LOCAL,
            catalog_id,
            base_url=server.url,
            credential=server.credential,
            object_files=server.object_files,
            object_store=server,
            known_catalogs=lambda: _catalog_names(root),
            known_as=root,
            **options,
        )
    except RootError as err:
        _release(root)
        raise DerivaMLConfigurationError(f"the embedded catalog in {root} can't be used: {err}") from err
    except BaseException:  # Ctrl-C too: no server may go on without anybody who knows of it
        _release(root)
        raise
    return LocalConnection(session, server, root)


def _no_root(root: Path) -> str:
    if os.environ.get("SLURM_JOB_ID"):  # another host than the one that has it, most likely
        return (
            f"there is no embedded catalog on this node (none in {root}): run `deriva-ml-catalog serve` on the host "
            f"that has it, and set {URL_VARIABLE} to its address"
        )
    return (
        f"there is no embedded catalog yet (none in {root}): "
        f"`deriva-ml-catalog create NAME --schema` makes one, {ROOT_VARIABLE} says where else to look"
    )


def _connect_served(url: str, catalog_id: str | int, **options: Any) -> CatalogSession:
    """The login is the one that deriva's credential file has for the URL's host and port."""
    from deriva_ml_core.catalog.nearby import ServedFiles
    from deriva_ml_core.catalog.served_store import ServedStore
    from deriva_ml_core.catalog.session import CatalogSession, stored_credential

    netloc = urlsplit(url).netloc
    try:
        login = stored_credential(netloc)
        session = CatalogSession.connect(LOCAL, catalog_id, base_url=url, credential=login, **options)
    except CatalogUnreachable as err:
        raise CatalogUnreachable(
            f"the embedded catalog does not answer at {url} ({URL_VARIABLE}): is `deriva-ml-catalog serve` running?"
        ) from err
    except DerivaMLAuthenticationError as err:
        raise DerivaMLAuthenticationError(
            f"the embedded catalog at {url} asks for a login: `deriva-ml-catalog user add NAME` gives a token, which "
            f'goes into ~/.deriva/credential.json as {{"{netloc}": {{"bearer-token": "TOKEN"}}}}'
        ) from err
    session.object_store = ServedStore(session.client)
    if session.client.is_near:
        session.object_files = ServedFiles(session.client)
    return session


def _catalog_names(root: Path) -> list[str]:
    """Names of the catalogs there, the number where there is no name."""
    from deriva_ml_core.local_catalog.administration import list_catalogs
    from deriva_ml_core.local_catalog.root import Root

    with Root(root, create=False) as opened:
        return [name for catalog in list_catalogs(opened) for name in (catalog.names or (catalog.id,))]

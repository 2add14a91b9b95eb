"""The embedded catalog behind `hostname="local"`: a server inside this process, on loopback, while it is used."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLNotFoundError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.local_catalog import LocalServer

LOCAL = "local"
ROOT_VARIABLE = "DERIVA_ML_LOCAL_ROOT"


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """A session with an embedded catalog, and the server that answers it."""

    session: CatalogSession
    server: LocalServer
    root: Path

    def close(self) -> None:
        """End the session, and the server where no other connection of this process uses it."""
        self.session.close()
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
    if not root.is_dir():
        raise DerivaMLNotFoundError(
            f"there is no embedded catalog yet (none in {root}): "
            f"`deriva-ml-catalog create NAME` makes one, {ROOT_VARIABLE} says where else to look"
        )
    server = _acquire(root)
    try:
        session = CatalogSession.connect(
            LOCAL,
            catalog_id,
            base_url=server.url,
            credential=server.credential,
            object_files=server.object_files,
            known_catalogs=lambda: _catalog_names(root),
            **options,
        )
    except RootError as err:
        _release(root)
        raise DerivaMLConfigurationError(f"the embedded catalog in {root} can't be used: {err}") from err
    except BaseException:  # Ctrl-C too: no server may go on without anybody who knows of it
        _release(root)
        raise
    return LocalConnection(session, server, root)


def _catalog_names(root: Path) -> list[str]:
    """Names of the catalogs there, the number where there is no name."""
    from deriva_ml_core.local_catalog.administration import list_catalogs
    from deriva_ml_core.local_catalog.root import Root

    with Root(root, create=False) as opened:
        return [name for catalog in list_catalogs(opened) for name in (catalog.names or (catalog.id,))]

"""
What the owner of a root folder does with its catalogs, by way of the services themselves.

A catalog made by name gets a number for its id and the name as an alias, so that either works wherever the protocol
takes a catalog's id.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Conflict, NotFound, Refusal
from .root import Root

if TYPE_CHECKING:
    from .app import Application

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.~-]{0,127}")


@dataclass(frozen=True, slots=True)
class CatalogInfo:
    """A catalog as it is listed."""

    id: str
    names: tuple[str, ...]
    created: datetime
    size_bytes: int

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "names": list(self.names),
            "created": self.created.isoformat(timespec="seconds"),
            "size_bytes": self.size_bytes,
        }


def create_catalog(root: Root, name: str) -> str:
    """
    Make a catalog with a name; returns its id.

    Raises:
        Conflict: the name is taken, or is no name.
    """
    if not _NAME.fullmatch(name):
        raise Conflict(f"{name!r} is no catalog name: start with a letter, go on with letters, digits and . _ ~ -")
    if name in _names(root):
        raise Conflict(f"There is a catalog {name!r} already.")
    from .app import Application  # the whole server, which those who list or delete do without

    app = Application(root)
    identity: str = _ask(app, "POST", "/ermrest/catalog", {"name": name})["id"]
    try:
        _ask(app, "POST", "/ermrest/alias", {"id": name, "alias_target": identity})
    except Refusal:  # somebody was quicker with the name
        root.delete_catalog(identity)
        raise
    return identity


def list_catalogs(root: Root) -> list[CatalogInfo]:
    """Every catalog, oldest first."""
    aliases = root.registry.aliases()
    return [
        CatalogInfo(
            entry.id,
            tuple(alias.id for alias in aliases if alias.target == entry.id),
            datetime.fromtimestamp(entry.created, UTC),
            _size(root.catalog_folder(entry)),
        )
        for entry in root.registry.catalogs()
    ]


def delete_catalog(root: Root, name: str) -> str:
    """
    Remove a catalog, by id or name, with its names; returns its id.

    Raises:
        NotFound: there is none.
    """
    try:
        entry = root.registry.find_catalog(name)
    except NotFound as err:
        known = ", ".join(sorted(_names(root))) or "none"
        raise NotFound(f"There is no catalog {name!r} in {root.path}; there are: {known}.") from err
    for alias in root.registry.aliases():
        if alias.target == entry.id:
            root.registry.delete_alias(alias.id)
    root.delete_catalog(entry.id)
    return entry.id


def _names(root: Root) -> set[str]:
    return {alias.id for alias in root.registry.aliases()} | {entry.id for entry in root.registry.catalogs()}


def _ask(app: "Application", method: str, path: str, document: Any) -> Any:
    """Send a request to a service, as the owner of the root."""
    from werkzeug.test import EnvironBuilder

    from .auth import user_client
    from .authn import login_name
    from .http import Request

    builder = EnvironBuilder(path=path, method=method, data=json.dumps(document), content_type="application/json")
    request = Request(builder.get_environ())
    request.client = user_client(login_name(), admin=True)
    with app.answer(request) as response:
        return json.loads(response.get_data())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

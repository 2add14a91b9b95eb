"""
What requests say that make catalogs and aliases, and what answers them.

Source: ERMrest docs, "Catalog Creation"; statuses as observed ("service").
"""

from __future__ import annotations

import re
from typing import Any

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest import definitions
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, Forbidden
from deriva_ml_core.local_catalog.http import Request, Response, json_response, text_response

_ID = re.compile(r"[A-Za-z0-9_.~-]{1,128}")


def read_id(document: dict[str, Any]) -> str | None:
    """The id that a new catalog or alias shall have, or None."""
    identity = document.get("id")
    if identity is None:
        return None
    if not isinstance(identity, str):
        raise BadRequest("The id must be a text.")
    return check_id(identity)


def check_id(identity: str) -> str:
    """The id itself, or BadRequest."""
    if not _ID.fullmatch(identity):
        raise BadRequest(f"{identity!r} cannot be an id: use up to 128 letters, digits and - . _ ~.")
    return identity


def read_owner(document: dict[str, Any], client: Client) -> list[str]:
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


def read_properties(document: dict[str, Any]) -> dict[str, Any]:
    """What the maker of a catalog says of it, kept as it is."""
    properties: dict[str, Any] = {"name": None, "description": None, "is_persistent": True, "clone_source": None}
    for name in ("name", "description", "clone_source"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise BadRequest(f"The field {name} must be a text.")
        properties[name] = value
    properties["is_persistent"] = definitions.read_bool(document, "is_persistent", default=True)
    definitions.check_storable(properties)
    return properties


def read_target(document: dict[str, Any]) -> str | None:
    """The id of the catalog that an alias shall name, or None."""
    target = document.get("alias_target")
    if target is not None and not isinstance(target, str):
        raise BadRequest("The alias_target must be the id of a catalog, or null.")
    return target


def created(request: Request, identity: str) -> Response:
    """The answer that names a new catalog or alias."""
    location = f"/ermrest/catalog/{identity}"
    if request.accepts("application/json", "text/plain") == "text/plain":
        response = text_response(identity + "\n", 201)
    else:
        response = json_response({"id": identity}, 201)
    response.headers["Location"] = location
    response.autocorrect_location_header = False
    return response

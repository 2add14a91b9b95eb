"""
;metadata and ;acl, the attributes of what is stored.

Source: Hatrac docs/REST-API.md, "Metadata Sub-Resources", "Access Control List Sub-Resources".
"""

import apsw
from werkzeug.wrappers import Response

from ..errors import BadRequest, Conflict, NotFound, Unrouted
from ..http import Request, check_preconditions, json_response, make_etag, no_content, text_response
from . import directory, metadata
from .directory import Acls, Version
from .metadata import Metadata
from .names import Target
from .resources import Found, Resources, find_thing, find_version
from .rights import acl_names, require

MAX_VALUE_BYTES = 64 * 1024


class Attributes:
    """Handlers of ;metadata and ;acl."""

    def __init__(self, resources: Resources) -> None:
        self._registry = resources.registry

    # Metadata

    def get_metadata(self, request: Request, target: Target) -> Response:
        """All fields that are set, or one."""
        with self._registry.reading() as db:
            found = find_version(db, target)
        version = _version(found)
        require(request.client, "read", found.lineage, version)
        etag = _metadata_tag(version.metadata, target.arguments)
        if not target.arguments:
            check_preconditions(request, etag)
            return _tagged(json_response(_shown(version.metadata)), etag)
        value = _shown(version.metadata).get(_field(target))
        if value is None:
            raise NotFound(f"{target.arguments[0]} is not set.")
        check_preconditions(request, etag)
        return _tagged(text_response(f"{value}\n"), etag)

    def put_metadata(self, request: Request, target: Target) -> Response:
        """Set one field; a checksum, once told, stays what it is."""
        field = _field(target)
        if request.content_kind not in {"", "text/plain"}:
            raise BadRequest("Send the value as text/plain.")
        value = metadata.normal(field, _text(request))
        with self._registry.writing() as db:
            version = self._owned(db, request, target)
            if field in {metadata.MD5, metadata.SHA256} and version.metadata.get(field, value) != value:
                raise Conflict(f"{field} is {version.metadata[field]} and cannot change.")
            if field == metadata.SHA256 and metadata.decode_hash(value) != version.sha256:
                raise Conflict(f"{field} {value} does not match the content.")
            directory.set_version_metadata(db, version, {**version.metadata, field: value})
        return no_content()

    def delete_metadata(self, request: Request, target: Target) -> Response:
        """Unset one field."""
        field = _field(target)
        with self._registry.writing() as db:
            version = self._owned(db, request, target)
            kept = {name: value for name, value in version.metadata.items() if name != field}
            directory.set_version_metadata(db, version, kept)
        return no_content()

    @staticmethod
    def _owned(db: apsw.Connection, request: Request, target: Target) -> Version:
        found = find_version(db, target)
        version = _version(found)
        require(request.client, "owner", found.lineage, version)
        check_preconditions(request, _metadata_tag(version.metadata, target.arguments))
        return version

    # Access control lists

    def get_acl(self, request: Request, target: Target) -> Response:
        """All lists, one list, or one entry of one."""
        with self._registry.reading() as db:
            found = find_thing(db, target)
        require(request.client, "owner", found.lineage, found.version)
        acls = _all_acls(found)
        etag = make_etag(acls)
        if not target.arguments:
            check_preconditions(request, etag)
            return _tagged(json_response(acls), etag)
        acl = acls[_acl_name(found, target)]
        if len(target.arguments) == 2 and target.arguments[1] not in acl:
            raise NotFound(f"{target.arguments[1]!r} is not in the list {target.arguments[0]!r}.")
        check_preconditions(request, etag)
        return _tagged(
            text_response(f"{target.arguments[1]}\n") if len(target.arguments) == 2 else json_response(acl), etag
        )

    def put_acl(self, request: Request, target: Target) -> Response:
        """Replace a list, or add an entry to it."""
        given = _roles(request) if len(target.arguments) == 1 else None
        with self._registry.writing() as db:
            found, name, acl = self._owned_acl(db, request, target)
            if given is None:
                role = target.arguments[1]
                given = acl if role in acl else [*acl, role]
            _store_acl(db, found, name, given)
        return no_content()

    def delete_acl(self, request: Request, target: Target) -> Response:
        """Empty a list, or take an entry out of it."""
        with self._registry.writing() as db:
            found, name, acl = self._owned_acl(db, request, target)
            if len(target.arguments) == 2 and target.arguments[1] not in acl:
                raise NotFound(f"{target.arguments[1]!r} is not in the list {name!r}.")
            left = [role for role in acl if role not in target.arguments[1:]] if len(target.arguments) == 2 else []
            _store_acl(db, found, name, left)
        return no_content()

    @staticmethod
    def _owned_acl(db: apsw.Connection, request: Request, target: Target) -> tuple[Found, str, list[str]]:
        found = find_thing(db, target)
        require(request.client, "owner", found.lineage, found.version)
        name = _acl_name(found, target)
        acls = _all_acls(found)
        check_preconditions(request, make_etag(acls))
        return found, name, acls[name]


def _version(found: Found) -> Version:
    if found.version is None:
        raise NotFound(f"There is no version of {found.name.url}.")
    return found.version


def _tagged(response: Response, etag: str) -> Response:
    response.headers["ETag"] = etag
    return response


def _metadata_tag(described: Metadata, arguments: tuple[str, ...]) -> str:
    return make_etag(sorted(described.items()), arguments)


def _shown(described: Metadata) -> Metadata:
    return {metadata.TYPE: metadata.DEFAULT_TYPE, **described}


def _field(target: Target) -> str:
    if len(target.arguments) != 1:
        raise Unrouted("Name one metadata field.")
    if target.arguments[0] not in metadata.FIELDS:
        raise BadRequest(
            f"There is no metadata field {target.arguments[0]!r}: use one of {', '.join(metadata.FIELDS)}."
        )
    return target.arguments[0]


def _text(request: Request) -> str:
    try:
        return request.body(limit_bytes=MAX_VALUE_BYTES).decode().strip()
    except UnicodeDecodeError as err:
        raise BadRequest("The value is not UTF-8.") from err


def _all_acls(found: Found) -> Acls:
    acls = found.version.acls if found.version is not None else found.name.acls
    return {name: acls.get(name, []) for name in acl_names(found.name, found.version)}


def _acl_name(found: Found, target: Target) -> str:
    if len(target.arguments) not in {1, 2}:
        raise Unrouted("Name one access control list.")
    names = acl_names(found.name, found.version)
    if target.arguments[0] not in names:
        raise BadRequest(f"There is no access control list {target.arguments[0]!r}: use one of {', '.join(names)}.")
    return target.arguments[0]


def _roles(request: Request) -> list[str]:
    if request.content_kind != "application/json":
        raise BadRequest("Send the list in JSON.")
    roles = request.document(limit_bytes=16 * MAX_VALUE_BYTES)
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise BadRequest("An access control list is a list of texts.")
    return list(dict.fromkeys(roles))


def _store_acl(db: apsw.Connection, found: Found, name: str, acl: list[str]) -> None:
    if found.version is not None:
        directory.set_version_acls(db, found.version, {**found.version.acls, name: acl})
    else:
        directory.set_name_acls(db, found.name, {**found.name.acls, name: acl})

"""
Namespaces, objects and versions: GET, PUT, DELETE and rename.

Source: Hatrac docs/REST-API.md, "Nested Namespace Resources", "Object Resources", "Object Version Resources"; what was
observed beyond it: NOTES.md "Hatrac".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import apsw
from werkzeug.wrappers import Response

from ..auth import Client
from ..errors import BadRequest, Conflict, Forbidden, NotFound, Refusal
from ..http import Request, check_preconditions, no_content
from . import directory, metadata, ranges
from .directory import Name, Version
from .metadata import Metadata
from .names import Target, basename, parse_target, url
from .resources import (
    Found,
    Resources,
    bind,
    check_bindable,
    created,
    find_name,
    find_object,
    find_version,
    listing,
    owners,
)
from .rights import may, require
from .store import Incoming, send

NAMESPACE_TYPE = "application/x-hatrac-namespace"
MAX_FORWARDS = 100


class Objects:
    """Handlers of names and versions without a sub-resource, and of ;versions."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._registry = resources.registry
        self._store = resources.store

    # Reading

    def get(self, request: Request, target: Target) -> Response:
        """A namespace's children, or content."""
        with self._registry.reading() as db:
            if target.version is None and (found := find_name(db, target.path)).name.is_namespace:
                require(request.client, "read", found.lineage)
                return listing(request, [url(path) for path in directory.children(db, found.name)])
            found = _followed(db, find_version(db, target))
        version = _version(found)
        require(request.client, "read", found.lineage, version)
        check_preconditions(request, version.etag)
        return self._content(request, found.name, version)

    def locate(self, client: Client, raw_paths: Sequence[str]) -> list[Path | None]:
        """
        Where the content of objects lies on this disk; None for what the client would not get by GET, for any reason.

        Args:
            raw_paths: as in URLs: /hatrac/NAME or /hatrac/NAME:VERSION, escaped.
        """
        found: list[Path | None] = []
        with self._registry.reading() as db, db:  # one transaction: thousands of paths cost one look at the file
            found += [self._locate(db, client, path) for path in raw_paths]
        return found

    def _locate(self, db: apsw.Connection, client: Client, raw_path: str) -> Path | None:
        try:
            target = parse_target(raw_path)
            found = _followed(db, find_version(db, target))
            require(client, "read", found.lineage, found.version)
        except Refusal:
            return None
        return None if target.sub else self._store.path_of(_version(found).sha256)

    def list_versions(self, request: Request, target: Target) -> Response:
        """An object's versions, newest first."""
        with self._registry.reading() as db:
            found = find_object(db, target.path)
            require(request.client, "read", found.lineage)
            versions = directory.versions(db, found.name)
        return listing(request, [url(target.path, version.version) for version in versions])

    def _content(self, request: Request, name: Name, version: Version) -> Response:
        size = version.size_bytes
        part = ranges.requested(request.headers.get("Range"), size) if _range_applies(request, version) else None
        start, length = part or (0, size)
        try:
            body = send(self._store.open(version.sha256), start, length) if request.method == "GET" else ()
        except FileNotFoundError as err:
            raise NotFound(f"{url(name.path, version.version)} was deleted just now.") from err
        headers = {**_content_headers(name, version), "Content-Length": str(length)}
        if part:
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
        else:
            headers |= _checksum_headers(version.metadata)
        if request.method == "HEAD":
            headers["Accept-Ranges"] = "bytes"
        return Response(body, 206 if part else 200, headers, direct_passthrough=True)

    # Writing

    def put(self, request: Request, target: Target) -> Response:
        """
        Make a namespace, or a version of an object, making the object if it is not there.

        A name whose first content is refused is bound all the same (observed: "checksum-wrong").
        """
        plan = self._plan(request, target.path)
        if plan.namespace:
            return self._put_namespace(request, target.path, plan)
        try:
            return self._put_content(request, target.path, plan)
        except Refusal:
            if plan.new and not plan.guarded:
                with self._registry.writing() as db:
                    object_or_new(db, request.client, target.path, parents=plan.parents)
            raise

    def _plan(self, request: Request, path: str) -> "Plan":
        """Refuse early what would be refused after the body has come."""
        with self._registry.reading() as db:
            lineage = directory.lineage(db, path)
            bound = lineage[-1].path == path and not lineage[-1].deleted
            version = directory.current(db, lineage[-1]) if bound else None
        wants_namespace = request.content_kind == NAMESPACE_TYPE
        parents = parents_wanted(request)
        if bound and lineage[-1].is_namespace:
            raise Conflict(f"{url(path)} is a namespace already.")
        if bound:
            require(request.client, "update", lineage)
        else:
            check_bindable(lineage, path, request.client, parents=parents)
        check_preconditions(request, version.etag if version else None)
        return Plan(new=not bound, namespace=wants_namespace and not bound, parents=parents, guarded=_guarded(request))

    def _put_namespace(self, request: Request, path: str, plan: "Plan") -> Response:
        with self._registry.writing() as db:
            bind(db, path, request.client, parents=plan.parents, namespace=True)
        return created(url(path))

    def _put_content(self, request: Request, path: str, plan: "Plan") -> Response:
        described = metadata.from_mapping({field: request.headers.get(field) for field in metadata.FIELDS})
        body, size = request.incoming
        with self._store.receive(body, size, md5=metadata.MD5 in described) as incoming:
            check_sums(described, incoming)
            version = self._add(request, path, plan, incoming, described)
        return created(url(path, version))

    def _add(self, request: Request, path: str, plan: "Plan", incoming: Incoming, described: Metadata) -> str:
        def check(version: Version | None) -> None:
            check_preconditions(request, version.etag if version else None)

        return add_version(
            self._resources, request.client, path, incoming, described, parents=plan.parents, check=check
        )

    def delete(self, request: Request, target: Target) -> Response:
        """Delete a version, an object with its versions, or a namespace with everything in it."""
        if not target.path:
            raise Forbidden("The root namespace cannot be deleted.")
        with self._registry.writing() as db:
            hashes, jobs = _delete_version(db, request, target) if target.version else _delete_name(db, request, target)
        self._resources.discard(hashes, jobs)
        return no_content()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a PUT will do: on a new name or not, making parents or not."""

    new: bool
    namespace: bool
    parents: bool
    guarded: bool


def _guarded(request: Request) -> bool:
    return "If-Match" in request.headers


def parents_wanted(request: Request) -> bool:
    """Whether the request asks for missing namespaces to be made."""
    return parse_qs(request.raw_query).get("parents", [""])[-1].lower() == "true"


def _version(found: Found) -> Version:
    if found.version is None:
        raise NotFound(f"There is no version of {found.name.url}.")
    return found.version


def _followed(db: apsw.Connection, found: Found) -> Found:
    """What a renamed version stands for now."""
    for _ in range(MAX_FORWARDS):
        version = _version(found)
        if version.forward is None:
            return found
        path, _, identifier = version.forward.rpartition(":")
        found = find_version(db, Target(path, identifier))
    raise Conflict(f"{found.name.url} was renamed in a circle.")


def _range_applies(request: Request, version: Version) -> bool:
    """If-Range: the range counts only while the content is the one that the caller knows (RFC 9110, 13.1.5)."""
    condition = request.headers.get("If-Range")
    return request.method == "GET" and (condition is None or condition.strip() == version.etag)


def _content_headers(name: Name, version: Version) -> dict[str, str]:
    disposition = version.metadata.get(metadata.DISPOSITION) or f"filename*=UTF-8''{basename(name.path)}"
    return {
        "Content-Type": version.metadata.get(metadata.TYPE, metadata.DEFAULT_TYPE),
        "Content-Location": url(name.path, version.version),
        "Content-Disposition": disposition,
        "ETag": version.etag,
    }


def _checksum_headers(described: Metadata) -> dict[str, str]:
    headers = {"Content-MD5": described.get(metadata.MD5), "Content-SHA256": described.get(metadata.SHA256)}
    return {name: value for name, value in headers.items() if value}


def check_sums(described: Metadata, incoming: Incoming) -> None:
    """
    Hold content against the checksums that its maker sent.

    Raises:
        BadRequest: it is not what they are of.
    """
    for field, digest in ((metadata.MD5, incoming.md5), (metadata.SHA256, incoming.sha256)):
        told = described.get(field)
        if told and digest != metadata.decode_hash(told):
            raise BadRequest(
                f"{field} {told} does not match the content, whose is {metadata.encode_hash(digest or b'')}."
            )


def object_or_new(db: apsw.Connection, client: Client, path: str, *, parents: bool) -> Found:
    """The object to write to, as it is now, not as it was before the body came."""
    lineage = directory.lineage(db, path)
    if lineage[-1].path != path or lineage[-1].deleted:
        return bind(db, path, client, parents=parents, namespace=False, lineage=lineage)
    if lineage[-1].is_namespace:
        raise Conflict(f"{url(path)} is a namespace already.")
    require(client, "update", lineage)
    return Found(lineage)


def add_version(
    resources: Resources,
    client: Client,
    path: str,
    incoming: Incoming,
    described: Metadata,
    *,
    parents: bool,
    check: Callable[[Version | None], str | None],
) -> str:
    """
    Make content the current version of an object: first the content is durable, then there is a row of it.

    Args:
        check: looks at the version that is there when the row is written. It raises a refusal, or returns the
            identifier of a version that makes a new one needless.

    Returns:
        The version's identifier.
    """
    store = resources.store
    try:
        store.keep(incoming.held, incoming.sha256, resources.is_known)
    except OSError:
        resources.discard([incoming.sha256])
        raise

    return resources.registry.write_together(
        version_work(resources, client, path, incoming, described, parents=parents, check=check)
    )


def version_work(
    resources: Resources,
    client: Client,
    path: str,
    incoming: Incoming,
    described: Metadata,
    *,
    parents: bool,
    check: Callable[[Version | None], str | None],
) -> Callable[[apsw.Connection], str]:
    """What `add_version` does inside its transaction, when the content is durable."""
    store = resources.store

    def work(db: apsw.Connection) -> str:
        found = object_or_new(db, client, path, parents=parents)
        if there := check(directory.current(db, found.name)):
            return there
        if not store.is_kept(incoming.sha256):  # its last version was deleted in between
            store.keep(incoming.held, incoming.sha256, resources.is_known)
        return directory.add_version(
            db,
            found.name,
            sha256=incoming.sha256,
            size_bytes=incoming.size_bytes,
            metadata=described,
            acls={"owner": owners(client)},
        )

    return work


class SameContent:
    """A check of `add_version`: a version whose content has this MD5 (in base64) makes a new one needless."""

    def __init__(self, md5: str) -> None:
        self._md5 = md5

    def __call__(self, version: Version | None) -> str | None:
        """The identifier of such a version."""
        if version is None or version.forward is not None or version.metadata.get(metadata.MD5) != self._md5:
            return None
        return version.version


def _delete_version(db: apsw.Connection, request: Request, target: Target) -> tuple[set[bytes], list[str]]:
    found = find_version(db, target)
    version = _version(found)
    require(request.client, "owner", found.lineage, version)
    check_preconditions(request, version.etag)
    directory.delete_version(db, version)
    return {version.sha256}, []


def _delete_name(db: apsw.Connection, request: Request, target: Target) -> tuple[set[bytes], list[str]]:
    found = find_name(db, target.path)
    require(request.client, "owner", found.lineage)
    version = None if found.name.is_namespace else directory.current(db, found.name)
    check_preconditions(request, version.etag if version else None)
    below = directory.subtree(db, found.name)
    by_path = {name.path: name for name in (*found.lineage, *below)}
    for name in below:
        above = [by_path[path] for path in _existing_prefixes(name.path, by_path)]
        if not may(request.client, "owner", above):
            raise request.client.refusal(f"{name.url} belongs to somebody else.")
    return directory.delete_names(db, below)


def _existing_prefixes(path: str, known: dict[str, Name]) -> list[str]:
    parts = path.split("/")
    return [prefix for size in range(1, len(parts) + 1) if (prefix := "/".join(parts[:size])) in known]

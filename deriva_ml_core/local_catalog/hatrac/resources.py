"""What the handlers of Hatrac share: finding what a URL denotes, binding new names, and answering with lists."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import apsw
from werkzeug.wrappers import Response

from ..auth import Client
from ..errors import Conflict, NotFound
from ..http import Request, check_preconditions, json_response, make_etag, text_response
from ..registry import Registry
from . import directory
from .directory import Name, Version
from .names import Target, prefixes, url
from .rights import require
from .store import ContentStore

URI_LIST = "text/uri-list"


@dataclass(frozen=True, slots=True)
class Found:
    """What a URL denotes: a name that is bound, all above it, and a version if it is about one."""

    lineage: list[Name]
    version: Version | None = None

    @property
    def name(self) -> Name:
        """The name itself."""
        return self.lineage[-1]


class Resources:
    """The registry and the content of a root folder."""

    def __init__(self, registry: Registry, store: ContentStore) -> None:
        self.registry = registry
        self.store = store

    def is_known(self, sha256: bytes) -> bool:
        """Whether a version has this content."""
        with self.registry.reading() as db:
            return directory.is_referenced(db, sha256)

    def discard(self, hashes: Iterable[bytes], jobs: Iterable[str] = ()) -> None:
        """Remove content that no version has any more; under the write lock, or a PUT of the same could lose it."""
        for job in jobs:
            with suppress(OSError):
                self.store.upload_path(job).unlink(missing_ok=True)
        for sha256 in hashes:
            with self.registry.writing() as db:
                if not directory.is_referenced(db, sha256):
                    self.store.drop(sha256)


def owners(client: Client) -> list[str]:
    """Who owns what a client makes; nobody in particular when nobody in particular makes it."""
    return [] if client.id is None else [client.id]


def find_name(db: apsw.Connection, path: str) -> Found:
    """
    A bound name.

    Raises:
        NotFound: never bound, or deleted.
    """
    lineage = directory.lineage(db, path)
    if lineage[-1].path != path or lineage[-1].deleted:
        raise NotFound(f"There is no {url(path)}.")
    return Found(lineage)


def find_object(db: apsw.Connection, path: str) -> Found:
    """
    An object.

    Raises:
        NotFound: no such name, or a namespace.
    """
    found = find_name(db, path)
    if found.name.is_namespace:
        raise NotFound(f"{url(path)} is a namespace, which has no such resource.")
    return found


def find_version(db: apsw.Connection, target: Target) -> Found:
    """
    A version: the one that the URL names, else the current one.

    Raises:
        NotFound: no such object or version.
        Conflict: the object has no content.
    """
    found = find_object(db, target.path)
    if target.version is None:
        version = directory.current(db, found.name)
        if version is None:
            raise Conflict(f"Object {url(target.path)} has no content.")
    else:
        version = directory.find_version(db, found.name, target.version)
        if version is None:
            raise NotFound(f"There is no {url(target.path, target.version)}.")
    return Found(found.lineage, version)


def find_thing(db: apsw.Connection, target: Target) -> Found:
    """What has access control lists: a version if the URL names one, else a name."""
    return find_name(db, target.path) if target.version is None else find_version(db, target)


def check_bindable(lineage: Sequence[Name], path: str, client: Client, *, parents: bool) -> None:
    """
    Whether a client may bind a name that is not bound.

    Raises:
        NotFound: the parent is missing, and `parents` are not to be made.
        Conflict: the name was deleted, or something above it is no namespace or was deleted.
        Unauthorized, Forbidden: no right to create there.
    """
    nearest = lineage[-1]
    if nearest.deleted and (nearest.path == path or parents):
        raise Conflict(f"{nearest.url} was deleted, and a name is never used again.")
    above = prefixes(path)[-2]
    if not nearest.deleted and not nearest.is_namespace:
        raise Conflict(f"{nearest.url} is an object, so that nothing can lie below it.")
    if nearest.deleted or (nearest.path != above and not parents):
        raise NotFound(f"There is no namespace {url(above)}; ?parents=true makes it.")
    require(client, "create", lineage)


def bind(
    db: apsw.Connection,
    path: str,
    client: Client,
    *,
    parents: bool,
    namespace: bool,
    lineage: Sequence[Name] | None = None,
) -> Found:
    """
    Bind a name that is not bound, and what is missing above it.

    Args:
        lineage: what this transaction knows to be bound.

    Raises:
        see check_bindable.
    """
    lineage = list(lineage or directory.lineage(db, path))
    check_bindable(lineage, path, client, parents=parents)
    for missing in prefixes(path)[len(lineage) :]:
        kind = namespace or missing != path
        lineage.append(directory.bind(db, missing, lineage[-1], namespace=kind, owner=owners(client)))
    return Found(lineage)


def created(*urls: str) -> Response:
    """201: the URLs of what was made, the first as Location too."""
    response = text_response("".join(f"{line}\n" for line in urls), 201, URI_LIST)
    response.autocorrect_location_header = False
    response.headers["Location"] = urls[0]
    return response


def listing(request: Request, urls: Sequence[str]) -> Response:
    """A list of URLs, in JSON or as text/uri-list."""
    kind = request.accepts("application/json", URI_LIST)
    etag = make_etag(kind, urls)
    check_preconditions(request, etag)
    response = text_response("\n".join(urls) + "\n", 200, URI_LIST) if kind == URI_LIST else json_response(list(urls))
    response.headers["ETag"] = etag
    return response

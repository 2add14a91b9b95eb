"""
/content: large content that comes before anybody knows what it will be called.

    GET    /content/KEY           ->   how many bytes of it have come
    POST   /content/KEY?offset=N  all that follows those   ->   {"md5": HEX, "sha256": HEX, "size": BYTES} of the whole
    PUT    /content/KEY           {"path": …, "md5": …, "content_type": …, "disposition": …}   ->   201, as PUT /hatrac
    DELETE /content/KEY

No part of Deriva's protocol. An object's name begins with its MD5, which takes longer to compute than the content takes
to travel on one machine. So the content comes first, in one request, is hashed by whoever receives it while it comes,
and gets its name at the end; sender and receiver compare their SHA-256. KEY is the sender's word for the content.

What has come outlives its connection and its server: the next POST goes on there. What was there is hashed again from
the disk then, so that nothing has to be believed of it, and one pair of checksums is of all that is stored.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO
from urllib.parse import parse_qs

from werkzeug.wrappers import Response

from ..errors import BadRequest, Busy, Conflict, MethodNotAllowed, NotFound, Unrouted
from ..http import Readable, Request, json_response, no_content
from . import directory
from .intake import Described, Taken, kept_unless_disk_fails, make_version, parse_described
from .resources import Resources, created
from .rights import require
from .store import grow

_KEY = re.compile(r"/content/([0-9a-f]{64})")
_DESCRIBED = frozenset({"path", "md5", "content_type", "disposition"})


class ContentService:
    """
    Answers below /content.

    Args:
        prepared: gives Hatrac's resources, once its tables and folders are there.
    """

    def __init__(self, prepared: Callable[[], Resources]) -> None:
        self._prepared = prepared
        self._whole: dict[str, Taken] = {}
        """What has come and has no name yet."""
        self._lock = Lock()
        self._handlers = {"GET": self._get, "POST": self._post, "PUT": self._put, "DELETE": self._delete}

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        key = _KEY.fullmatch(request.raw_path)
        if key is None:
            raise Unrouted(request.raw_path)
        handler = self._handlers.get(request.method)
        if handler is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(self._handlers)})
        resources = self._prepared()
        with resources.registry.reading() as db:  # its name is asked about when it has one; nobody else may fill a disk
            require(request.client, "create", directory.lineage(db, ""))
        return handler(request, resources, hashlib.sha256(f"{request.client.id} {key[1]}".encode()).hexdigest())

    def close(self) -> None:
        """Let go of what has no name yet: whoever serves next finds it."""
        with self._lock:
            for whole in self._whole.values():
                whole.file.close()
            self._whole.clear()

    def _get(self, _: Request, resources: Resources, name: str) -> Response:
        with self._lock:
            whole = self._whole.get(name)
        try:
            return json_response(whole.incoming.size_bytes if whole else resources.store.grown_bytes(name))
        except BlockingIOError as err:
            raise _busy() from err

    def _post(self, request: Request, resources: Resources, name: str) -> Response:
        body, length = request.incoming
        offset = _offset(request)
        if length is None:
            raise BadRequest("Say in Content-Length how many bytes follow.")
        whole = self._take(name)
        if whole is not None and (offset, length) != (whole.incoming.size_bytes, 0):  # it was not whole
            whole.file.close()
            whole = None
        whole = whole or _come(resources, name, body, offset, length)
        self._leave(whole)
        incoming = whole.incoming
        assert incoming.md5 is not None
        return json_response({"md5": incoming.md5.hex(), "sha256": incoming.sha256.hex(), "size": incoming.size_bytes})

    def _put(self, request: Request, resources: Resources, name: str) -> Response:
        path, told = parse_described(*_described(request.document(required=True)))
        whole = self._take(name)
        if whole is None:
            raise NotFound("That content has not come, or not all of it.")
        try:
            url = make_version(resources, request.client, path, told, whole.incoming)
        except BaseException:  # it may get another name, or this one later
            self._leave(whole)
            raise
        whole.drop()
        return created(url)

    def _delete(self, _: Request, resources: Resources, name: str) -> Response:
        whole = self._take(name)
        if whole is None:
            path, file = _growing_file(resources, name)
            with file:
                path.unlink(missing_ok=True)
        else:
            whole.drop()
        return no_content()

    def _take(self, name: str) -> Taken | None:
        with self._lock:
            return self._whole.pop(name, None)

    def _leave(self, whole: Taken) -> None:
        with self._lock:
            self._whole[whole.name] = whole


def _come(resources: Resources, name: str, body: Readable, offset: int, length: int) -> Taken:
    """Content with what follows."""
    path, file = _growing_file(resources, name)
    there = os.fstat(file.fileno()).st_size
    if offset != there:
        file.close()
        raise Conflict(f"{there} bytes have come, not {offset}.")
    with kept_unless_disk_fails(path, file):
        incoming = grow(body, path, file, length)
    return Taken(name, path, file, incoming)


def _growing_file(resources: Resources, name: str) -> tuple[Path, BinaryIO]:
    try:
        return resources.store.growing_file(name)
    except BlockingIOError as err:
        raise _busy() from err


def _busy() -> Busy:
    return Busy("That content is coming at this moment.", headers={"Retry-After": "1"})


def _offset(request: Request) -> int:
    text = parse_qs(request.raw_query).get("offset", [""])[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest("Say by ?offset=N how many bytes have come before.")
    return int(text)


def _described(document: Any) -> tuple[str, Described]:
    """
    Path and description in a document.

    Raises:
        BadRequest: it is none.
    """
    if not isinstance(document, dict) or document.keys() != _DESCRIBED:
        raise BadRequest(f"Send a JSON object with {', '.join(sorted(_DESCRIBED))}.")
    if not all(isinstance(text, str) for text in document.values()):
        raise BadRequest("Each of them must be a text.")
    return document["path"], Described(document["md5"], document["content_type"], document["disposition"])

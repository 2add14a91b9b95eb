"""
What every service sees of HTTP: the request with its raw path, and conditional requests, in one place.

Paths of ERMrest and Hatrac must be parsed before they are unescaped (`/` and `%2F` differ), so that a service reads
`raw_path`, never `path`. Source for preconditions: RFC 9110 section 13, and what the real services do instead (a GET
that fails If-Match answers 304; NOTES.md "Preconditions").
"""

import ipaddress
import json
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

from werkzeug.datastructures import ETags
from werkzeug.wrappers import Request as WsgiRequest
from werkzeug.wrappers import Response

from .auth import ANONYMOUS, Client
from .errors import BadRequest, NotModified, PreconditionFailed, TooLarge, UnsupportedType

__all__ = [
    "Readable",
    "Request",
    "Response",
    "check_preconditions",
    "is_loopback",
    "json_response",
    "make_etag",
    "no_content",
    "parse_json",
    "text_response",
]

JSON = "application/json"
MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
"""JSON documents are held in memory, so their size is bounded; rows and objects are streamed."""
READS = frozenset({"GET", "HEAD"})


class Readable(Protocol):
    """A body on its way in."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Request(WsgiRequest):
    """A request and who makes it."""

    client: Client = ANONYMOUS

    @cached_property
    def verb(self) -> str:
        """The method that a service routes by: HEAD is answered as GET, without its body."""
        return "GET" if self.method == "HEAD" else self.method

    @cached_property
    def target(self) -> str:
        """The request target as it came over the wire, without scheme and host."""
        raw: str = self.environ.get("REQUEST_URI") or self.environ.get("RAW_URI") or ""
        if raw.lower().startswith(("http://", "https://")):
            raw = "/" + raw.split("//", 1)[1].partition("/")[2]
        return raw

    @property
    def raw_path(self) -> str:
        """The path before unescaping, such as `/ermrest/catalog/1/entity/S:T/Name=a%2Fb`."""
        return self.target.partition("?")[0]

    @property
    def raw_query(self) -> str:
        """The query string before unescaping, without `?`."""
        return self.target.partition("?")[2]

    @property
    def content_kind(self) -> str:
        """The content type of the body in lower case without parameters; "" when none was sent."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def incoming(self) -> tuple[Readable, int | None]:
        """
        The body for who streams it, and how many bytes it has; None: it ends where the stream does.

        Unlike `stream` it is the server's own, without a layer that copies; read no more than the size says.
        """
        if self.environ.get("wsgi.input_terminated"):
            return self.environ["wsgi.input"], None
        return self.environ["wsgi.input"], self.content_length or 0

    def document(self, *, limit_bytes: int = MAX_DOCUMENT_BYTES, required: bool = False) -> Any:
        """
        The JSON body; None where there is no body, unless one is required.

        Raises:
            UnsupportedType: the body is declared to be something else.
            BadRequest: the body is not JSON, or missing.
            TooLarge: it is longer than `limit_bytes`.
        """
        if self.content_kind not in {"", JSON}:
            raise UnsupportedType(f"Send {JSON}, not {self.content_kind}.")
        data = self.body(limit_bytes=limit_bytes)
        if required and not data.strip():
            raise BadRequest("A JSON document is missing; send null if nothing is meant.")
        return parse_json(data)

    def body(self, *, limit_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """
        The whole body.

        Raises:
            TooLarge: it is longer than `limit_bytes`.
        """
        if (self.content_length or 0) > limit_bytes:
            raise TooLarge(f"At most {limit_bytes} bytes are taken here.")
        data = self.stream.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise TooLarge(f"At most {limit_bytes} bytes are taken here.")
        return data

    def accepts(self, *offers: str) -> str:
        """The first acceptable of the offered content types; the first offer when none is (never 406)."""
        return self.accept_mimetypes.best_match(offers, default=offers[0]) or offers[0]

    def accepts_html(self) -> bool:
        """Whether the caller asks for HTML by name, as a browser does."""
        return "text/html" in self.headers.get("Accept", "").lower()


def parse_json(data: bytes) -> Any:
    """
    A JSON document from outside; None for no data.

    Raises:
        BadRequest: not JSON, not UTF-8, NaN, or nested too deep.
    """
    if not data.strip():
        return None
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise BadRequest(f"The body is not a JSON document: {err}.") from err


def _no_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)


def json_response(document: Any, status: int = 200, **headers: str) -> Response:
    """An answer in JSON."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    response = Response(body, status=status, content_type=JSON)
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def text_response(text: str, status: int = 200, content_type: str = "text/plain") -> Response:
    """An answer in plain text."""
    return Response(text.encode(), status=status, content_type=content_type)


def no_content() -> Response:
    """204: done, nothing to say."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def make_etag(*parts: object) -> str:
    """A strong entity tag, quoted, that changes whenever one of the parts does."""
    return f'"{sha256(repr(parts).encode()).hexdigest()[:27]}"'


def check_preconditions(request: Request, etag: str | None) -> None:
    """
    Hold the request's If-Match and If-None-Match against a resource's current tag.

    Args:
        etag: quoted, as sent in the ETag header; None when the resource does not exist.

    Raises:
        NotModified: a read that need not be answered.
        PreconditionFailed: a write that must not be done.
    """
    read = request.method in READS
    if "If-Match" in request.headers and not _matches(request.if_match, etag):
        raise _unchanged(etag) if read and etag else PreconditionFailed("If-Match does not hold.")
    if "If-None-Match" in request.headers and _matches(request.if_none_match, etag):
        raise _unchanged(etag) if read else PreconditionFailed("If-None-Match does not hold.")


def _matches(tags: ETags, etag: str | None) -> bool:
    return etag is not None and (tags.star_tag or tags.contains_weak(etag.removeprefix("W/").strip('"')))


def _unchanged(etag: str | None) -> NotModified:
    return NotModified(headers={"ETag": etag} if etag else None)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False

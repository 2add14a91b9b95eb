"""
The refusals of the embedded catalog, each an HTTP status with words.

    Refusal
    ├── NotModified            304   conditional GET
    ├── BadRequest             400   the request cannot be understood
    ├── Unauthorized           401   needs a session and has none
    ├── Forbidden              403   has a session, without the right
    ├── NotFound               404
    │   └── Unrouted           404   no service answers this URL (HTML, as Apache answers)
    ├── MethodNotAllowed       405
    ├── Conflict               409
    ├── PreconditionFailed     412
    ├── TooLarge               413
    ├── UnsupportedType        415
    ├── RangeNotSatisfiable    416
    ├── NotProvided            501   the real service has it, the embedded catalog has not
    ├── Busy                   503   try again
    └── StorageFull            507
    RootError                  a root folder that cannot be opened (not HTTP: raised where a server starts)

Services raise them; `app.py` alone turns them into answers. The body is `STATUS REASON`, a newline and the words, as
ERMrest and Hatrac answer (observed; NOTES.md "Errors").
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not an error of ours
    """A request that is answered with a status other than 2xx."""

    status: ClassVar[int] = 500
    opening: ClassVar[str] = ""

    def __init__(self, words: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.headers = dict(headers or {})

    @property
    def reason(self) -> str:
        """The status in words, such as `Not Found`."""
        return HTTPStatus(self.status).phrase

    @property
    def text(self) -> str:
        """The plain text body."""
        words = " ".join(part for part in (self.opening, self.words) if part)
        return f"{self.status} {self.reason}\n{words}\n"


class NotModified(Refusal):
    """The caller has the current representation already."""

    status = 304


class BadRequest(Refusal):
    """The request is malformed."""

    status = 400
    opening = "The request is malformed."


class Unauthorized(Refusal):
    """The resource needs a session."""

    status = 401
    opening = "The requested operation requires authentication."


class Forbidden(Refusal):
    """The session lacks the right."""

    status = 403
    opening = "The requested operation is forbidden."


class NotFound(Refusal):
    """No such resource."""

    status = 404
    opening = "The requested resource was not found."


class Unrouted(NotFound):
    """No service answers this URL."""

    opening = "The requested URL was not found on this server."


class MethodNotAllowed(Refusal):
    """The resource has not this method."""

    status = 405
    opening = "The requested method is not allowed for this resource."


class Conflict(Refusal):
    """The request conflicts with what is stored."""

    status = 409
    opening = "The request conflicts with the state of the server."


class PreconditionFailed(Refusal):
    """If-Match or If-None-Match does not hold."""

    status = 412
    opening = "The resource state does not match the preconditions of the request."


class TooLarge(Refusal):
    """The body is larger than the catalog takes."""

    status = 413
    opening = "The request is too large."


class UnsupportedType(Refusal):
    """The body has a content type that the resource does not take."""

    status = 415
    opening = "The content type of the request is not supported."


class RangeNotSatisfiable(Refusal):
    """The byte range lies outside the object."""

    status = 416
    opening = "The requested range cannot be satisfied."


class NotProvided(Refusal):
    """A part of the protocol that the embedded catalog leaves out."""

    status = 501
    opening = "The embedded catalog does not provide this."


class Busy(Refusal):
    """Somebody else holds the catalog for longer than we wait."""

    status = 503
    opening = "The catalog is busy; try again."


class StorageFull(Refusal):
    """The disk of the root folder is full."""

    status = 507
    opening = "The disk is full; nothing was changed."


class RootError(Exception):
    """A root folder that cannot be used: says which, why and what to do."""

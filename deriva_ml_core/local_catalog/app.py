"""
The WSGI application: which service answers, who asks, and how a refusal becomes an answer, in one place.

    /ermrest  ermrest/service.py     /hatrac  hatrac/service.py      /authn  authn.py
    /deposit  hatrac/deposits.py     /content  hatrac/contents.py    /near  near.py
    anything else: 404 in HTML

A service is an object with `handle(request) -> Response`; it raises `errors.Refusal` for everything that is not 2xx.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import apsw
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from .authn import AuthnService, Doorkeeper
from .ermrest.service import ErmrestService
from .errors import BadRequest, Busy, Forbidden, NotFound, NotModified, Refusal, StorageFull, Unrouted
from .hatrac.bulk import SmallObject
from .hatrac.contents import ContentService
from .hatrac.deposits import DepositService
from .hatrac.intake import Described, Progress
from .hatrac.service import HatracService
from .http import Request
from .near import NearService
from .root import Root
from .users import Users

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)
_DRAIN_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 256 * 1024


class Service(Protocol):
    """What answers below one first path segment."""

    def handle(self, request: Request) -> Response:
        """Answer a request, or raise a Refusal."""


class Application:
    """A Deriva server over one root folder."""

    def __init__(self, root: Root, *, process_token: str | None = None) -> None:
        """
        Serve a root.

        Args:
            process_token: see `authn.Doorkeeper`.
        """
        self.root = root
        self._doorkeeper = Doorkeeper(Users(root.registry), process_token=process_token)
        self._hatrac = HatracService(root)
        self._contents = ContentService(self._hatrac.prepared)
        self._services: dict[str, Service] = {
            "ermrest": ErmrestService(root),
            "hatrac": self._hatrac,
            "authn": AuthnService(self._doorkeeper),
            "content": self._contents,
            "deposit": DepositService(self._hatrac.store_small),
            "near": NearService(self._hatrac.locate),
        }

    def mount(self, services: Mapping[str, Service]) -> None:
        """Let others answer below further first path segments, such as pages for people; "" is the root itself."""
        self._services = {**services, **self._services}

    def close(self) -> None:
        """Let go of files that are held; no request is answered any more."""
        self._contents.close()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request = Request(environ)
        response = self.respond(request)
        _drain(request, response)
        return response(environ, start_response)

    def respond(self, request: Request) -> Response:
        """The answer to a request, whatever happens."""
        try:
            _check_length(request)
            return self._route(request)
        except Refusal as refusal:
            return _refused(request, refusal)
        except HTTPException as err:  # werkzeug's own: a broken body or header
            return _refused(request, BadRequest(err.description or ""))
        except (ConnectionError, TimeoutError):
            return _refused(request, BadRequest("The connection broke before the whole body had come."))
        except (apsw.Error, OSError) as err:
            return _refused(request, _storage_refusal(err))
        except Exception:  # whatever went wrong, the client gets an answer and we get a traceback
            log.exception("%s %s failed", request.method, request.raw_path)
            return Response("500 Internal Server Error\nThe embedded catalog failed; its log says how.\n", 500)

    def answer(self, request: Request) -> Response:
        """
        The answer to a request whose maker is known.

        Raises:
            Refusal: anything but 2xx.
        """
        return self._service(request).handle(request)

    def locate(self, raw_paths: Sequence[str]) -> list[Path | None]:
        """Where the content of objects lies on this disk, for whoever owns this process; see Objects.locate."""
        return self._hatrac.locate(self._doorkeeper.owner, raw_paths)

    def take_in(self, file: Path, progress: Progress) -> str | None:
        """A file's content beside, for `store`; its MD5 in hex. None: a PUT would say what is wrong. See Intake."""
        try:
            return self._hatrac.take_in(file, progress)
        except (Refusal, apsw.Error, OSError):
            return None

    def store(self, raw_path: str, file: Path, described: Described, progress: Progress) -> str | None:
        """A file as an object of whoever owns this process; its URL. None as of `take_in`. See Intake."""
        try:
            return self._hatrac.store(self._doorkeeper.owner, raw_path, file, described, progress)
        except (Refusal, apsw.Error, OSError):
            return None

    def store_small(self, batches: Iterable[Sequence[SmallObject]]) -> Iterator[list[str | None]]:
        """
        Small contents as objects of whoever owns this process, many at a time; see Hatrac's bulk.py.

        It ends early where nothing can be stored: a PUT of the rest would say what is wrong.
        """
        with suppress(Refusal, apsw.Error, OSError):
            yield from self._hatrac.store_small(self._doorkeeper.owner, batches)

    def _route(self, request: Request) -> Response:
        request.client = self._doorkeeper.identify(request)
        return self.answer(request)

    def _service(self, request: Request) -> Service:
        name = request.raw_path.split("/")[1] if request.raw_path.startswith("/") else ""
        if name.startswith("hatrac;"):  # a sub-resource of the root namespace, as deriva's client asks for it
            name = "hatrac"
        service = self._services.get(name)
        if service is None:
            raise Unrouted(request.raw_path)
        return service


def _refused(request: Request, refusal: Refusal) -> Response:
    """A refusal as an answer: plain text, or HTML where the caller asks for it or no service knows the URL."""
    if isinstance(refusal, NotModified):
        return Response(status=304, headers=refusal.headers)
    if request.accepts_html() or isinstance(refusal, Unrouted):
        body = _HTML.format(title=f"{refusal.status} {refusal.reason}", text=escape(refusal.text))
        return Response(body, refusal.status, refusal.headers, content_type="text/html")
    return Response(refusal.text, refusal.status, refusal.headers, content_type="text/plain")


_HTML = (
    "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><pre>{text}</pre></body></html>\n"
)
_FULL = {28, 122, 27}  # ENOSPC, EDQUOT, EFBIG
_CANNOT_WRITE = {apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_TRUNCATE, apsw.SQLITE_IOERR_SHMSIZE}
_READ_ONLY = {30, 13, 1}  # EROFS, EACCES, EPERM


def _storage_refusal(err: apsw.Error | OSError) -> Refusal:
    """What a failing disk or a locked database means to the caller."""
    number = getattr(err, "errno", None)
    if isinstance(err, apsw.FullError) or number in _FULL or getattr(err, "extendedresult", 0) in _CANNOT_WRITE:
        return StorageFull("Make room on the disk of the root folder.")
    if isinstance(err, apsw.ReadOnlyError | apsw.PermissionsError) or number in _READ_ONLY:
        return Forbidden("The root folder is read-only.")
    if isinstance(err, apsw.BusyError | apsw.LockedError):
        return Busy(headers={"Retry-After": "1"})
    if isinstance(err, apsw.CantOpenError):
        return NotFound("It was removed, or its folder cannot be opened.")
    log.error("storage failed", exc_info=err)
    return _StorageFailed(f"The root folder failed: {err}.")


class _StorageFailed(Refusal):
    """A disk or database error without a better word."""

    status = 500


def _check_length(request: Request) -> None:
    """
    Refuse a body of which nobody can tell where it ends (RFC 9112 section 6.3), and the requests behind it.

    Raises:
        BadRequest: Content-Length is no number, or says something besides Transfer-Encoding.
    """
    length = request.environ.get("CONTENT_LENGTH") or ""
    if length and (request.environ.get("wsgi.input_terminated") or not (length.isascii() and length.isdigit())):
        raise BadRequest(f"The Content-Length {length[:80]!r} cannot be meant.", headers={"Connection": "close"})


def _drain(request: Request, response: Response) -> None:
    """
    Read what the service left of the body, in small pieces: the server would read it in one.

    A client that is still sending cannot read our answer; one that goes on for too long is cut off.
    """
    left = _DRAIN_BYTES
    while left > 0 and response.headers.get("Connection") != "close":
        try:
            piece = request.stream.read(_PIECE_BYTES)
        except (Refusal, HTTPException, OSError, ValueError):  # the client is gone, or its body is broken
            break
        if not piece:
            return
        left -= len(piece)
    response.headers["Connection"] = "close"

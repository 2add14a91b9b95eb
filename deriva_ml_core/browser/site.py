"""
Which URL is which page.

    /                              the catalogs
    /browse/CATALOG                executions; ?status= ?type= ?all=1
    /browse/CATALOG/datasets       datasets
    /browse/CATALOG/find?rid=RID   leads to the row
    /browse/CATALOG/lineage/RID    what it came from, and what came of it
    /browse/CATALOG/report/RID     the page of a sweep
    /id/CATALOG/RID[@SNAPSHOT]     an execution, dataset, asset, or any other row
    /browse/login, /browse/logout  for visitors of a server with users

A page asks the server's own services with the visitor's login: it shows what they may see and nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from deriva_ml_core.browser import pages
from deriva_ml_core.browser.rendering import html, refusal
from deriva_ml_core.browser.transport import LOGIN_HEADERS, InnerClient, WsgiApplication
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogError, DerivaMLAuthenticationError, DerivaMLException, DerivaMLNotFoundError

_URLS = Map(
    [
        Rule("/", endpoint="home", methods=["GET"]),
        Rule("/browse", endpoint="home", methods=["GET"]),
        Rule("/favicon.ico", endpoint="icon", methods=["GET"]),
        Rule("/browse/login", endpoint="login", methods=["GET", "POST"]),
        Rule("/browse/logout", endpoint="logout", methods=["POST"]),
        Rule("/browse/static/<name>", endpoint="static", methods=["GET"]),
        Rule("/browse/<catalog>", endpoint="executions", methods=["GET"]),
        Rule("/browse/<catalog>/datasets", endpoint="datasets", methods=["GET"]),
        Rule("/browse/<catalog>/find", endpoint="find", methods=["GET"]),
        Rule("/browse/<catalog>/lineage/<rid>", endpoint="lineage", methods=["GET"]),
        Rule("/browse/<catalog>/report/<rid>", endpoint="report", methods=["GET"]),
        Rule("/id/<catalog>/<rid>", endpoint="row", methods=["GET"]),
    ],
    strict_slashes=False,
)

MOUNTS = ("", "browse", "id", "favicon.ico")
"""First segments of the paths that are ours."""
_MOST_SESSIONS = 32


class Site:
    """
    The pages over one server.

    Args:
        application: answers /ermrest, /hatrac and /authn.
        catalogs: names of the catalogs that there are; a page lists those that its visitor may read.
    """

    def __init__(self, application: WsgiApplication, catalogs: Callable[[], Iterable[str]]) -> None:
        self._application, self._catalogs = application, catalogs
        self._cache = Path(tempfile.mkdtemp(prefix="deriva-ml-browser-"))
        self._sessions: OrderedDict[tuple[str, str, str], CatalogSession] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove what was kept for visitors."""
        shutil.rmtree(self._cache, ignore_errors=True)

    def handle(self, request: Request) -> Response:
        """The page of a request; anything that is wrong has a page too."""
        try:
            return self._route(request)
        except DerivaMLAuthenticationError:
            return refusal(401, "Log in to see this", "You may not see this, or not without a login.", login=True)
        except DerivaMLNotFoundError as err:
            return refusal(404, "Not found", str(err))
        except CatalogError as err:
            status = err.status if err.status in (400, 401, 403, 404) else 500
            return refusal(
                status, "Not found" if status == 404 else "This can't be shown", str(err), login=status == 401
            )
        except DerivaMLException as err:
            return refusal(400, "This can't be shown", str(err))

    def _route(self, request: Request) -> Response:
        try:
            endpoint, arguments = _URLS.bind_to_environ(request.environ).match()
        except MethodNotAllowed:
            return refusal(405, "Read-only", "These pages change nothing.")
        except HTTPException:
            raise DerivaMLNotFoundError(f"there is no page {request.path}") from None
        page: Callable[..., Response] = getattr(self, f"_{endpoint}")
        return page(request, **arguments)

    # --- pages ---

    def _home(self, request: Request) -> Response:
        readable = []
        for name in self._catalogs():
            try:
                self._session(request, name)
            except DerivaMLException:
                continue
            readable.append(name)
        return html(
            "home.html", title="Catalogs", catalogs=readable, logged_in="Cookie" in request.headers, catalog=None
        )

    def _icon(self, request: Request) -> Response:  # noqa: ARG002  # as all pages are called
        return Response(status=204)  # every browser asks

    def _static(self, request: Request, name: str) -> Response:  # noqa: ARG002  # as all pages are called
        return pages.static(name)

    def _executions(self, request: Request, catalog: str) -> Response:
        return pages.executions(self._session(request, catalog), self._cache_dir(request), request.args)

    def _datasets(self, request: Request, catalog: str) -> Response:
        return pages.datasets(self._session(request, catalog))

    def _find(self, request: Request, catalog: str) -> Response:
        return pages.find(catalog, request.args.get("rid", ""))

    def _lineage(self, request: Request, catalog: str, rid: str) -> Response:
        return pages.lineage(self._session(request, catalog), rid)

    def _report(self, request: Request, catalog: str, rid: str) -> Response:
        return pages.report(self._session(request, catalog), self._cache_dir(request), rid)

    def _row(self, request: Request, catalog: str, rid: str) -> Response:
        bare, _, snapshot = rid.partition("@")
        session = self._session(request, catalog)
        return pages.row(session.at(snapshot) if snapshot else session, self._cache_dir(request), bare, request.args)

    # --- who visits ---

    def _session(self, request: Request, catalog: str) -> CatalogSession:
        """A session with the visitor's rights; its model is looked at anew for each page, by its ETag."""
        key = (_visitor(request), request.host_url, catalog)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                client = InnerClient(self._application, request.host_url.rstrip("/"), _login(request))
                session = self._sessions[key] = CatalogSession(client, catalog)
                while len(self._sessions) > _MOST_SESSIONS:
                    self._sessions.popitem(last=False)
            self._sessions.move_to_end(key)
        try:
            session.refresh_model()
        except CatalogError as err:
            if err.status in (400, 404, 409):
                raise DerivaMLNotFoundError(f"there is no catalog {catalog!r} here") from err
            raise
        return session

    def _cache_dir(self, request: Request) -> Path:
        """Files of runs that this visitor has seen: nobody sees another's."""
        return self._cache / _visitor(request)

    def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return html("login.html", title="Log in", failed=False, catalog=None)
        client = InnerClient(self._application, request.host_url.rstrip("/"), {})
        body = request.get_data(parse_form_data=False)[:65_536]
        headers = {"Content-Type": "application/x-www-form-urlencoded", **_origin(request)}
        answer = client.request("POST", "/authn/session", body=body, headers=headers, accept=range(400, 500))
        if answer.status != 200:
            return html("login.html", 401, title="Log in", failed=True, catalog=None)
        return _redirect("/", answer.headers.get("Set-Cookie"))

    def _logout(self, request: Request) -> Response:
        client = InnerClient(self._application, request.host_url.rstrip("/"), _login(request))
        answer = client.request("DELETE", "/authn/session", headers=_origin(request), accept=range(400, 500))
        return _redirect("/", answer.headers.get("Set-Cookie"))


def _login(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in LOGIN_HEADERS if name in request.headers}


def _origin(request: Request) -> dict[str, str]:
    """Who leads the visitor's browser here: a service that refuses other sites must hear of it."""
    return {"Origin": request.headers["Origin"]} if "Origin" in request.headers else {}


def _visitor(request: Request) -> str:
    return hashlib.sha256(repr(sorted(_login(request).items())).encode()).hexdigest()[:24]


def _redirect(place: str, cookie: str | None = None) -> Response:
    response = Response(status=303, headers={"Location": place})
    if cookie:
        response.headers["Set-Cookie"] = cookie
    return response

"""A page's requests to the server that it is a page of: in this process, with the visitor's login, so rights."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict
from urllib3.response import HTTPResponse
from werkzeug.test import create_environ, run_wsgi_app

from deriva_ml_core.catalog.http import HttpClient

LOGIN_HEADERS = ("Cookie", "Authorization")
WsgiApplication = Callable[..., Any]


class InnerClient(HttpClient):
    """
    A client whose requests go straight into a WSGI application.

    Args:
        base_url: of the server, as the visitor reached it.
        login: the visitor's own headers, of LOGIN_HEADERS.
    """

    def __init__(self, application: WsgiApplication, base_url: str, login: Mapping[str, str]) -> None:
        super().__init__("http://127.0.0.1")  # where a pool would lead that is never used
        self.base_url, self.hostname = base_url, urlsplit(base_url).netloc
        self._headers |= login
        self._inner = _Pool(application, base_url)

    def _connections(self) -> Any:
        return self._inner


class _Pool:
    """As much of urllib3's pool of connections as the client uses."""

    def __init__(self, application: WsgiApplication, base_url: str) -> None:
        self._application, self._base_url = application, base_url

    def urlopen(
        self, method: str, target: str, *, body: Any, headers: Mapping[str, str], preload_content: bool, **_: Any
    ) -> HTTPResponse:
        path, _unused, query = target.partition("?")
        data = body if isinstance(body, bytes) else str(body or "").encode()
        environ = create_environ(
            path, self._base_url, query_string=query, method=method, data=data, headers=dict(headers)
        )
        environ["REQUEST_URI"] = target  # services read the path before it is unescaped
        pieces, status, answered = run_wsgi_app(self._application, environ, buffered=True)
        return HTTPResponse(
            io.BytesIO(b"".join(pieces)),
            headers=HTTPHeaderDict(list(answered)),
            status=int(status.split()[0]),
            preload_content=preload_content,
        )

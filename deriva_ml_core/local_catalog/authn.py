"""
/authn: who is asking, and the session resource.

A token comes as `Authorization: Bearer TOKEN` or as the cookie `webauthn=TOKEN`; deriva's credential file can hold
either. Whoever runs a root without users owns it: in process they prove it by the server's own random token; over the
command `serve` on loopback nothing is asked, but a request that a web page of another site makes is refused.
Source: webauthn2's session resource (observed; NOTES.md "authn").
"""

import getpass
import hmac
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.wrappers import Response

from .auth import ANONYMOUS, Client, user_client
from .errors import BadRequest, Forbidden, MethodNotAllowed, NotFound, Unauthorized, Unrouted
from .http import Request, json_response
from .users import Users

COOKIE = "webauthn"
MAX_FORM_BYTES = 64 * 1024
SESSION_LENGTH = timedelta(days=1)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Doorkeeper:
    """Tells who makes a request."""

    def __init__(self, users: Users, *, process_token: str | None = None) -> None:
        """
        Watch a root's door.

        Args:
            process_token: the secret of an in-process server; None: a server for others, by the command `serve`.
        """
        self._users = users
        self._process_token = process_token
        self.owner = user_client(login_name(), admin=True)

    def identify(self, request: Request) -> Client:
        """
        Who makes a request.

        Raises:
            Unauthorized: an in-process server of a root without users, and no proof of being its process.
            Forbidden: a web page of another site makes it.
        """
        token = _token(request)
        if token and self._process_token and hmac.compare_digest(token.encode(), self._process_token.encode()):
            return self.owner
        if token and (client := self._users.by_token(token)):
            return client
        if self._users.any():
            return ANONYMOUS
        if self._process_token:
            raise Unauthorized("This server belongs to another process: bring its token.")
        _refuse_other_sites(request)
        return self.owner

    def login(self, name: str, password: str) -> tuple[Client, str]:
        """
        The user whose token is given as a password.

        Raises:
            Unauthorized: no such user, or another token.
        """
        client = self._users.by_token(password)
        if client is None or client.display_name != name:
            raise Unauthorized("The user name or the password is wrong.")
        return client, password


class AuthnService:
    """The resource /authn/session."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    def handle(self, request: Request) -> Response:
        """Answer a request below /authn."""
        if request.raw_path.rstrip("/") != "/authn/session":
            raise Unrouted(request.raw_path)
        if request.method == "POST":
            return self._post(request)
        if request.method not in {"GET", "HEAD", "PUT", "DELETE"}:
            raise MethodNotAllowed(headers={"Allow": "GET, HEAD, PUT, POST, DELETE"})
        if request.client.anonymous:
            raise NotFound("There is no session: bring a cookie or a bearer token.")
        return _logout() if request.method == "DELETE" else json_response(session_document(request.client))

    def _post(self, request: Request) -> Response:
        if request.content_kind != "application/x-www-form-urlencoded":
            raise BadRequest("Send the form fields username and password.")
        form = parse_qs(request.body(limit_bytes=MAX_FORM_BYTES).decode(errors="replace"))
        client, token = self._doorkeeper.login(form.get("username", [""])[0], form.get("password", [""])[0])
        response = json_response(session_document(client))
        response.set_cookie(COOKIE, token, httponly=True, samesite="Lax", secure=request.is_secure, path="/")
        return response


def session_document(client: Client) -> dict[str, Any]:
    """The session as webauthn2 shows it; the client itself is the first attribute."""
    now = datetime.now(UTC)
    who = {"id": client.id, "display_name": client.display_name, "full_name": client.display_name, "email": None}
    return {
        "client": {**who, "identities": [client.id]},
        "attributes": [who, *({"id": name, "display_name": name} for name in client.attributes[1:])],
        "since": now.isoformat(sep=" "),
        "expires": (now + SESSION_LENGTH).isoformat(sep=" "),
        "seconds_remaining": int(SESSION_LENGTH.total_seconds()),
        "vary_cookie": COOKIE,
    }


def _logout() -> Response:
    response = json_response({"logout_url": "/"})
    response.delete_cookie(COOKIE, path="/")
    return response


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def login_name() -> str:
    """The name of whoever runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return f"uid{os.getuid()}"


def _refuse_other_sites(request: Request) -> None:
    """Nobody is asked for a token here, so a browser must not be made to act for its user (CSRF, DNS rebinding)."""
    host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    origin = request.headers.get("Origin")
    if host not in LOOPBACK_NAMES or (origin and urlsplit(origin).hostname not in LOOPBACK_NAMES):
        raise Forbidden("Without users this server answers on localhost only: `deriva-ml-catalog user add NAME`.")

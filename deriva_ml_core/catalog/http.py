"""
The HTTP client below every session: one pool of connections, bounded repeats, time-outs, one place for errors.

It is urllib3 (which deriva's own client stands on too): safe in threads, streaming both ways. deriva's client is
loaded only for those who ask for it: its import costs as much as a Hydra start (docs/why/catalog-client.md).

What may be repeated: a request that never left (no connection) always; GET, HEAD, PUT, which say the same when said
twice, also after a lost answer, 429 and 5xx; POST and DELETE only after 429 and 503, by which a server says that it
did nothing. A POST whose answer was lost is not repeated: its rows may or may not be there, and the error says so.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from deriva_ml_core.catalog.small_gets import LONGEST_WAIT_S, REFUSED_UNDONE, FoundObject, SmallGets
from deriva_ml_core.errors import (
    CatalogError,
    CatalogUnreachable,
    DerivaMLAuthenticationError,
    DerivaMLException,
    DerivaMLNotFoundError,
    DerivaMLValidationError,
)

log = logging.getLogger(__name__)

Credential = Mapping[str, str]
Body = bytes | str | IO[bytes]

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How long to wait and how often to ask again. As it is, a server may be away for a quarter of a minute.

    Attributes:
        doubt_unknown_names: a host whose name is unknown is asked for again, as after any lost connection: in the
            middle of a run the network is away, at its start the name is wrong.
    """

    connect_timeout_s: float = 6.0
    read_timeout_s: float = 120.0
    connect_repeats: int = 5
    answer_repeats: int = 4
    backoff_s: float = 0.5
    backoff_max_s: float = 20.0
    doubt_unknown_names: bool = True


class HttpClient:
    """
    Requests to one Deriva server. Safe to use from several threads.

    Args:
        base_url: scheme://host[:port]; plain http only to this machine.
        credential: deriva's form: {"bearer-token": ...} or {"cookie": "name=value"}; None for an anonymous client.
        hostname: how the user calls the server, for messages.
        pool_size: connections kept open at most.

    Attributes:
        patience: may be changed at any time.
        is_near: the server is on this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credential: Credential | None = None,
        hostname: str | None = None,
        patience: Patience | None = None,
        pool_size: int = 16,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        parts = urlsplit(self.base_url)
        self.hostname = hostname or parts.netloc
        self.has_login = bool(credential)
        self.is_near = parts.hostname in LOOPBACK
        self._require_safe(parts.scheme, parts.hostname or "")
        self._headers = {**_login_header(credential or {}), "deriva-client-context": '{"cid":"deriva-ml"}'}
        self.patience = patience or Patience()
        self._make_pool = partial(_pool, parts.scheme, parts.hostname or "", pool_size)
        self._pool, self._process = self._make_pool(), os.getpid()
        self._ours: tuple[str, urllib3.HTTPConnectionPool] | None = None
        self._small: dict[str, SmallGets | None] = {}  # by the URL of the server
        self.requests_sent = 0

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        accept: Iterable[int] = (),
    ) -> BaseHTTPResponse:
        """
        One request; its answer's status is 2xx or one of `accept`.

        Args:
            path: starts with "/", already escaped.
            body: bytes, text, or an open seekable binary file.
            stream: leave the answer's body unread; the caller reads it and calls `release_conn`.

        Raises:
            CatalogUnreachable: no answer; CatalogError: another status; DerivaMLAuthenticationError: 401 and 403.
        """
        self.requests_sent += 1
        asked: dict[str, Any] = {
            "body": body,
            "headers": {**self._headers, **(headers or {})},
            "retries": self._retries(method),
            "timeout": urllib3.Timeout(connect=self.patience.connect_timeout_s, read=self.patience.read_timeout_s),
            "preload_content": not stream,
        }
        try:
            # Straight to this server's connections: a third of what urllib3 costs is finding them by the URL.
            answer = self._connections().urlopen(method, path, redirect=False, assert_same_host=False, **asked)
            if answer.get_redirect_location():  # perhaps to another host: a store that keeps objects elsewhere
                answer.drain_conn()
                answer = self._pool.request(method, self.base_url + path, **asked)
        except HTTPError as err:
            raise self._no_answer(method, path, err) from err
        if 200 <= answer.status < 300 or answer.status in set(accept):
            return answer
        raise self._refused(method, path, answer)

    def get_small(self, path: str, size_bytes: int) -> FoundObject | None:
        """
        A small object by the short way; None where that does not work, so that `request` says why.

        Args:
            path: as of `request`.
        """
        base_url = self.base_url
        if base_url not in self._small:  # of threads that make one at once, all use the first: it is the one closed
            self._small.setdefault(base_url, _small_gets(base_url, self._headers))
        small = self._small[base_url]
        if small is None:
            return None
        self.requests_sent += 1
        return small.get(path, size_bytes, (self.patience.connect_timeout_s, self.patience.read_timeout_s))

    @contextmanager
    def timeouts(self, seconds: tuple[float, float] | None) -> Iterator[None]:
        """Other time-outs (to connect, to read) for the requests that begin in the block; None changes nothing."""
        before = self.patience
        if seconds is not None:
            self.patience = replace(before, connect_timeout_s=seconds[0], read_timeout_s=seconds[1])
        try:
            yield
        finally:
            self.patience = before

    def close(self) -> None:
        """Close every connection; a later request opens a new one."""
        self._pool.clear()
        self._ours = None
        for small in self._small.values():
            if small is not None:
                small.close()

    # --- inside ---

    def _connections(self) -> urllib3.HTTPConnectionPool:
        """This process's connections: a forked child that used its parent's would mix up both their answers."""
        if self._process != os.getpid():
            self._pool, self._process, self._ours = self._make_pool(), os.getpid(), None
        found = self._ours
        if found is None or found[0] != self.base_url:
            found = self._ours = (self.base_url, self._pool.connection_from_url(self.base_url))
        return found[1]

    def _require_safe(self, scheme: str, host: str) -> None:
        """A login must not travel in clear text to another machine."""
        if scheme not in ("http", "https") or (scheme == "http" and host not in LOOPBACK):
            raise DerivaMLException(f"refusing to talk to {self.base_url}: use https:// for another machine")

    def _retries(self, method: str) -> urllib3.Retry:
        says_the_same = method in ("GET", "HEAD", "PUT")
        kind = _Repeats if self.patience.doubt_unknown_names else _NamesAreRight
        return kind(
            total=None,
            connect=self.patience.connect_repeats,
            read=self.patience.answer_repeats if says_the_same else 0,
            status=self.patience.answer_repeats,
            other=0,
            redirect=5 if says_the_same else 0,
            allowed_methods=None,
            status_forcelist=_TRANSIENT if says_the_same else REFUSED_UNDONE,
            backoff_factor=self.patience.backoff_s,
            backoff_max=self.patience.backoff_max_s,
            backoff_jitter=self.patience.backoff_s / 2,
            raise_on_status=False,
            raise_on_redirect=False,
        )

    def _no_answer(self, method: str, path: str, err: HTTPError) -> DerivaMLException:
        cause = err.reason if isinstance(err, MaxRetryError) and err.reason else err
        url = self.base_url + path
        if isinstance(cause, NameResolutionError):
            return DerivaMLNotFoundError(f"no host is called '{self.hostname}' (or this machine has no network)")
        if isinstance(cause, ProxyError):
            return CatalogUnreachable(f"the proxy on the way to {self.hostname} refuses: {_plain(str(cause))}", url=url)
        if isinstance(cause, SSLError):
            return CatalogUnreachable(f"{self.hostname} has no certificate that this machine trusts: {cause}", url=url)
        if isinstance(cause, NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
            return CatalogUnreachable(f"{self.hostname} does not answer: {_plain(str(cause))}", url=url)
        doubt = "" if method in ("GET", "HEAD") else "; what it asked for may or may not have been done"
        return CatalogUnreachable(f"{self.hostname} gave no answer to {method} {_short(path)}{doubt}", url=url)

    def _refused(self, method: str, path: str, answer: BaseHTTPResponse) -> DerivaMLException:
        text = _reason(answer)
        answer.release_conn()
        if answer.status == 401:
            return DerivaMLAuthenticationError(self.login_advice())
        if answer.status == 403:
            return DerivaMLAuthenticationError(
                f"{self.hostname} does not allow you to {method} {_short(path)}: {text or 'no right'}"
            )
        words = text.removeprefix(f"{answer.status} ")  # ERMrest's and Hatrac's begin with it
        return CatalogError(
            f"{self.hostname} refused {method} {_short(path)}: {answer.status} {words}".rstrip(),
            url=self.base_url + path,
            status=answer.status,
        )

    def login_advice(self) -> str:
        """The one line for someone whose login is missing or no longer accepted."""
        fault = f"{self.hostname} no longer accepts your login" if self.has_login else f"no login for {self.hostname}"
        return f"{fault}: type `deriva-globus-auth-utils login --host {self.hostname}` and try again"


class _Repeats(urllib3.Retry):
    """
    Repeats as urllib3 does, and waits as a server asks (Retry-After), but never for hours.

    The first repeat is told, in our words; urllib3's own, one for each, are for those who debug.
    """

    doubts_names = True

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """
        What is left of the patience; MaxRetryError where nothing is.

        A name service that is away (EAI_AGAIN) is asked again even where names are not doubted.
        """
        if not self.doubts_names and isinstance(error, NameResolutionError) and _is_unknown(error.__cause__):
            raise MaxRetryError(_pool, url or "", error) from error
        left = super().increment(method, url, response, error, _pool, _stacktrace)
        if error is not None and not self.history:
            log.warning("%s does not answer: it is asked again", getattr(_pool, "host", "the server"))
        return left

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that the server asks to wait, at most `LONGEST_WAIT_S`; None where it does not say."""
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, LONGEST_WAIT_S)


class _NamesAreRight(_Repeats):
    """Repeats like the others, but for a host that the name service says there is not."""

    doubts_names = False


def _is_unknown(cause: BaseException | None) -> bool:
    return isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN


def json_body(document: Any) -> bytes:
    """
    A JSON document as the bytes of a request.

    Raises:
        DerivaMLValidationError: a text in it is no Unicode.
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as err:  # half of a surrogate pair: how Python keeps a byte that is no UTF-8
        near = text[max(0, err.start - 40) : err.end + 20].encode(errors="backslashreplace").decode()
        raise DerivaMLValidationError(f"text that no catalog can hold, for it is no UTF-8: …{near}…") from err


def _login_header(credential: Credential) -> dict[str, str]:
    if "bearer-token" in credential:
        return {"Authorization": f"Bearer {credential['bearer-token']}"}
    return {"Cookie": credential["cookie"]} if "cookie" in credential else {}


def _pool(scheme: str, host: str, size: int) -> urllib3.PoolManager:
    """Connections that honour the machine's proxy and certificate settings, as requests does."""
    if scheme == "http":
        return urllib3.PoolManager(maxsize=size)
    if proxy := _proxy(host):
        return urllib3.ProxyManager(proxy, maxsize=size, ca_certs=_trusted())
    return urllib3.PoolManager(maxsize=size, ca_certs=_trusted())


def _trusted() -> str:
    """The file of certificates that this machine trusts."""
    import certifi

    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()


def _proxy(host: str) -> str | None:
    import urllib.request

    proxy = urllib.request.getproxies().get("https")
    return proxy if proxy and not urllib.request.proxy_bypass(host) else None


def _small_gets(base_url: str, headers: Mapping[str, str]) -> SmallGets | None:
    """None where a proxy stands between, or the trusted certificates are not in one file."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return SmallGets(lambda timeout_s: HTTPConnection(host, port, timeout=timeout_s), headers)
    if _proxy(host) or not Path(trusted := _trusted()).is_file():
        return None
    import ssl

    context = ssl.create_default_context(cafile=trusted)
    return SmallGets(lambda timeout_s: HTTPSConnection(host, port, timeout=timeout_s, context=context), headers)


def _reason(answer: BaseHTTPResponse) -> str:
    """The server's words, as one line."""
    text = answer.read(2000) if not answer.closed and not answer.data else answer.data[:2000]
    return _plain(text.decode(errors="replace"))


def _plain(text: str) -> str:
    without_tags = re.sub(r"<[^>]*>", " ", text)
    words = " ".join(without_tags.split())
    return words if len(words) <= 400 else words[:400] + "…"


def _short(path: str) -> str:
    return path if len(path) <= 120 else path[:100] + "…"

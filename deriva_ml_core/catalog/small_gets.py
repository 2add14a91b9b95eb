"""
GETs of small objects by plain http.client: a third of what a request costs by urllib3.

A dataset may have a hundred thousand small files on a server of the same network; then the client's own work decides
how long they take. Only the plain case is handled here: a 200 of the expected length. Whatever else happens (a broken
connection, a redirect, a refusal) is answered with None: the caller asks again by HttpClient, which knows what to do
and whose errors say what is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse

from urllib3.util import wait_for_read

LONGEST_WAIT_S = 300.0
"""A server that is busy may ask for so much patience, not for hours."""
REFUSED_UNDONE = frozenset({429, 503})
"""By these a server says that it did nothing and may be asked again."""
# A store whose objects are elsewhere (each answer a redirect) is not asked twice for every one of them.
_UNUSUAL_IN_A_ROW = 8


@dataclass(frozen=True, slots=True)
class FoundObject:
    """The content, and the server's Content-MD5 header where it sent one."""

    content: bytes
    promised: str | None


class SmallGets:
    """
    Connections to one server, kept open. Safe to use from several threads.

    Args:
        connect: makes a connection, which is not open yet, with this time-out in seconds.
        headers: of each request.
    """

    def __init__(self, connect: Callable[[float], HTTPConnection], headers: Mapping[str, str]) -> None:
        self._connect, self._headers = connect, dict(headers)
        self._idle: list[HTTPConnection] = []
        self._process, self._unusual = os.getpid(), 0

    def get(self, path: str, size_bytes: int, timeouts_s: tuple[float, float]) -> FoundObject | None:
        """
        One object, not checked against anything but its length.

        Args:
            path: starts with "/", already escaped.
            timeouts_s: to connect, and to wait for bytes.
        """
        if self._unusual >= _UNUSUAL_IN_A_ROW:
            return None
        with suppress(OSError, HTTPException):  # of network, TLS and HTTP: the caller's next request says which
            return self._exchange(path, size_bytes, timeouts_s)
        return None

    def close(self) -> None:
        """Close all that is open; a later request opens a new one."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, path: str, size_bytes: int, timeouts_s: tuple[float, float]) -> FoundObject | None:
        connection, reusable = self._take(timeouts_s), False
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            if answer.status in REFUSED_UNDONE:
                _wait_as_asked(answer)
                return None
            if answer.status != 200 or answer.length != size_bytes:
                self._unusual += 1
                return None
            found = FoundObject(answer.read(), answer.getheader("Content-MD5"))
            self._unusual, reusable = 0, not answer.will_close
            return found
        finally:
            if reusable:
                self._idle.append(connection)
            else:  # nobody knows what else may come from it
                connection.close()

    def _take(self, timeouts_s: tuple[float, float]) -> HTTPConnection:
        if self._process != os.getpid():  # a forked child must not use its parent's
            self._idle, self._process = [], os.getpid()
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.sock and not wait_for_read(connection.sock, timeout=0):
                    connection.sock.settimeout(timeouts_s[1])  # it may have changed since
                    return connection
                connection.close()  # the server has closed it: nothing else comes unasked
        connection = self._connect(timeouts_s[0])
        try:
            connection.connect()
            connection.sock.settimeout(timeouts_s[1])
        except BaseException:  # Ctrl-C too
            connection.close()
            raise
        return connection


def _wait_as_asked(answer: HTTPResponse) -> None:
    """For the caller will ask again at once."""
    asked = answer.getheader("Retry-After", "")
    if asked.isdecimal():
        time.sleep(min(int(asked), LONGEST_WAIT_S))

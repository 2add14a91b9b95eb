"""
A request body in chunked transfer encoding, read in pieces of bounded size.

cheroot's own reader takes each chunk whole into memory, however large its sender makes it. Source: RFC 9112
section 7.1.
"""

import re
from typing import Protocol

from .errors import BadRequest

MAX_LINE_BYTES = 4096
MAX_TRAILER_LINES = 100
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class _Connection(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class ChunkedBody:
    """The decoded body."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._left_in_chunk = 0
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """
        At most `size` bytes, everything that is left without it; none at the end.

        Raises:
            BadRequest: the encoding is broken, or the connection ended.
        """
        pieces: list[bytes] = []
        wanted = size
        while wanted != 0 and not self._ended:
            if not self._left_in_chunk and not self._next_chunk():
                break
            piece = self._connection.read(min(self._left_in_chunk, wanted) if size >= 0 else self._left_in_chunk)
            if not piece:
                raise BadRequest("The connection ended within a chunk.")
            pieces.append(piece)
            self._took(len(piece))
            wanted -= len(piece) if size >= 0 else 0
        return b"".join(pieces)

    def _took(self, size: int) -> None:
        self._left_in_chunk -= size
        if not self._left_in_chunk and self._connection.read(2) != b"\r\n":
            raise BadRequest("A chunk is longer than it says.")

    def _next_chunk(self) -> bool:
        line = self._connection.readline(MAX_LINE_BYTES)
        digits = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _SIZE.fullmatch(digits):
            raise BadRequest("The size of a chunk is missing.")
        self._left_in_chunk = int(digits, 16)
        if self._left_in_chunk:
            return True
        self._end()
        return False

    def _end(self) -> None:
        self._ended = True
        for _ in range(MAX_TRAILER_LINES):
            if self._connection.readline(MAX_LINE_BYTES).strip() == b"":
                return
        raise BadRequest("The trailer is too long.")

"""One object on its way from Hatrac into an open file, hashed as it comes, taken up again where it broke."""

from __future__ import annotations

from typing import IO

from urllib3.exceptions import HTTPError

from deriva_ml_core.catalog import checksums
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.object_store import Progress
from deriva_ml_core.errors import CatalogUnreachable, ChecksumMismatch

_BLOCK_BYTES = 2**18
# Each of them has brought bytes, or it is the last.
_DOWNLOAD_ATTEMPTS = 20


class Download:
    """The bytes of one object into an open file, hashed on the way."""

    def __init__(self, client: HttpClient, path: str, file: IO[bytes], progress: Progress | None) -> None:
        self._client, self._path, self._file, self._progress = client, path, file, progress
        self._hash = checksums.md5()
        self._done = 0
        self._version: str | None = None
        self._promised: str | None = None

    def run(self, md5: str | None, length: int | None) -> None:
        """Fetch all of it, from where an earlier attempt stopped, taking up broken connections, and check it."""
        self._take_up()
        if self._done and self._done == length:
            self._check(md5, length)
            return
        for attempt in range(_DOWNLOAD_ATTEMPTS):
            before = self._done
            try:
                if self._attempt():
                    break
            except HTTPError as err:
                # A broken connection is taken up at once where bytes came; without any, the pool has waited already.
                if attempt == _DOWNLOAD_ATTEMPTS - 1 or self._done == before:
                    raise CatalogUnreachable(
                        f"the connection broke while fetching {self._path}, after {self._done} bytes", url=self._path
                    ) from err
        self._check(md5, length)

    def _take_up(self) -> None:
        """Count and hash what is in the file already."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            self._hash.update(block)
            self._done += len(block)
        if self._progress and self._done:
            self._progress(self._done)

    def _attempt(self) -> bool:
        """One GET from where we are."""
        headers = {"Range": f"bytes={self._done}-"} if self._done else {}
        if self._version and self._done:
            headers["If-Match"] = self._version
        answer = self._client.request("GET", self._path, headers=headers, stream=True)
        try:
            if answer.status == 200:
                self._restart(answer.headers.get("ETag"), answer.headers.get("Content-MD5"))
            for block in answer.stream(_BLOCK_BYTES):
                self._take(block)
        finally:
            answer.close()
            answer.release_conn()
        return True

    def _restart(self, version: str | None, promised: str | None) -> None:
        """The server sends all of it: forget what came before."""
        if self._progress and self._done:
            self._progress(-self._done)
        self._file.seek(0)
        self._file.truncate()
        self._hash, self._done = checksums.md5(), 0
        self._version, self._promised = version, promised

    def _take(self, block: bytes) -> None:
        self._file.write(block)
        self._hash.update(block)
        self._done += len(block)
        if self._progress:
            self._progress(len(block))

    def _check(self, md5: str | None, length: int | None) -> None:
        if length is not None and length != self._done:
            raise ChecksumMismatch(f"{self._path} has {self._done} bytes, its record says {length}")
        found = self._hash.hexdigest()
        for promise, whose in ((md5, "its record"), (checksums.as_hex(self._promised), "the server")):
            if promise and promise.lower() != found:
                raise ChecksumMismatch(f"{self._path} has MD5 {found}, {whose} says {promise}")

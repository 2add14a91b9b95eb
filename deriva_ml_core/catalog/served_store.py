"""The object store of an embedded catalog whose server is in another process, by fewer requests than PUTs."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from urllib3.response import BaseHTTPResponse

from deriva_ml_core.catalog.http import HttpClient, json_body
from deriva_ml_core.catalog.object_store import Progress, SmallObject
from deriva_ml_core.catalog.threads import threads_start
from deriva_ml_core.errors import CatalogUnreachable

_KIND = "application/x-deriva-ml-objects"
_BATCHES_AHEAD = 2
"""So that the server stores one batch while the next is on its way."""
_CONTENT_FROM_BYTES, _CONTENT_TO_BYTES = 25 * 2**20, 32 * 2**30
"""Smaller files are worth one request, not three; of larger ones the hashing after a break would exceed a time-out."""
_BLOCK_BYTES = 2**20
_ANY_REFUSAL = range(300, 600)


class ServedStore:
    """
    Talks to local_catalog/hatrac/deposits.py and contents.py; an ObjectStore.

    A server that has no such pages (an older one) is asked once for each.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._takes_batches = True
        self._takes_content = client.is_near  # a network damages: chunks that have checksums of their own are for that
        self._whole: dict[Path, str] = {}
        """Files that the server has and that have no name there: their places among its contents."""

    # --- large files --------------------------------------------------------------------------------------------

    def take_in(self, file: Path, progress: Progress, /) -> str | None:
        """
        Send a large file, or what the server does not have of it.

        Returns:
            The MD5 of what the server has then, which is what was read here: both have the same SHA-256.

        Raises:
            CatalogUnreachable: no answer; what has arrived stays there.
        """
        stat = file.stat()
        if not (self._takes_content and _CONTENT_FROM_BYTES < stat.st_size <= _CONTENT_TO_BYTES):
            return None
        told = _Told(progress)
        place = f"/content/{_key_of(file, stat)}"
        for repeats_left in reversed(range(1 + self._client.patience.answer_repeats)):
            try:
                md5, again = self._send(file, stat.st_size, place, told)
            except CatalogUnreachable:
                if not repeats_left:
                    raise
                continue
            if md5 is not None:
                self._whole[file] = place
                return md5
            if not again:
                break
        told.all_of(0)
        return None

    def store_object(
        self,
        path: str,
        file: Path,
        /,
        *,
        md5: str,
        content_type: str,
        disposition: str,
        progress: Progress,  # noqa: ARG002  # take_in has told it
    ) -> str | None:
        """Name what was taken in; see ObjectStore."""
        place = self._whole.pop(file, None)
        if place is None:
            return None
        named = json_body({"path": path, "md5": md5, "content_type": content_type, "disposition": disposition})
        answer = self._put(place, named)
        if answer.status == 404 and self.take_in(file, lambda _: None) == md5:  # its server has started anew
            self._whole.pop(file)
            answer = self._put(place, named)
        if answer.status == 201:
            return urlsplit(answer.headers["Location"]).path
        self._client.request("DELETE", place, accept=_ANY_REFUSAL)
        return None

    def _put(self, place: str, named: bytes) -> BaseHTTPResponse:
        headers = {"Content-Type": "application/json"}
        return self._client.request("PUT", place, body=named, headers=headers, accept=_ANY_REFUSAL)

    def _send(self, file: Path, size: int, place: str, told: _Told) -> tuple[str | None, bool]:
        """The MD5 of the whole; or else whether it is worth another try."""
        answer = self._client.request("GET", place, accept=_ANY_REFUSAL)
        if answer.status != 200:
            self._takes_content = answer.status >= 500  # another time perhaps
            return None, False
        there = int(json.loads(answer.data))
        told.all_of(there)
        with file.open("rb", buffering=0) as opened:
            rest = _Rest(opened, there, told)
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(max(0, size - there))}
            body = rest if size > there else b""
            answer = self._client.request(
                "POST",
                f"{place}?offset={there}",
                body=body,  # type: ignore[arg-type]  # what urllib3 uses of a file: read, tell, seek
                headers=headers,
                accept=_ANY_REFUSAL,
            )
        if answer.status != 200:
            return None, answer.status == 409  # more or less has come than the server said
        whole = json.loads(answer.data)
        if (whole["sha256"], whole["size"]) == (rest.sha256, size):
            return str(whole["md5"]), False
        self._client.request("DELETE", place, accept=_ANY_REFUSAL)
        return None, there > 0  # what a power cut left

    # --- small ones ---------------------------------------------------------------------------------------------

    def store_small(self, batches: Iterable[Sequence[SmallObject]], /) -> Iterator[Sequence[str | None]]:
        """See ObjectStore; one request for each batch."""
        if not self._takes_batches or not threads_start():
            return
        sent: deque[Future[Sequence[str | None]]] = deque()
        with ThreadPoolExecutor(_BATCHES_AHEAD, "deriva-ml-deposit") as pool:
            for batch in batches:
                sent.append(pool.submit(self._deposit, batch))
                if len(sent) > _BATCHES_AHEAD:
                    yield sent.popleft().result()
            while sent:
                yield sent.popleft().result()

    def _deposit(self, batch: Sequence[SmallObject]) -> Sequence[str | None]:
        if self._takes_batches:
            told = [(one.path, len(one.content), one.md5, one.content_type, one.disposition) for one in batch]
            body = b"".join([json_body(told), b"\n", *(one.content for one in batch)])
            headers = {"Content-Type": _KIND}
            answer = self._client.request("POST", "/deposit", body=body, headers=headers, accept=_ANY_REFUSAL)
            if answer.status == 200 and len(urls := json.loads(answer.data)) == len(batch):
                return list(urls)
            self._takes_batches = answer.status >= 500  # another time perhaps
        return [None] * len(batch)


class _Told:
    """How much of a file somebody was told to be there."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._bytes = progress, 0

    def all_of(self, size: int) -> None:
        """So much of it is there."""
        if size != self._bytes:
            self._progress(size - self._bytes)
            self._bytes = size


class _Rest:
    """A file from some place on, as urllib3 reads it; all of it is hashed."""

    def __init__(self, file: BinaryIO, start: int, told: _Told) -> None:
        self._file, self._start, self._told = file, start, told
        self._before = hashlib.sha256()
        left = start
        while left and (block := file.read(min(left, _BLOCK_BYTES))):
            self._before.update(block)
            left -= len(block)
        self._hash = self._before.copy()

    @property
    def sha256(self) -> str:
        """Of the file up to where it was read."""
        return self._hash.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at least as many as asked for where there are."""
        block = self._file.read(max(size, _BLOCK_BYTES) if size >= 0 else size)
        self._hash.update(block)
        self._told.all_of(self._file.tell())
        return block

    def tell(self) -> int:
        """Where the next read begins."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Back to its beginning, to send it again."""
        assert (offset, whence) == (self._start, os.SEEK_SET)
        self._hash = self._before.copy()
        return self._file.seek(offset)


def _key_of(file: Path, stat: os.stat_result) -> str:
    """Another one once the file has changed."""
    facts = (os.path.abspath(file), stat.st_size, stat.st_mtime_ns, stat.st_ino)  # noqa: PTH100  # a link keeps its name
    return hashlib.sha256(repr(facts).encode()).hexdigest()

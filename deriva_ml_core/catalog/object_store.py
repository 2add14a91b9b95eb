"""
What the embedded catalog takes besides a PUT for each object: files by a call, and many small ones at a time.

Its LocalServer, in this process, is an ObjectStore; `ServedStore` is that of its server in another process. Whatever
they can't do they answer with None, and the caller goes by PUT, which does the same, and says what is wrong where
something is.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deriva_ml_core.catalog.http import HttpClient, json_body

_KIND = "application/x-deriva-ml-objects"
_BATCHES_AHEAD = 2
"""So that the server stores one batch while the next is on its way."""


@dataclass(frozen=True, slots=True)
class SmallObject:
    """
    An object that fits into memory.

    Attributes:
        path: as `objects.object_path` gives it.
        content, md5: its bytes, and their checksum in hex.
        content_type, disposition: as headers say them.
    """

    path: str
    content: bytes
    md5: str
    content_type: str
    disposition: str


class ObjectStore(Protocol):
    """The objects of an embedded catalog."""

    def take_in(self, file: Path, progress: Callable[[int], object], /) -> str | None:
        """Copy a file's content to where `store_object` finds it, reading it once; its MD5 in hex."""

    def store_object(
        self,
        path: str,
        file: Path,
        /,
        *,
        md5: str,
        content_type: str,
        disposition: str,
        progress: Callable[[int], object],
    ) -> str | None:
        """Store a file as an object, unless its content is there; the version's URL, when it is on the disk."""

    def store_small(self, batches: Iterable[Sequence[SmallObject]], /) -> Iterator[Sequence[str | None]]:
        """
        The same for many small ones; for each batch, in order, the versions' URLs. It may end before the batches.

        Raises:
            CatalogUnreachable: no answer.
        """


class ServedStore:
    """
    The objects of an embedded catalog whose server is in another process (local_catalog/hatrac/deposits.py).

    A server that takes no batches (an older one) is asked once.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client, self._takes = client, True

    def take_in(self, file: Path, progress: Callable[[int], object], /) -> str | None:  # noqa: ARG002
        """A large file goes by request, chunk by chunk."""
        return None

    def store_object(self, path: str, file: Path, /, **described: object) -> str | None:  # noqa: ARG002
        """The same."""
        return None

    def store_small(self, batches: Iterable[Sequence[SmallObject]], /) -> Iterator[Sequence[str | None]]:
        """See ObjectStore; one request for each batch."""
        if not self._takes or not threading.main_thread().is_alive():  # an interpreter that ends starts no threads
            return
        sent: deque[Future[Sequence[str | None]]] = deque()
        with ThreadPoolExecutor(_BATCHES_AHEAD, "deriva-ml-deposit") as pool:
            for batch in batches:
                sent.append(pool.submit(self._send, batch))
                if len(sent) > _BATCHES_AHEAD:
                    yield sent.popleft().result()
            while sent:
                yield sent.popleft().result()

    def _send(self, batch: Sequence[SmallObject]) -> Sequence[str | None]:
        if self._takes:
            told = [(one.path, len(one.content), one.md5, one.content_type, one.disposition) for one in batch]
            body = b"".join([json_body(told), b"\n", *(one.content for one in batch)])
            answer = self._client.request(
                "POST", "/deposit", body=body, headers={"Content-Type": _KIND}, accept=range(300, 600)
            )
            if answer.status == 200 and len(urls := json.loads(answer.data)) == len(batch):
                return list(urls)
            self._takes = answer.status >= 500  # another time perhaps
        return [None] * len(batch)

"""
What the embedded catalog takes besides a PUT for each object: files by a call, and many small ones at a time.

Its LocalServer, in this process, is an ObjectStore; served_store.py has that of its server elsewhere. Whatever
they can't do they answer with None, and the caller goes by PUT, which does the same, and says what is wrong where
something is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], object]
"""Hears how many bytes have moved since it was last called; fewer than none where they must move again."""


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

    def take_in(self, file: Path, progress: Progress, /) -> str | None:
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
        progress: Progress,
    ) -> str | None:
        """Store a file as an object, unless its content is there; the version's URL, when it is on the disk."""

    def store_small(self, batches: Iterable[Sequence[SmallObject]], /) -> Iterator[Sequence[str | None]]:
        """
        The same for many small ones; for each batch, in order, the versions' URLs. It may end before the batches.

        Raises:
            CatalogUnreachable: no answer.
        """

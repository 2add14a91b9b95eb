"""
Which row became which: a file of JSON lines for each pair of catalogs, in the working folder of the one copied from.

    {"table": "deriva-ml:Execution", "source": "JTA", "target": "3-ABCD"}
    {"read": "/hatrac/Execution_Metadata/….jsonl:XY"}       a file of origins.py that was taken over

Lines are only ever added, and are on disk before the row that they tell of is inserted. A half line, of a process that
was killed while it wrote, names no row that was inserted, and is passed over. The file may be lost: origins.py says
where its lines are kept, too.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.errors import DerivaMLValidationError, WorkingFolderError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

FOLDER = "published"


class RidMapping:
    """RIDs of the source to RIDs of the target, as far as they are known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = {}
        self._read: set[str] = set()
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._take(line)

    @classmethod
    def between(cls, working_dir: Path, target: CatalogSession, moments: Iterable[str] = ()) -> RidMapping:
        """
        The one from the catalog that a working folder belongs to, into another.

        Args:
            moments: in which the two began: a catalog that was deleted and made again is another.
        """
        name = "__".join([target.hostname, target.catalog_id, *moments]).replace("/", "_").replace(":", "_")
        return cls(working_dir / FOLDER / f"{name}.jsonl")

    def get(self, source: str) -> str | None:
        """The RID that this row has in the target; None where it has none yet."""
        return self._known.get(source)

    def __getitem__(self, source: str) -> str:
        return self._known[source]

    def add(self, table: str, pairs: Mapping[str, str]) -> None:
        """
        Write down new pairs of one table: on disk when this returns.

        Raises:
            WorkingFolderError: they can't be written.
        """
        new = {source: target for source, target in pairs.items() if self._known.get(source) != target}
        self._append({"table": table, "source": source, "target": target} for source, target in new.items())
        self._known.update(new)

    def has_read(self, url: str) -> bool:
        """Whether this file of pairs was taken over."""
        return url in self._read

    def mark_read(self, urls: Iterable[str]) -> None:
        """These were."""
        new = set(urls) - self._read
        self._append({"read": url} for url in sorted(new))
        self._read |= new

    def _append(self, documents: Iterable[Mapping[str, str]]) -> None:
        lines = [json.dumps(document) + "\n" for document in documents]
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() and not _ends_a_line(self.path):
                    file.write(b"\n")
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            raise WorkingFolderError(f"can't write {self.path}: {err.strerror or err}") from err

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Let nobody else publish between the same catalogs meanwhile.

        Raises:
            DerivaMLValidationError: somebody does.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DerivaMLValidationError(
                    "another process publishes between these catalogs: wait until it is done"
                ) from None
            except OSError:  # a file system without locks
                pass
            self.__init__(self.path)  # type: ignore[misc]  # what the one before us has written
            yield

    def _take(self, line: bytes) -> None:
        try:
            pair = json.loads(line)
            if "read" in pair:
                self._read.add(pair["read"])
            else:
                self._known[pair["source"]] = pair["target"]
        except (ValueError, KeyError, TypeError):
            return


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

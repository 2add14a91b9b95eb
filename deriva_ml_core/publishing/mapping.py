"""
Which row became which: a file of JSON lines for each pair of catalogs, in the working folder of the one copied from.

    {"table": "deriva-ml:Execution", "source": "JTA", "target": "3-ABCD"}

Lines are only ever added, and are on disk before the row that they tell of is inserted. A half line, of a process that
was killed while it wrote, names no row that was inserted, and is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
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
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._take(line)

    @classmethod
    def between(cls, working_dir: Path, target: CatalogSession) -> RidMapping:
        """The one from the catalog that a working folder belongs to, into another."""
        name = f"{target.hostname}__{target.catalog_id}".replace("/", "_").replace(":", "_")
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
        if not pairs:
            return
        lines = (
            json.dumps({"table": table, "source": source, "target": target}) + "\n" for source, target in pairs.items()
        )
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
        self._known.update(pairs)

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
            self._known[pair["source"]] = pair["target"]
        except (ValueError, KeyError, TypeError):
            return


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

"""
The root folder: everything that an embedded Deriva server keeps.

    ROOT/
      registry.db            catalogs, aliases, users (tokens hashed), Hatrac names and versions
      catalogs/N/catalog.db  one SQLite file a catalog
      objects/ab/cdef...     content, once, by its SHA-256
      uploads/               chunks of unfinished uploads, and content that is on its way in
      host.lock              which host has this root open

Only its owner may look into it (mode 0700), and only processes of one host may use it at a time, any number of them.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import apsw

from .errors import NotFound, RootError
from .hostlock import HostLock
from .mounts import network_type
from .registry import CatalogEntry, Registry

SERVE = "run `deriva-ml-catalog serve --root DIR` on one host, with DIR on its local disk, and connect to it"


class Root:
    """An open root folder; made if it is missing."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        """
        Open a root folder.

        Args:
            create: make the folder if it is missing.

        Raises:
            RootError: missing, not a folder, no right to it, on a network file system, or open on another host.
        """
        self.path = Path(path).expanduser().absolute()
        _refuse_network(self.path)
        self.read_only = _prepare(self.path, create=create)
        self._lock = None if self.read_only else _take_lock(self.path / "host.lock")
        self._process = os.getpid()
        self._closing: list[Callable[[], None]] = []
        try:
            self.registry = Registry(self.path / "registry.db", read_only=self.read_only)
        except apsw.Error as err:
            self._release()
            raise RootError(f"{self.path / 'registry.db'} cannot be opened: {err}.") from err

    @property
    def objects(self) -> Path:
        """Where content lies."""
        return self.path / "objects"

    @property
    def uploads(self) -> Path:
        """Where content lies that is not yet complete."""
        return self.path / "uploads"

    def catalog_folder(self, entry: CatalogEntry) -> Path:
        """Where a catalog's files lie."""
        return self.path / "catalogs" / str(entry.number)

    def create_catalog(self, wanted: str | None, fill: Callable[[Path], None]) -> CatalogEntry:
        """
        Make a catalog.

        Args:
            wanted: its id; None: the next number.
            fill: makes the catalog's database in the folder that it is given.

        Raises:
            Conflict: the id is or was in use.
        """
        entry = self.registry.reserve_catalog(wanted)
        folder = self.catalog_folder(entry)
        try:
            folder.mkdir(parents=True)
            fill(folder)
            self.registry.publish_catalog(entry)
        except BaseException:  # whatever went wrong, nobody has seen it
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return entry

    def find_catalog(self, name: str) -> tuple[CatalogEntry, Path]:
        """
        The catalog that an id or alias names, and its folder.

        Raises:
            NotFound: nothing has that name.
            Conflict: the alias has no target.
        """
        entry = self.registry.find_catalog(name)
        folder = self.catalog_folder(entry)
        if not folder.is_dir():  # somebody is removing it
            raise NotFound(f"There is no catalog {name!r}.")
        return entry, folder

    def delete_catalog(self, identity: str) -> None:
        """
        Remove a catalog and its files.

        Raises:
            NotFound: no such catalog.
        """
        entry = self.registry.delete_catalog(identity)
        shutil.rmtree(self.catalog_folder(entry), ignore_errors=True)

    def on_close(self, act: Callable[[], None]) -> None:
        """Have something done when the root is closed, such as closing files in it."""
        self._closing.append(act)

    def close(self) -> None:
        """Close what was opened in it and the registry, and give the host lock back."""
        while self._closing:
            self._closing.pop()()
        self.registry.close()
        self._release()

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent, which goes on using it."""
        if self._lock is not None:
            self._lock.abandon()
            self._lock = None

    def _release(self) -> None:
        if self._lock is None:
            return
        if self._process == os.getpid():
            self._lock.release()
            self._lock = None
        else:
            self.abandon()

    def __enter__(self) -> "Root":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _refuse_network(path: Path) -> None:
    if kind := network_type(path):
        raise RootError(f"{path} is on a network file system ({kind}), where SQLite cannot lock safely: {SERVE}.")


def _take_lock(file: Path) -> HostLock:
    try:
        return HostLock(file)
    except OSError as err:
        raise RootError(f"{file} cannot be written: {err.strerror}.") from err


def _prepare(path: Path, *, create: bool) -> bool:
    """Make the folders; returns whether the root can only be read."""
    if any("\ud800" <= character <= "\udfff" for character in str(path)):  # SQLite takes no other names
        raise RootError(f"Root folder {str(path)!r} has a name that is no UTF-8: choose another.")
    if path.exists() and not path.is_dir():
        raise RootError(f"{path} is not a folder.")
    if not path.exists() and not create:
        raise RootError(f"There is no root folder {path}: `deriva-ml-catalog create NAME --root {path}` makes one.")
    try:
        if not path.exists():
            path.mkdir(parents=True, mode=0o700, exist_ok=True)
        for name in ("catalogs", "objects", "uploads"):
            (path / name).mkdir(exist_ok=True)
    except OSError as err:
        raise RootError(f"Root folder {path} cannot be made: {err.strerror}.") from err
    if os.access(path, os.W_OK | os.X_OK):
        return False
    if not os.access(path / "registry.db", os.R_OK):
        raise RootError(f"Root folder {path} cannot be read by this user.")
    return True

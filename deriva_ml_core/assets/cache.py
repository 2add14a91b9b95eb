"""The content-addressed cache of objects: bytes by their MD5, shared by executions, bags and users of the machine.

    <cache folder>/objects/ab/abcdef...      one file for each content, read-only
    <cache folder>/locks/                    who is fetching what

An object is verified when it is put in place, and marked so: its time of modification is set to VERIFIED. Whoever
changes its bytes changes that time; then the bytes are hashed again before use, and fetched again if they are wrong.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.handlers import fetch_asset
from deriva_ml_core.assets.locks import file_lock
from deriva_ml_core.assets.names import file_name_of
from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import WorkingFolderError
from deriva_ml_core.hookvalues import AssetRef

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

# 2000-01-01, UTC: a time that no file of ours is written at. Archives (zip) can hold it.
VERIFIED_NS = 946_684_800 * 10**9


class ObjectCache:
    """
    Objects by content.

    Args:
        folder: the cache folder; made when the first object is put.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects, self._arriving = folder / "objects", folder / "objects" / "arriving"

    def path(self, md5: str) -> Path:
        """Where the object of this content is, or would be."""
        return Path(f"{self._objects}/{md5[:2]}/{md5}")

    def find(self, md5: str, size_bytes: int | None) -> Path | None:
        """The object, verified; None where there is none. A damaged one is removed."""
        path = f"{self._objects}/{md5[:2]}/{md5}"  # a Path of what is not there would be made for nothing
        return Path(path) if is_right(path, md5, size_bytes) else None

    def keep(self, file: Path, md5: str) -> None:
        """Keep a copy of a file whose object nobody has fetched yet; hashed before its first use."""
        path = self.path(md5)
        if path.exists():
            return
        beside = path.with_name(f".{md5}.{os.getpid()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def fetch(
        self,
        session: CatalogSession,
        url: str,
        md5: str,
        size_bytes: int | None,
        *,
        progress: Callable[[int], None] | None = None,
        near: Path | None = None,
    ) -> Path:
        """
        The object, from here or from the server; of several who ask at once, one fetches and the others wait.

        Args:
            near: where it lies on this disk; see objects.near_files.

        Raises:
            ChecksumMismatch: the server sends other bytes than the record says.
            CatalogError, CatalogUnreachable: it can't be had.
            WorkingFolderError: the cache can't be written.
        """
        found = self.find(md5, size_bytes)
        if found is None:
            with file_lock(self.folder / "locks" / f"{md5}.lock"):
                found = self.find(md5, size_bytes) or self.fetch_alone(
                    session, url, md5, size_bytes, progress=progress, near=near
                )
        elif progress and size_bytes:
            progress(size_bytes)
        return found

    def fetch_alone(
        self,
        session: CatalogSession,
        url: str,
        md5: str,
        size_bytes: int | None,
        *,
        progress: Callable[[int], None] | None = None,
        near: Path | None = None,
    ) -> Path:
        """Fetch without looking and locking, for a caller that has done both."""
        path = self.path(md5)
        with folder_errors(self.folder):
            if near is None or not objects.copy_near(
                near, path, md5, size_bytes, progress, parts=self._arriving, seal=mark_verified
            ):
                fetch_asset(session, AssetRef(url, file_name_of(url), md5, size_bytes), path, progress)
                mark_verified(path)
        return path


def is_right(path: str | Path, md5: str, size_bytes: int | None) -> bool:
    """Whether a file is there and what it should be; a wrong one is removed. Most often one look at its status."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # asked for each of thousands of files
    except OSError:
        return False
    if stat.st_mtime_ns == VERIFIED_NS and size_bytes in (None, stat.st_size):  # and was not written to since
        return True
    if verify(Path(path), md5, size_bytes):
        return True
    log.warning("%s is damaged: it is fetched again", path)
    Path(path).unlink(missing_ok=True)
    return False


def verify(path: Path, md5: str, size_bytes: int | None) -> bool:
    """Hash the file; mark it if it is what it should be."""
    try:
        right = size_bytes in (None, path.stat().st_size) and objects.file_md5(path) == md5
    except OSError:
        return False
    if right:
        mark_verified(path)
    return right


def mark_verified(path: Path | int) -> None:
    """Set the mark on a file or its descriptor, and take away the right to write, which saves it from accidents."""
    with suppress(PermissionError):  # another user's object, shared: it will be hashed again each time
        os.chmod(path, 0o444)  # noqa: PTH101
        os.utime(path, ns=(VERIFIED_NS, VERIFIED_NS))


def place(source: Path, target: Path) -> Path:
    """Put a cached file where somebody wants it: a hard link, or a copy where the file system can't link."""
    try:
        os.link(source, target)  # the common case in one step
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        if target.exists() and target.samefile(source):
            return target
    else:
        return target
    beside = target.with_name(f".{os.getpid()}.{target.name[:200]}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, beside)
    beside.replace(target)
    # A link that replaces a link to the same file leaves both names: POSIX rename.
    beside.unlink(missing_ok=True)
    return target


def require_space(folder: Path, size_bytes: int) -> None:
    """
    Say before a download that it will not fit.

    Raises:
        WorkingFolderError: the disk has less room than that.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if size_bytes > free:
        from rich.filesize import decimal  # only for this message

        raise WorkingFolderError(
            f"{existing} has {decimal(free)} free, {decimal(size_bytes)} are to be fetched: "
            "free some, or choose another working_dir or cache_dir"
        )


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """What the file system refuses is told in one line that names the folder."""
    try:
        yield
    except OSError as err:
        raise WorkingFolderError(f"can't write in {folder}: {err.strerror or err}") from err

"""
Copies of a root folder: consistent while others go on writing, and root folders themselves.

Databases are copied by SQLite's backup interface, each as of one moment. Order makes the whole consistent: catalogs
first, then the registry, so that an object that a copied row speaks of is in the copied registry. Content never
changes and is hard-linked where the disk is the same; what is new since is linked under the registry's write lock.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import apsw

from .database import connect
from .errors import RootError
from .registry import CatalogEntry
from .root import Root


def backup(root: Root, target: Path, *, link: bool = True) -> int:
    """
    Copy a root that may be in use into a folder that is not there yet.

    Args:
        link: hard-link content where possible; else always copy.

    Returns:
        The number of content files copied.

    Raises:
        RootError: the target is not empty, lies in the root, or cannot be written.
    """
    _require_empty(target)
    if target.absolute().is_relative_to(root.path):
        raise RootError(f"{target} lies inside the root folder {root.path}.")
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
        count = _copy(root, part, link=link)
        _put_in_place(part, target)
    except OSError as err:
        raise RootError(f"The backup {target} cannot be written: {err}.") from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return count


def restore(source: Path, target: Path) -> None:
    """
    Make a root folder from a backup.

    Raises:
        RootError: the source is no backup, the target is not empty, or cannot be written.
    """
    if not (source / "registry.db").is_file():
        raise RootError(f"{source} is no backup: it has no registry.db.")
    _require_empty(target)
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, ignore=shutil.ignore_patterns("host.lock"))
        part.chmod(0o700)
        _put_in_place(part, target)
    except (OSError, shutil.Error) as err:
        raise RootError(f"{target} cannot be restored from {source}: {err}.") from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RootError(f"{target} exists and is not empty: nothing is overwritten.")


def _put_in_place(part: Path, target: Path) -> None:
    """A copy gets its name only when it is whole."""
    _sync(part)
    with suppress(FileNotFoundError):
        target.rmdir()
    part.rename(target)


def _copy(root: Root, part: Path, *, link: bool) -> int:
    for name in ("catalogs", "objects", "uploads"):
        (part / name).mkdir()
    _copy_catalogs(root, root.registry.catalogs(), part)
    _copy_objects(root.objects, part / "objects", link=link)
    if root.read_only:
        _copy_database(root.path / "registry.db", part / "registry.db")
    else:
        with root.registry.writing():  # nobody adds or removes content or catalogs meanwhile
            _copy_catalogs(root, root.registry.catalogs(), part)
            _copy_objects(root.objects, part / "objects", link=link)
            _copy_database(root.path / "registry.db", part / "registry.db")
    return _tidy(part)


def _copy_catalogs(root: Root, entries: Iterable[CatalogEntry], part: Path) -> None:
    """Copy the catalogs that are not there yet."""
    for entry in entries:
        folder = part / "catalogs" / str(entry.number)
        for source in root.catalog_folder(entry).glob("*.db"):
            target = folder / source.name
            if not target.exists():
                folder.mkdir(exist_ok=True)
                _copy_database(source, target)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as of now; the copy is ours alone, so that it may lie where locks do not work."""
    with (
        closing(connect(source, read_only=True)) as reading,
        closing(_unlocked(target)) as writing,
        writing.backup("main", reading, "main") as copying,
    ):
        copying.step(-1)


def _unlocked(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path), vfs="unix-none")


def _copy_objects(source: Path, target: Path, *, link: bool) -> None:
    for folder in sorted(source.iterdir()):
        (target / folder.name).mkdir(exist_ok=True)
        for path in folder.iterdir():
            _copy_object(path, target / folder.name / path.name, link=link)


def _copy_object(path: Path, copy: Path, *, link: bool) -> None:
    if copy.exists():
        return
    with suppress(FileNotFoundError):  # deleted meanwhile: the registry, copied later, will not speak of it
        if link:
            with suppress(OSError):  # another disk, or one without links
                os.link(path, copy)
                return
        shutil.copy2(path, copy)


def _tidy(part: Path) -> int:
    """Drop from a copy the content that its registry does not speak of; returns how much is left."""
    database = connect(part / "registry.db")
    try:
        if not database.table_exists(None, "hatrac_version"):
            return 0
        database.execute("DELETE FROM hatrac_upload")  # unfinished uploads stay behind
        known = {row[0].hex() for row in database.execute("SELECT DISTINCT sha256 FROM hatrac_version")}
    finally:
        database.close()
    for path in (part / "objects").glob("*/*"):
        if path.parent.name + path.name not in known:
            path.unlink()
    return len(known)


def _sync(folder: Path) -> None:
    """Make a copy durable; hard-linked content is already."""
    for path in (*folder.rglob("*.db"), folder / "catalogs", folder / "objects", folder):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

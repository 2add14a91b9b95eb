"""What a cache folder holds, and making room in it. Nothing in a cache is lost by deleting it: it comes again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Files that are hard links to one object are counted once, as the disk counts them."""

    total_bytes: int
    file_count: int
    dir_count: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was deleted."""

    files_removed: int
    dirs_removed: int
    bytes_freed: int


@dataclass(frozen=True, slots=True)
class BagFolder:
    """
    One bag in a cache.

    Args:
        path: of the bag; size_bytes: of its files, most of which are links to cached objects.
        used: when it was last used.
    """

    dataset_rid: str
    path: Path
    size_bytes: int
    used: datetime


def cached_bags(cache_dir: Path) -> list[BagFolder]:
    """The bags in a cache, sorted by dataset and place."""
    found = (
        BagFolder(
            bag.name.removeprefix("Dataset_"),
            bag,
            cache_size(bag).total_bytes,
            datetime.fromtimestamp(bag.stat().st_mtime, UTC),
        )
        for bag in (cache_dir / "bags").glob("*/Dataset_*")
    )
    return sorted(found, key=lambda bag: (bag.dataset_rid, str(bag.path)))


def delete_bag(bag: BagFolder) -> int:
    """Remove a bag from its cache, which comes again when it is needed; the bytes that this frees."""
    freed = sum(file.stat().st_size for file in bag.path.rglob("*") if file.is_file() and file.stat().st_nlink == 1)
    shutil.rmtree(bag.path.parent, ignore_errors=True)
    return freed


def cached_objects(cache_dir: Path) -> CacheSize:
    """How much the objects of a cache take."""
    return cache_size(cache_dir / "objects")


def cache_size(cache_dir: Path) -> CacheSize:
    """How much a cache takes on disk."""
    sizes: dict[tuple[int, int], int] = {}
    files = folders = 0
    for path in cache_dir.rglob("*"):
        if path.is_dir():
            folders += 1
        elif path.is_file():
            stat = path.stat()
            files += 1
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return CacheSize(sum(sizes.values()), files, folders)


def clear_cache(cache_dir: Path, *, older_than_days: float | None = None) -> Cleared:
    """
    Delete bags and objects from a cache (those unused for so many days), never a lock: somebody may be waiting for it.

    An object is as old as its last link into a bag or an execution; a bag, as its last use (the time of its folder).
    """
    before = cache_size(cache_dir)
    limit = None if older_than_days is None else time.time() - older_than_days * _SECONDS_A_DAY
    for bag in (cache_dir / "bags").glob("*/Dataset_*"):
        if limit is None or bag.stat().st_mtime < limit:
            shutil.rmtree(bag.parent, ignore_errors=True)  # another process may be deleting it too
    if limit is None:
        shutil.rmtree(cache_dir / "bags", ignore_errors=True)
    for kept in _objects(cache_dir):
        stat = kept.stat()
        if limit is None or (stat.st_ctime < limit and stat.st_nlink == 1):
            kept.unlink(missing_ok=True)
    after = cache_size(cache_dir)
    return Cleared(
        before.file_count - after.file_count,
        before.dir_count - after.dir_count,
        before.total_bytes - after.total_bytes,
    )


def _objects(cache_dir: Path) -> Iterator[Path]:
    yield from (path for path in (cache_dir / "objects").glob("*/*") if path.is_file())

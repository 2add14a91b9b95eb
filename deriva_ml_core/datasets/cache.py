"""Bags on disk: exported once, verified before each use, shared by the executions and users of a machine.

    <cache folder>/bags/index/<key>.json            which bag a dataset at a version is
    <cache folder>/bags/<checksum>/Dataset_<RID>/   the bag
    <cache folder>/bags/partial/<key>/              a bag that is being made
    <cache folder>/objects/                         the files, by content (assets/cache.py); a bag has links to them
    <cache folder>/locks/                           who is at work on which key

The key says all that decides a bag's content: catalog, dataset, version, snapshot, excluded tables. A bag that has not
all its files (materialize=False) is the same bag; the files are added when somebody wants them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.cache import (
    ObjectCache,
    folder_errors,
    is_right,
    mark_verified,
    place,
)
from deriva_ml_core.assets.locks import file_lock
from deriva_ml_core.assets.progress import ProgressCallback
from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.export import export_payload
from deriva_ml_core.datasets.files import Failure, fetch_files
from deriva_ml_core.datasets.history import DatasetHistory, note_minid, read_dataset
from deriva_ml_core.datasets.layout import PayloadFile, read_payload, write_tags
from deriva_ml_core.errors import ChecksumMismatch, DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.specs import DatasetSpec
    from deriva_ml_core.datasets.stored_bags import BagStore

log = logging.getLogger(__name__)

_FORMAT = 3  # of what an export writes: a later one must not take an earlier one's bags for its own


@dataclass(frozen=True, slots=True)
class CachedBag:
    """A bag in the cache: where, which files are not there, all files that it fetches, and rows by "schema/Table"."""

    path: Path
    checksum: str
    missing: tuple[PayloadFile, ...]
    files: tuple[PayloadFile, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


def fetch_bag(
    session: CatalogSession,
    spec: DatasetSpec,
    cache_dir: Path,
    *,
    progress: ProgressCallback | None = None,
    entry: DatasetHistory | None = None,
    store: BagStore | None = None,
) -> DatasetBag:
    """
    A dataset at a version as a bag; made if it is not in the cache. Of several who ask at once, one makes it.

    A bag that is there is verified, and costs two requests (its version's row), or none where `entry` is given.

    Args:
        entry: the version, where the caller has looked it up.
        store: where to look before the catalog is asked for the bag, and where it is kept for others.

    Raises:
        DerivaMLDatasetNotFound: no such dataset or version.
        ChecksumMismatch, CatalogError, CatalogUnreachable: a file could not be had, or is not what its row says; each
            is named. The files that have come stay in the cache.
        WorkingFolderError: the cache can't be written, or has no room.
    """
    with session.client.timeouts(spec.timeout):
        version = entry or read_dataset(session, spec.rid, deleted=True).at(spec.version)
        return _Fetch(session, spec, version, cache_dir, progress=progress, store=store).run()


def find_bag(session: CatalogSession, spec: DatasetSpec, cache_dir: Path, entry: DatasetHistory) -> CachedBag | None:
    """The bag of a dataset at a version as the cache has it, verified; None where it has none. No request."""
    return _Fetch(session, spec, entry, cache_dir).find()


class _Fetch:
    def __init__(
        self,
        session: CatalogSession,
        spec: DatasetSpec,
        entry: DatasetHistory,
        cache_dir: Path,
        *,
        progress: ProgressCallback | None = None,
        store: BagStore | None = None,
    ) -> None:
        self._session, self._spec, self._entry, self._progress = session, spec, entry, progress
        self._store, self._brought = store, False
        self._cache_dir, self._bags = cache_dir, cache_dir / "bags"
        self._key = bag_key(session, spec, entry)

    def run(self) -> DatasetBag:
        found = self.find()
        if found is None or (self._spec.materialize and found.missing):
            with folder_errors(self._bags), file_lock(self._cache_dir / "locks" / f"bag-{self._key}.lock"):
                found = self.find() or self._bring() or self._make()
                if self._spec.materialize and found.missing:
                    self._materialize(found)
        with suppress(OSError):  # when it was last used, for who makes room; another user's bag keeps its own time
            os.utime(found.path)
        bag = DatasetBag(found.path, dataset_rid=self._entry.dataset_rid)
        if self._store is not None and not self._brought:
            self._keep(self._store, bag, whole=self._spec.materialize or not found.missing)
        return bag

    # --- what is there ---

    @property
    def _index_file(self) -> Path:
        return self._bags / "index" / f"{self._key}.json"

    def find(self) -> CachedBag | None:
        """The bag of this key, verified; None where it has to be made."""
        try:
            index = json.loads(self._index_file.read_text())
            checksum = str(index["checksum"])
            path = self._bags / checksum / f"Dataset_{self._entry.dataset_rid}"
            payload = read_payload(path, checksum)
        except (OSError, ValueError, KeyError, ChecksumMismatch):  # never made, or damaged: make it
            return None
        missing = [file for file in payload if not self._is_right(path, file)]
        if any(file.url is None for file in missing):
            log.warning("the bag %s is damaged: it is made again", path)
            return None
        remote = tuple(file for file in payload if file.url is not None)
        return CachedBag(path, checksum, tuple(missing), remote, index.get("rows", {}))

    @staticmethod
    def _is_right(folder: Path, file: PayloadFile) -> bool:
        return is_right(f"{folder}/{file.path}", file.md5, file.size_bytes if file.size_bytes >= 0 else None)

    # --- making ---

    def _make(self) -> CachedBag:
        assert self._entry.snapshot is not None
        folder = self._empty_folder()
        payload = export_payload(
            self._session.at(self._entry.snapshot),
            self._entry.dataset_rid,
            folder,
            exclude_tables=self._spec.exclude_tables or (),
            workers=self._spec.reachability_concurrency,
        )
        for warning in payload.warnings:
            log.warning("dataset %s: %s", self._spec, warning)
        checksum = write_tags(folder, payload.files, self._info())
        for file in payload.files:
            if file.url is None:
                mark_verified(folder / file.path)
        final = self._install(folder, checksum)
        self._write_index(checksum, payload.rows)
        log.info("dataset %s: %d rows, %d files", self._spec, sum(payload.rows.values()), len(payload.remote))
        remote = tuple(file for file in payload.remote if not self._is_right(final, file))
        return CachedBag(final, checksum, remote)

    def _empty_folder(self) -> Path:
        folder = self._bags / "partial" / self._key
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed: we hold the lock
        folder.mkdir(parents=True)
        return folder

    def _info(self) -> dict[str, str]:
        return {
            "External-Identifier": f"{self._entry.dataset_rid}@{self._entry.dataset_version}",
            "Internal-Sender-Identifier": (
                f"{self._session.hostname}/{self._session.catalog_id}@{self._entry.snapshot}"
            ),
            "Internal-Sender-Description": f"Dataset {self._entry.dataset_rid} of a Deriva catalog, by deriva-ml",
        }

    def _install(self, folder: Path, checksum: str) -> Path:
        """Put the finished bag in its place; where another key's process was first, its files are kept."""
        final = self._bags / checksum / f"Dataset_{self._entry.dataset_rid}"
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            for asset in sorted((final / "data").glob("assets*/**/*")):
                target = folder / asset.relative_to(final)
                if asset.is_file() and not target.exists():
                    place(asset, target)
            shutil.rmtree(final)
        folder.rename(final)
        return final

    def _write_index(self, checksum: str, rows: Mapping[str, int]) -> None:
        document: dict[str, Any] = {
            "checksum": checksum,
            "hostname": self._session.hostname,
            "catalog": self._session.catalog_id,
            "dataset": self._entry.dataset_rid,
            "version": str(self._entry.dataset_version),
            "snapshot": self._entry.snapshot,
            "exclude_tables": sorted(self._spec.exclude_tables or ()),
            "rows": dict(sorted(rows.items())),
        }
        self._index_file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._index_file.with_suffix(f".{os.getpid()}.new")
        beside.write_text(json.dumps(document, indent=1))
        beside.replace(self._index_file)

    # --- what others have stored ---

    def _bring(self) -> CachedBag | None:
        """The bag that is stored for others, verified; None where there is none, or none that can be used."""
        if self._store is None:
            return None
        folder = self._empty_folder()
        try:
            name, whole = f"Dataset_{self._entry.dataset_rid}", self._spec.materialize
            stored = self._store.get(self._key, name, folder, self._info(), whole=whole)
        except DerivaMLException as err:
            log.warning("dataset %s is exported from the catalog: %s", self._spec, err)
            return None
        if stored is None:
            return None
        self._install(folder, stored.checksum)
        self._write_index(stored.checksum, stored.rows)
        found = self.find()
        self._brought = found is not None and not (whole and found.missing)
        log.info("dataset %s: from %s", self._spec, stored.address)
        return found

    def _keep(self, store: BagStore, bag: DatasetBag, *, whole: bool) -> None:
        """Store the bag for others, under a MINID where one can be had; the bag is here whatever becomes of that."""
        rows = json.loads(self._index_file.read_text())["rows"]
        archive = store.put(bag, self._key, rows, whole=whole)
        if archive.minid is not None:
            log.info("the bag of %s is %s, at %s", self._spec, archive.minid, archive.address)
            return
        from deriva_ml_core.catalog.identifiers import register_minid

        try:
            title = f"Dataset {self._spec} of {self._session.hostname}, catalog {self._session.catalog_id}"
            minid = register_minid(archive.address, sha256=archive.sha256, size_bytes=archive.size_bytes, title=title)
        except DerivaMLException as err:
            log.warning("the bag of %s is stored at %s; it has no MINID: %s", self._spec, archive.address, err)
            return
        log.info("the bag of %s is %s, at %s", self._spec, minid, archive.address)
        store.note_minid(self._key, archive, minid)
        try:
            note_minid(self._session, self._entry, minid, self._key)
        except DerivaMLException as err:
            log.warning("the catalog does not know that the bag of %s is %s: %s", self._spec, minid, err)

    # --- files ---

    def _materialize(self, bag: CachedBag) -> None:
        """Bring the files that are not there; those that came stay, whatever happens to others."""
        objects, workers = ObjectCache(self._cache_dir), self._spec.fetch_concurrency
        failures = fetch_files(self._session, bag.path, bag.missing, objects, workers=workers, progress=self._progress)
        self._raise(bag, failures)

    def _raise(self, bag: CachedBag, errors: Sequence[Failure]) -> None:
        if not errors:
            return
        opened = DatasetBag(bag.path, dataset_rid=self._entry.dataset_rid)
        named = [f"{opened.owner_of(file.path)}: {error}" for file, error in errors[:5]]
        more = [f"and {len(errors) - 5} more"] if len(errors) > 5 else []
        first = errors[0][1]
        raise type(first)(
            f"dataset {self._spec}: {len(errors)} file(s) could not be had: {'; '.join([*named, *more])}"
        ) from first


def bag_key(session: CatalogSession, spec: DatasetSpec, entry: DatasetHistory) -> str:
    """All that decides what is in a bag, as a name."""
    decides = [
        _FORMAT,
        session.hostname,
        session.catalog_id,
        entry.dataset_rid,
        str(entry.dataset_version),
        entry.snapshot,
        sorted(spec.exclude_tables or ()),
    ]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]

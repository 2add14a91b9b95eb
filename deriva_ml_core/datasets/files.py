"""The files of a bag: from the cache, from a server in this process, or fetched in parallel; each verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache, place, require_space
from deriva_ml_core.assets.progress import ProgressCallback, ProgressMeter
from deriva_ml_core.assets.transfer import Outcome, batched, in_parallel, in_turn, one_ahead
from deriva_ml_core.catalog import objects
from deriva_ml_core.datasets.layout import PayloadFile
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

# A file that is on this disk already and no larger is sooner put in its place than given to another thread. So they go
# there in batches: to two threads, of which one hashes while the other waits for the file system.
_AT_ONCE_BYTES = 4 * 2**20
_BATCH_FILES, _NEAR_WORKERS = 64, 2
_BLOCK_FILES = 1000
_Job = tuple[PayloadFile, Path | None]  # a file, and where it lies on this disk
Failure = tuple[PayloadFile, DerivaMLException]


def fetch_files(
    session: CatalogSession,
    folder: Path,
    files: Sequence[PayloadFile],
    cache: ObjectCache,
    *,
    workers: int,
    progress: ProgressCallback | None = None,
) -> list[Failure]:
    """
    Put files into a bag; those that could not be had, with the reason. The others stay, whatever happens to these.

    Raises:
        WorkingFolderError: no room for all of them (said before the first is fetched), or no right to write.
    """
    return _Files(session, folder, files, cache, progress).run(workers)


class _Files:
    def __init__(
        self,
        session: CatalogSession,
        folder: Path,
        files: Sequence[PayloadFile],
        cache: ObjectCache,
        progress: ProgressCallback | None,
    ) -> None:
        self._session, self._folder, self._files, self._cache = session, folder, files, cache
        sizes = {folder / file.path: file.size_bytes for file in files} if progress else {}
        self._meter = ProgressMeter(progress, sizes)
        self._own = (session.base_url, f"https://{session.hostname}", f"http://{session.hostname}")

    def run(self, workers: int) -> list[Failure]:
        absent = [file for file in self._files if self._cache.find(file.md5, file.size_bytes) is None]
        require_space(self._cache.folder, sum({file.md5: file.size_bytes for file in absent}.values()))
        there = {file.path for file in absent}
        here: Iterable[_Job] = ((file, None) for file in self._files if file.path not in there)
        far: list[_Job] = []
        batches = batched(chain(here, self._near(absent, far)), _BATCH_FILES)
        done = in_parallel(batches, self._fetch_batch, workers=_NEAR_WORKERS, stop=self._meter.stop)
        at_once = [failure for batch in done for failure in batch.answer or ()]
        return at_once + _failures(in_parallel(far, self._fetch, workers=workers, stop=self._meter.stop))

    def _near(self, absent: Sequence[PayloadFile], far: list[_Job]) -> Iterator[_Job]:
        """What lies on this disk; `far` gets the rest. While a block is copied, the server is asked about the next."""
        for block in one_ahead(self._located(absent)):
            for file, near in block:
                if near is None or file.size_bytes > _AT_ONCE_BYTES:
                    far.append((file, near))
                else:
                    yield file, near

    def _located(self, absent: Sequence[PayloadFile]) -> Iterator[list[_Job]]:
        for start in range(0, len(absent), _BLOCK_FILES):
            block = absent[start : start + _BLOCK_FILES]
            urls = [self._own_url(file.url or "") for file in block]
            near = objects.near_files(self._session, urls)
            yield [(file, near.get(url)) for file, url in zip(block, urls, strict=True)]

    def _fetch_batch(self, batch: Sequence[_Job]) -> list[Failure]:
        return _failures(in_turn(batch, self._fetch))

    def _fetch(self, job: _Job) -> None:
        file, near = job
        target = self._folder / file.path
        source = self._cache.find(file.md5, file.size_bytes) or self._cache.fetch_alone(
            self._session,
            self._own_url(file.url or ""),
            file.md5,
            file.size_bytes,
            progress=lambda size: self._meter.advance(target, size, "Downloading"),
            near=near,
        )
        place(source, target)
        self._meter.finish(target)

    def _own_url(self, url: str) -> str:
        """The embedded catalog has another port each time: what fetch.txt says of this machine means this server."""
        host, slash, path = url.partition("/hatrac/")
        here = host in self._own or host.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:"))
        return slash + path if slash and here else url


def _failures(outcomes: Iterable[Outcome[_Job, None]]) -> list[Failure]:
    return [(one.job[0], one.error) for one in outcomes if one.error is not None]

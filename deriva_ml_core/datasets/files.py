"""The files of a bag: from the cache, from a server in this process, or fetched in parallel; each verified."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache, place, require_space
from deriva_ml_core.assets.progress import ProgressCallback, ProgressMeter
from deriva_ml_core.assets.transfer import in_parallel, in_turn
from deriva_ml_core.catalog import objects
from deriva_ml_core.datasets.layout import PayloadFile
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

# A file that is on this disk already and no larger is sooner put in its place than given to another thread.
_AT_ONCE_BYTES = 4 * 2**20
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
        self._meter = ProgressMeter(progress, {folder / file.path: file.size_bytes for file in files})
        self._own = (session.base_url, f"https://{session.hostname}", f"http://{session.hostname}")

    def run(self, workers: int) -> list[Failure]:
        absent = [file for file in self._files if self._cache.find(file.md5, file.size_bytes) is None]
        require_space(self._cache.folder, sum({file.md5: file.size_bytes for file in absent}.values()))
        urls = {file.path: self._own_url(file.url or "") for file in absent}
        near = objects.near_files(self._session, urls.values())
        far = [file for file in absent if urls[file.path] not in near]

        def fetch(file: PayloadFile) -> None:
            url = urls.get(file.path, "")
            self._fetch(file, url, near.get(url))

        elsewhere = {file.path for file in far} | {file.path for file in absent if file.size_bytes > _AT_ONCE_BYTES}
        here = in_turn((file for file in self._files if file.path not in elsewhere), fetch)
        there = in_parallel(
            (file for file in absent if file.path in elsewhere), fetch, workers=workers, stop=self._meter.stop
        )
        return [(one.job, one.error) for one in chain(here, there) if one.error is not None]

    def _fetch(self, file: PayloadFile, url: str, near: Path | None) -> None:
        target = self._folder / file.path
        source = self._cache.find(file.md5, file.size_bytes) or self._cache.fetch_alone(
            self._session,
            url or self._own_url(file.url or ""),
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

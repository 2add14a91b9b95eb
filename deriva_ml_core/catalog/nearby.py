"""
Objects of a server on this machine: copied from where it keeps them, without a request for each.

A request costs a millisecond, a small file's copy a tenth of that. It is a copy, not a link: what somebody does to
their file must never reach the server's. What can't be had this way is asked for by GET, which also says what is wrong.

Where they lie, a server in this process says by a call, and the embedded catalog's server in another process when it is
asked (local_catalog/near.py). Its word is no proof: it may run in a container, whose paths mean something else here. So
only a file whose checksum is right is taken, and only where the record has one.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deriva_ml_core.catalog import checksums
from deriva_ml_core.catalog.arriving import new_file, put_in_place, write_all
from deriva_ml_core.catalog.http import HttpClient, json_body
from deriva_ml_core.catalog.object_store import Progress
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import ChecksumMismatch

_BLOCK_BYTES = 2**20
_PATHS_A_REQUEST = 20_000
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe of that name must not keep us waiting


def near_files(session: CatalogSession, paths: Iterable[str]) -> Mapping[str, Path]:
    """
    Where these objects lie on this disk, as far as they do and as far as the server lets us read them.

    Args:
        paths: as of `get_file`, without a host.
    """
    wanted = list(paths)
    if session.object_files is None or not wanted:
        return {}
    return {path: file for path, file in zip(wanted, session.object_files(wanted), strict=True) if file is not None}


class ServedFiles:
    """
    Asks the embedded catalog's server, which is on this machine, where objects lie; an ObjectFiles.

    A server that does not say it (another one, an older one) is asked once.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client, self._says = client, True

    def __call__(self, paths: Sequence[str]) -> list[Path | None]:
        """For each its file, or None for one that has to be asked for by GET."""
        found: list[Path | None] = []
        for start in range(0, len(paths), _PATHS_A_REQUEST):
            found += self._ask(paths[start : start + _PATHS_A_REQUEST])
        return found

    def _ask(self, paths: Sequence[str]) -> list[Path | None]:
        if self._says:
            body, headers = json_body(list(paths)), {"Content-Type": "application/json"}
            answer = self._client.request("POST", "/near", body=body, headers=headers, accept=range(300, 500))
            if answer.status == 200 and len(files := json.loads(answer.data)) == len(paths):
                return [None if file is None else Path(file) for file in files]
            self._says = False
        return [None] * len(paths)


def copy_near(
    near: Path,
    dest: Path,
    md5: str | None,
    length: int | None,
    progress: Progress | None,
    *,
    parts: Path | None = None,
    seal: Callable[[int], object] | None = None,
) -> bool:
    """
    Copy an object to `dest`, which appears complete and checked, or not at all: then False.

    Args:
        md5: lower-case hex; without it nobody could tell whether this is the right file, so that it is not taken.
        parts, seal: as of `arriving.put_in_place`.

    Raises:
        OSError: `dest` can't be written.
    """
    if md5 is None:
        return False
    try:
        source = os.open(near, _READ)
    except OSError:  # deleted just now, or not for us
        return False
    try:
        with suppress(ChecksumMismatch):
            _copy(source, dest, md5, length, progress, parts, seal)
            return True
        return False
    finally:
        os.close(source)


def read_near(near: Path, md5: str, length: int) -> bytes | None:
    """The content of a small object, checked; None where the file is not it, or can't be read."""
    try:
        source = os.open(near, _READ)
    except OSError:  # deleted just now, or not for us
        return None
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            return None
        with open(source, "rb", closefd=False) as file:  # what was looked at, not its name again
            content = file.read(length + 1)
        return content if len(content) == length and checksums.md5(content).hexdigest() == md5 else None
    except OSError:
        return None
    finally:
        os.close(source)


def _copy(  # noqa: PLR0917  # copy_near's own
    source: int,
    dest: Path,
    md5: str,
    length: int | None,
    progress: Progress | None,
    parts: Path | None,
    seal: Callable[[int], object] | None,
) -> None:
    """
    Copy an open file.

    Raises:
        ChecksumMismatch: it is another file; nothing is left.
    """
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode) or length not in (None, status.st_size):
        raise ChecksumMismatch("no file of that length")
    if status.st_size <= _BLOCK_BYTES:
        content = os.read(source, status.st_size + 1)  # one byte more, to see that it has not grown
        if len(content) != status.st_size or checksums.md5(content).hexdigest() != md5:
            raise ChecksumMismatch("other content")
        if progress:
            progress(len(content))
        put_in_place(content, dest, parts, seal)
        return
    with new_file(dest, parts) as target:
        _copy_large(source, target, md5, progress)
        if seal:
            seal(target)


def _copy_large(source: int, target: int, md5: str, progress: Progress | None) -> None:
    """A block at a time, hashed on the way."""
    digest, size = checksums.md5(), 0
    while block := os.read(source, _BLOCK_BYTES):
        digest.update(block)
        size += len(block)
        write_all(target, block)
        if progress:
            progress(len(block))
    if digest.hexdigest() != md5:
        if progress:
            progress(-size)
        raise ChecksumMismatch("other content")

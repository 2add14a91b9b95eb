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
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deriva_ml_core.catalog import checksums
from deriva_ml_core.catalog.http import HttpClient, json_body
from deriva_ml_core.catalog.sending import Progress
from deriva_ml_core.catalog.session import CatalogSession

_BLOCK_BYTES = 2**20
_PATHS_A_REQUEST = 20_000
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe of that name must not keep us waiting
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


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
        parts: the folder of unfinished files, on the same file system; beside `dest` by default. A file system is
            several times as fast where many files are made in one folder.
        seal: called with the descriptor of the checked copy, before it gets its name.

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
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or length not in (None, status.st_size):
            return False
        copy = _Copy(source, status.st_size, md5, progress, seal)
        try:
            return copy.to(dest, parts or dest.parent)
        except FileNotFoundError:  # the first file to come into its folder
            dest.parent.mkdir(parents=True, exist_ok=True)
            (parts or dest.parent).mkdir(parents=True, exist_ok=True)
            os.lseek(source, 0, os.SEEK_SET)
            return copy.to(dest, parts or dest.parent)
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


@dataclass(frozen=True, slots=True)
class _Copy:
    """The content of an open file, on its way to where somebody wants it."""

    source: int
    size: int
    md5: str
    progress: Progress | None
    seal: Callable[[int], object] | None

    def to(self, dest: Path, parts: Path) -> bool:
        """Write it beside and rename it; False where it is not what it should be, and then nothing is left."""
        part = f"{parts}/.{secrets.token_hex(8)}.part"
        write = self._write_checked if self.size <= _BLOCK_BYTES else self._write_and_check
        try:
            if write(part):
                os.replace(part, dest)  # noqa: PTH105  # a Path for each of thousands is a third of the time
                return True
        except BaseException:  # Ctrl-C too: nothing may stay
            _remove(part)
            raise
        _remove(part)
        return False

    def _write_checked(self, part: str) -> bool:
        """A small file is checked before anything is written."""
        content = os.read(self.source, self.size + 1)  # one byte more, to see that it has not grown
        if len(content) != self.size or checksums.md5(content).hexdigest() != self.md5:
            return False
        target = os.open(part, _NEW, 0o644)
        try:
            _write_all(target, content)
            self._seal(target)
        finally:
            os.close(target)
        if self.progress:
            self.progress(self.size)
        return True

    def _write_and_check(self, part: str) -> bool:
        digest, size = checksums.md5(), 0
        target = os.open(part, _NEW, 0o644)
        try:
            while block := os.read(self.source, _BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                _write_all(target, block)
                if self.progress:
                    self.progress(len(block))
            right = digest.hexdigest() == self.md5 and size == self.size
            if right:
                self._seal(target)
        finally:
            os.close(target)
        if self.progress and not right:
            self.progress(-size)
        return right

    def _seal(self, target: int) -> None:
        if self.seal:
            self.seal(target)


def _write_all(target: int, block: bytes) -> None:
    """A write may be short."""
    left = memoryview(block)
    while left:
        left = left[os.write(target, left) :]


def _remove(part: str) -> None:
    with suppress(OSError):
        os.unlink(part)  # noqa: PTH108

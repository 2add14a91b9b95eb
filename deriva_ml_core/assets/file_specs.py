"""FileSpec: a file that is recorded and stays where it is, on this machine or behind a URL."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deriva_ml_core.assets.lines import read_lines
from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import DerivaMLValidationError, WorkingFolderError

FileTypes = Iterable[str] | Callable[[Path], Iterable[str]]
_SCHEME = re.compile("[a-z][a-z0-9+.-]+:", re.IGNORECASE)


class FileSpec(BaseModel):
    """
    One file as its row will say.

    Attributes:
        url: where it is; the path of a file of this machine becomes `file://HOST/PATH`.
        md5: lower-case hex.
        length: bytes.
        description: for its row.
        file_types: terms of Asset_Type.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    md5: str = Field(pattern="^[0-9a-f]{32}$")
    length: int = Field(ge=0)
    description: str = ""
    file_types: tuple[str, ...] = ()

    @field_validator("url")
    @classmethod
    def _with_scheme(cls, url: str) -> str:
        return url if _SCHEME.match(url) else local_url(absolute(Path(url)))

    @field_validator("md5", mode="before")
    @classmethod
    def _lower(cls, md5: Any) -> Any:
        return md5.lower() if isinstance(md5, str) else md5

    @property
    def path(self) -> PurePosixPath:
        """The path of its URL, unescaped."""
        return PurePosixPath(unquote(urlsplit(self.url).path))

    @classmethod
    def of_path(cls, path: Path, description: str = "", file_types: Iterable[str] = ()) -> FileSpec:
        """
        A file of this machine, hashed. Its URL carries the checksum: a path may hold other bytes tomorrow.

        Raises:
            DerivaMLValidationError: it is no file. WorkingFolderError: it can't be read.
        """
        path = absolute(path)
        if not path.is_file():
            raise DerivaMLValidationError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: give a file")
        try:
            md5, length = objects.file_md5(path), path.stat().st_size
        except OSError as err:
            raise WorkingFolderError(f"can't read {path}: {err.strerror}") from err
        url = f"{local_url(path)}#md5={md5}"
        return cls(url=url, md5=md5, length=length, description=description, file_types=tuple(file_types))

    @classmethod
    def create_filespecs(
        cls, path: Path | str, description: str = "", file_types: FileTypes | None = None
    ) -> Iterator[FileSpec]:
        """
        A file, or all files below a folder, sorted by path.

        Args:
            file_types: terms of Asset_Type for all of them, or a function that is asked for each file's.

        Raises:
            DerivaMLValidationError: there is no such file or folder.
        """
        top = absolute(Path(path))
        files = sorted(file for file in top.rglob("*") if file.is_file()) if top.is_dir() else [top]
        for file in files:
            yield cls.of_path(file, description, (file_types(file) if callable(file_types) else file_types) or ())

    @classmethod
    def read_filespec(cls, path: Path | str) -> Iterator[FileSpec]:
        """
        The files of a list: one JSON object a line, with the names of the attributes.

        Raises:
            DerivaMLValidationError: there is no such list, or a line of it is none.
        """
        if not Path(path).is_file():
            raise DerivaMLValidationError(f"there is no list of files {path}")
        for number, line in enumerate(read_lines(Path(path)), start=1):
            try:
                yield cls.model_validate(line)
            except ValueError as err:
                raise DerivaMLValidationError(f"{path}, file {number}: {err}") from err


def absolute(path: Path) -> Path:
    """The path from the root; a link keeps its own name."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100


def local_url(path: Path) -> str:
    """Where a file of this machine is."""
    return f"file://{socket.gethostname()}{quote(str(path))}"

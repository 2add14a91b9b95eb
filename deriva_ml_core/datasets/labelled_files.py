"""
A folder of files and a CSV of what is said about them, read and checked before anything is written to a catalog.

Each row of the CSV names one file: by its path in the folder, by its name, or by its name without suffix, whichever
names one file only. The other columns are its labels; their types are those that all values of a column have.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deriva_ml_core.assets.names import check_file_name, shown
from deriva_ml_core.assets.tables import SYSTEM_COLUMNS
from deriva_ml_core.catalog.checksums import file_md5
from deriva_ml_core.errors import DerivaMLValidationError, nearest

FILE_COLUMNS = ("file", "filename", "file_name", "path", "file_path", "filepath", "image", "image_path", "name", "id")
DESCRIPTION = "Description"
_RESERVED = SYSTEM_COLUMNS | {"URL", "Filename", "Length", "MD5"}
_NULL = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """One file of the folder; `labels` has only the columns that say something about it."""

    path: Path
    relative: str
    md5: str
    size_bytes: int
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the catalog."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """
    What is to be loaded.

    Attributes:
        columns: label column -> ERMrest type. problems: one line for each thing that is wrong, with row or file.
        duplicates: files that are the same as another one, name and content: they are one asset.
    """

    files: Sequence[LabelledFile]
    columns: Mapping[str, str]
    problems: Sequence[str] = ()
    duplicates: int = 0

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


def read_labelled_files(
    folder: Path,
    labels: Path | None = None,
    *,
    file_column: str | None = None,
    pattern: str = "*",
    folder_label: str | None = None,
    follow_links: bool = False,
    hashed: Callable[[Path], None] = lambda _: None,
) -> LabelledFiles:
    """
    Read a folder and its labels.

    Args:
        labels: a CSV (or TSV) file; None: there are none.
        file_column: the column that names the file; found by its name where None, else the first.
        pattern: of the names of the files to take, such as "*.png". Hidden files are never taken.
        follow_links: take files outside of the folder that symbolic links lead to; without it, each is a problem, as
            are links to folders, which are never followed.
        folder_label: makes the name of each file's folder a label of this name.
        hashed: told of each file when its checksum is known.

    Raises:
        DerivaMLValidationError: folder or CSV can't be read. What is wrong with single files is in `problems`.
    """
    problems: list[str] = []
    paths = _paths(folder, pattern, labels, problems, follow_links=follow_links)
    table = None if labels is None else _Table.read(labels, file_column)
    rows = {} if table is None else _match(table, folder, paths, problems)
    if folder_label is not None:
        for path in paths:
            inside = path.parent.relative_to(folder).as_posix()
            rows.setdefault(path, {})[folder_label] = "" if inside == "." else inside
    names = [*([] if table is None else table.columns), *([folder_label] if folder_label else [])]
    problems += _column_problems(names)
    types = {name: _type_of([row.get(name, "") for row in rows.values()]) for name in names}
    found: dict[tuple[str, str], LabelledFile] = {}
    count = 0
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        faults = list(_name_problems(path.name, relative))
        if table is not None and path not in rows:
            faults.append(f"{shown(relative)} has no row in {labels}")
        problems += faults
        if faults:
            continue
        try:
            file = _file(path, relative, rows.get(path, {}), types)
        except OSError as err:
            problems.append(f"{shown(relative)} can't be read: {err.strerror}")
            continue
        hashed(path)
        count += 1
        same = found.setdefault((file.md5, file.name), file)
        if same.labels != file.labels:
            problems.append(f"{shown(relative)} is the same file as {shown(same.relative)}, with other labels")
    return LabelledFiles(list(found.values()), types, tuple(problems), count - len(found))


# --- inside ---


def _paths(folder: Path, pattern: str, labels: Path | None, problems: list[str], *, follow_links: bool) -> list[Path]:
    """The files of the folder; a link that can't be taken is a problem, for it would be missed or bring a stranger."""
    if not folder.is_dir():
        raise DerivaMLValidationError(f"{folder} is {'a file' if folder.exists() else 'not there'}: give a folder")
    own = labels.resolve() if labels is not None else None
    root = folder.resolve()
    found = []
    folder_links = (path for path in folder.rglob("*") if path.is_symlink() and path.is_dir())
    for path in sorted({*folder.rglob(pattern), *folder_links}):
        relative = path.relative_to(folder)
        target = path.resolve()
        if any(part.startswith(".") for part in relative.parts) or target == own:
            continue
        if path.is_symlink() and not path.is_file():
            what = "a folder, which is not followed" if path.is_dir() else "nothing"
            problems.append(f"{shown(relative.as_posix())} is a link to {what} ({shown(str(path.readlink()))})")
        elif not target.is_relative_to(root) and not follow_links:
            problems.append(
                f"{shown(relative.as_posix())} leads out of the folder, to {shown(str(target))}: "
                "--follow-links (follow_links=True) takes it"
            )
        elif path.is_file():
            found.append(path)
    if not found and not problems:
        raise DerivaMLValidationError(f"{folder} has no files that are called like {pattern!r}")
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """A CSV: line number, file, and labels of each row."""

    path: Path
    columns: Sequence[str]
    rows: Sequence[tuple[int, str, dict[str, str]]]

    @classmethod
    def read(cls, path: Path, file_column: str | None) -> _Table:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                header = file.readline()
                file.seek(0)
                reader = csv.reader(file, delimiter=_delimiter(header))
                names = [name.strip() for name in next(reader, [])]
                lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except (OSError, UnicodeDecodeError, csv.Error) as err:
            reason = err.strerror if isinstance(err, OSError) else f"it is no CSV in UTF-8 ({err})"
            raise DerivaMLValidationError(f"can't read {path}: {reason}") from err
        if not names or not lines:
            raise DerivaMLValidationError(f"{path} is empty: it needs a header and a row for each file")
        if wrong := [number for number, cells in lines if len(cells) != len(names)]:
            raise DerivaMLValidationError(f"{path}, line {wrong[0]}: other columns than the header's {len(names)}")
        if len(set(names)) != len(names):
            raise DerivaMLValidationError(f"{path}: two columns have the same name ({', '.join(names)})")
        own = _file_column(path, names, file_column)
        rows = [(number, dict(zip(names, cells, strict=True))) for number, cells in lines]
        return cls(path, [n for n in names if n != own], [(number, row.pop(own).strip(), row) for number, row in rows])


def _delimiter(header: str) -> str:
    return max(",\t;", key=header.count)


def _file_column(path: Path, names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None and wanted not in names:
        raise DerivaMLValidationError(
            f"{path} has no column {wanted!r}{nearest(wanted, names)}; it has {', '.join(names)}"
        )
    lower = {name.lower(): name for name in reversed(names)}
    return wanted or next((lower[name] for name in FILE_COLUMNS if name in lower), names[0])


def _match(table: _Table, folder: Path, paths: Sequence[Path], problems: list[str]) -> dict[Path, dict[str, str]]:
    """The row of each file; rows without a file, and second rows of a file, are problems."""
    by_name = _Names(folder, paths)
    found: dict[Path, dict[str, str]] = {}
    lines: dict[Path, int] = {}
    for number, name, row in table.rows:
        path = by_name.find(name)
        if isinstance(path, str):
            problems.append(f"{table.path}, line {number}: {path}")
        elif path in found:
            problems.append(f"{table.path}, line {number}: {shown(name)} has a row already, line {lines[path]}")
        else:
            found[path], lines[path] = row, number
    return found


class _Names:
    """Files by path in the folder, by name, by name without suffix."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self._ways: list[dict[str, list[Path]]] = [{}, {}, {}]
        for path in paths:
            for way, name in zip(self._ways, (path.relative_to(folder).as_posix(), path.name, path.stem), strict=True):
                way.setdefault(name, []).append(path)

    def find(self, name: str) -> Path | str:
        """The file, or what is wrong with the name."""
        wanted = name.removeprefix("./")
        for way in self._ways:
            several = way.get(wanted, [])
            if len(several) == 1:
                return several[0]
            if several:
                return f"{shown(name)} names {len(several)} files of the folder: give their path in it"
        known = self._ways[0] if len(self._ways[0]) <= 1000 else {}  # comparing with all would take minutes
        return f"no file {shown(name)} in the folder{nearest(wanted, known)}"


def _column_problems(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in _RESERVED:
            yield f"column {name} is filled by deriva-ml: rename it"
        elif not re.fullmatch(r"[^\W\d][\w .-]*", name) or len(name.encode()) > 63:
            yield f"column {shown(name)} can't be a column of a table: begin with a letter, then letters, digits, _ . -"
    if len(set(names)) != len(names):
        yield "the label of the folder has the name of a column: choose another"


def _name_problems(name: str, relative: str) -> Iterator[str]:
    try:
        check_file_name(name)
    except DerivaMLValidationError as err:
        yield str(err) if name == relative else f"{shown(relative)}: {err}"


def _file(path: Path, relative: str, row: Mapping[str, str], types: Mapping[str, str]) -> LabelledFile:
    labels = {name: _value(text, types[name]) for name, text in row.items()}
    said = {name: value for name, value in labels.items() if value is not None}
    return LabelledFile(path, relative, file_md5(path), path.stat().st_size, said)


def _type_of(texts: Sequence[str]) -> str:
    """The narrowest type that all values of a column have. Numbers with leading zeros are codes, and stay text."""
    values = [text.strip() for text in texts if text.strip().lower() not in _NULL]
    for name, pattern in (
        ("int8", r"[+-]?(0|[1-9]\d{0,17})"),
        ("float8", r"[+-]?(0|[1-9]\d*)?(\.\d*)?(?<=[\d.])([eE][+-]?\d+)?"),
        ("boolean", r"(?i:true|false)"),
    ):
        if values and all(re.fullmatch(pattern, value) and value != "." for value in values):
            return name
    return "text"


def _value(text: str, kind: str) -> Any:
    text = text.strip()
    if text.lower() in _NULL and (kind != "text" or not text):
        return None
    readers: Mapping[str, Callable[[str], Any]] = {
        "int8": int,
        "float8": float,
        "boolean": lambda value: value.lower() == "true",
    }
    return readers.get(kind, str)(text)

"""The uncommitted changes of a work tree, as a patch that `git apply` takes.

With the commit that the record names, `git checkout COMMIT && git apply FILE` gives back the code that ran.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .git import GitUnavailable, git
from .provenance import ALWAYS_IGNORED

CAP_BYTES = 2_000_000
BIG_FILE_BYTES = 10_000_000
UNTRACKED_FILE_CAP_BYTES = 256_000  # above this an untracked file is data, not source
_UNTRACKED_FILES_CAP = 1000
_SECTION = b"diff --git "
_SUBMODULE = re.compile(rb"^\+Subproject commit ([0-9a-f]+)$", re.MULTILINE)
_NO_TEXT = ("binary or very big", "a submodule")


@dataclass(frozen=True, slots=True)
class Diff:
    """
    Args:
        text: the patch; "" where nothing changed. Not yet redacted: run it through executions.redaction.
        truncated: something was left out for its size.
        paths: changed files that the patch holds.
        left_out: changed files that it only names, each with the reason (binary, too big).
    """

    text: str = ""
    truncated: bool = False
    paths: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def uncommitted_diff(git_root: Path, cap_bytes: int = CAP_BYTES, *, ignored: Collection[str] = ALWAYS_IGNORED) -> Diff:
    """
    Changes of tracked files against HEAD, and untracked source files.

    Args:
        git_root: top folder of a work tree.
        cap_bytes: the patch is at most about so long; whole files are left out, never parts of one.
        ignored: path prefixes of results, which are no code.

    Returns:
        Binary and oversized files are only named. An empty Diff where git can't answer.
    """
    try:
        untracked, oversized = _untracked_sources(git_root, tuple(ignored))
        sections = _sections(_patch(git_root, untracked))
    except (GitUnavailable, OSError):
        return Diff()
    return _assemble(sections, cap_bytes, tuple(ignored), oversized)


def _untracked_sources(root: Path, ignored: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str]]]:
    listing = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    names = [name for name in os.fsdecode(listing).split("\0") if name and not name.startswith(ignored)]
    small: list[str] = []
    left_out: list[tuple[str, str]] = []
    for name in names:
        path = root / name
        if name.endswith("/"):
            left_out.append((name, "a repository of its own"))
        elif len(small) >= _UNTRACKED_FILES_CAP:
            left_out.append((name, f"more than {_UNTRACKED_FILES_CAP} untracked files"))
        elif not path.is_symlink() and path.stat().st_size > UNTRACKED_FILE_CAP_BYTES:
            left_out.append((name, f"{path.stat().st_size} bytes"))
        else:
            small.append(name)
    return small, left_out


def _patch(root: Path, untracked: list[str]) -> bytes:
    """The diff against HEAD with untracked files as new ones.

    Git writes it all: they are declared to a copy of the index ("intent to add"), with a throw-away object folder,
    so that the repository stays as it is, even a read-only one.
    """
    index, objects = _two_paths(git(root, "rev-parse", "--git-path", "index", "--git-path", "objects"), root)
    with tempfile.TemporaryDirectory(prefix="deriva-ml-diff-") as scratch:
        copy = Path(scratch, "index")
        if index.exists():
            shutil.copy2(index, copy)  # with its time, by which git knows the entries that it must not trust unread
        environment = {
            "GIT_INDEX_FILE": str(copy),
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(objects),
        }
        if untracked:
            names = b"\0".join(os.fsencode(name) for name in untracked)
            literal = ("--literal-pathspecs", "add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            git(root, *literal, stdin=names, **environment)
        return git(root, *_DIFF, _base(root), "--", stdin=b"", **environment)


_DIFF = (
    "-c",
    "core.quotePath=true",
    "-c",
    "diff.noprefix=false",
    "-c",
    "diff.mnemonicPrefix=false",
    "-c",
    f"core.bigFileThreshold={BIG_FILE_BYTES}",  # a bigger one is not read into a patch that would be left out anyway
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-renames",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--unified=3",
    "--inter-hunk-context=0",
    "--diff-algorithm=myers",
)


def _base(root: Path) -> str:
    """HEAD, or the empty tree in a repository without commits."""
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
    except GitUnavailable:
        return git(root, "hash-object", "-t", "tree", os.devnull).decode().strip()


def _two_paths(output: bytes, root: Path) -> tuple[Path, Path]:
    first, second = (Path(root, line) for line in os.fsdecode(output).splitlines())
    return first, second


def _quoted(path: Path) -> str:
    """One entry of GIT_ALTERNATE_OBJECT_DIRECTORIES: colons separate, double quotes escape (git(1))."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sections(patch: bytes) -> list[bytes]:
    """One section a file. Every line of content has a marker before it, so that only a header starts so."""
    starts = patch.split(b"\n" + _SECTION) if patch else []
    return [(part if number == 0 else _SECTION + part).rstrip(b"\n") + b"\n" for number, part in enumerate(starts)]


def _assemble(sections: list[bytes], cap: int, ignored: tuple[str, ...], oversized: list[tuple[str, str]]) -> Diff:
    kept, paths, left_out, used = [], [], list(oversized), 0
    for section in sections:
        path = _path(section)
        if path.startswith(ignored):
            continue
        if reason := _unfit(section) or (f"a change of {len(section)} bytes" if used + len(section) > cap else ""):
            left_out.append((path, reason))
        else:
            kept.append(section)
            paths.append(path)
            used += len(section)
    truncated = any(not reason.startswith(_NO_TEXT) for _, reason in left_out)
    return Diff(b"".join(kept).decode("utf-8"), truncated, tuple(paths), tuple(left_out))


def _unfit(section: bytes) -> str:
    """Why a change can't be told by a text patch, or ""."""
    if moved := _SUBMODULE.search(section):
        return f"{_NO_TEXT[1]}, now at commit {moved[1].decode()}"
    return _NO_TEXT[0] if b"\nBinary files " in section or not _is_text(section) else ""


def _is_text(section: bytes) -> bool:
    try:
        section.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _path(section: bytes) -> str:
    """The changed file of a section. Without renames both names of its first line are the same."""
    names = section.split(b"\n", 1)[0].removeprefix(_SECTION)
    half = names[: len(names) // 2]
    if half.startswith(b'"'):
        return os.fsdecode(half.strip(b'"').decode("unicode_escape").encode("latin-1"))[2:]
    return os.fsdecode(half)[2:]

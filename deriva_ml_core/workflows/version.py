"""The version of a project, as setuptools-scm would say it, without its import and its subprocesses.

setuptools-scm costs 0.4 s a run; the same answer follows from `git describe`, which is asked anyway. The rule is its
default (guess-next-dev, node-and-date); a test compares the two. Projects with another scheme in their pyproject.toml
get this plain form in the record: the commit is in it, whatever the scheme.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from packaging.version import InvalidVersion, Version

_DESCRIBED = re.compile(r"^(?P<tag>.+)-(?P<distance>\d+)-g(?P<node>[0-9a-f]+)$")
_TAG = re.compile(r"^(?:[\w-]+-)?(?P<version>[vV]?\d+(?:\.\d+){0,2}[^+]*)(?:\+.*)?$")
_NODE_LENGTH = 9


def version_from_git(described: str, *, commit: str, commits: int, dirty: bool) -> str:
    """
    A PEP 440 version.

    Args:
        described: `git describe --tags --long --abbrev=40`, or "" where no tag is reachable.
        commit: HEAD in full, or "" without commits.
        commits: how many commits HEAD has; asked for only where no tag is reachable.
        dirty: there are uncommitted changes to tracked files.
    """
    tag, distance = _nearest_tag(described)
    if tag is not None and distance == 0 and not dirty:
        return tag
    base = _next(tag) if tag is not None else "0.1"
    node = f"g{commit[:_NODE_LENGTH]}" if commit else ""
    date = f"d{datetime.now(tz=UTC):%Y%m%d}" if dirty or not commit else ""
    local = ".".join(part for part in (node, date) if part)
    return f"{base}.dev{distance if tag is not None else commits}+{local}"


def _nearest_tag(described: str) -> tuple[str | None, int]:

    match = _DESCRIBED.match(described)
    named = _TAG.match(match["tag"]) if match else None
    if match is None or named is None:
        return None, 0
    try:
        return str(Version(named["version"])), int(match["distance"])
    except InvalidVersion:
        return None, 0


def _next(tag: str) -> str:
    """The version that comes after a tag: its last number plus one (1.2.3 -> 1.2.4, 1.0rc1 -> 1.0rc2)."""
    head, number = re.fullmatch(r"(.*?)(\d+)", re.sub(r"\.dev\d+$", "", tag)).groups()  # type: ignore[union-attr]  # a Version's text ends in a number
    return f"{head}{int(number) + 1}"

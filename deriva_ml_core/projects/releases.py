"""
Versions of a project, as tags of its repository: `bump-version`.

The version is the highest tag PREFIX + MAJOR.MINOR.PATCH that the present commit descends from. A version that
pyproject.toml says in so many words goes along, if it is the same; one that is taken from the tags needs nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, DerivaMLValidationError
from deriva_ml_core.projects.tools import ToolFailed, find_git, require_uv, run

Part = Literal["major", "minor", "patch"]
PARTS: tuple[Part, ...] = ("patch", "minor", "major")
DEFAULT_START, DEFAULT_PREFIX = "0.1.0", "v"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_LOCK = "uv.lock"


class NoCommits(DerivaMLException):
    """A repository without a commit has nothing to tag."""


@dataclass(frozen=True, slots=True)
class Version:
    """MAJOR.MINOR.PATCH."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """None where the text is none."""
        found = _VERSION.fullmatch(text)
        return cls(*map(int, found.groups())) if found else None

    def bumped(self, part: Part) -> Version:
        """The next one."""
        if part == "major":
            return Version(self.major + 1, 0, 0)
        if part == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)

    @property
    def key(self) -> tuple[int, int, int]:
        """By which versions are sorted."""
        return self.major, self.minor, self.patch

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def bump_version(
    folder: Path,
    part: Part = "patch",
    *,
    start: str = DEFAULT_START,
    prefix: str = DEFAULT_PREFIX,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """
    Tag the present commit with the next version, and push it.

    A uv.lock that is the only change is committed first. Without a remote the tag stays here.

    Args:
        start: the version of the first tag.
        say: hears of what else a person should know.

    Returns:
        The new tag.

    Raises:
        DerivaMLConfigurationError: no repository, no git, or a `start` that is no version.
        DerivaMLValidationError: changes that are not committed, or a detached HEAD; nothing has been written.
        NoCommits: there is nothing to tag.
        ToolFailed: git refused to push; the tag is there, and `git push --follow-tags` will do.
    """
    first = Version.parse(start)
    if first is None:
        raise DerivaMLConfigurationError(f"START is {start!r}, and a version is MAJOR.MINOR.PATCH, such as 0.1.0")
    repository = _Repository.around(folder)
    repository.require_commits()
    changes = repository.require_clean()
    remote = repository.remote()
    if remote:
        repository.fetch_tags(remote, say)
    current = repository.latest(prefix)
    new = first if current is None else current.bumped(part)
    if f"{prefix}{new}" in repository.tags():
        raise DerivaMLValidationError(
            f"the tag {prefix}{new} is there already, on another line of commits: merge it, or choose another part"
        )
    if changes:
        repository.commit([_LOCK], f"Update {_LOCK}")
    if current is not None:
        _write_version(repository, current, new)
    tag = f"{prefix}{new}"
    repository.git("tag", "--annotate", tag, "--message", f"Version {new}")
    if remote:
        repository.push(remote, tag)
    else:
        say(f"this repository has no remote: {tag} stays here")
    return tag


class _Repository:
    """git, asked and told in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def around(cls, folder: Path) -> _Repository:
        try:
            root = run([find_git(), "rev-parse", "--show-toplevel"], folder, quiet=True).strip()
        except ToolFailed:
            raise DerivaMLConfigurationError(
                f"{folder} is in no git repository, and a version is a tag of one: `git init` makes one"
            ) from None
        return cls(Path(root))

    def git(self, *arguments: str) -> str:
        """Its standard output."""
        return run([find_git(), *arguments], self.root, quiet=True)

    def require_commits(self) -> None:
        try:
            self.git("rev-parse", "--verify", "--quiet", "HEAD")
        except ToolFailed:
            raise NoCommits("the repository has no commits yet: commit first, then give it a version") from None

    def require_clean(self) -> list[str]:
        """The changed files: none, or uv.lock alone, which `uv run` writes by itself."""
        lines = self.git("status", "--porcelain", "--untracked-files=all").splitlines()
        changed = [line[3:] for line in lines]
        if changed and changed != [_LOCK]:
            shown = ", ".join(changed[:5]) + (f", … ({len(changed)} files)" if len(changed) > 5 else "")
            raise DerivaMLValidationError(f"not everything is committed: {shown}; commit first, then bump the version")
        return changed

    def remote(self) -> str | None:
        """The one that the branch follows; else origin, or the only one."""
        branch = self.git("branch", "--show-current").strip()
        remotes = self.git("remote").split()
        if remotes and not branch:
            raise DerivaMLValidationError("HEAD is detached: switch to a branch first, so that it can be pushed")
        followed = self._configured(f"branch.{branch}.remote")
        if followed in remotes:
            return followed
        return "origin" if "origin" in remotes else next(iter(remotes), None)

    def _configured(self, name: str) -> str:
        try:
            return self.git("config", "--get", name).strip()
        except ToolFailed:
            return ""

    def fetch_tags(self, remote: str, say: Callable[[str], None]) -> None:
        try:
            self.git("fetch", "--quiet", "--tags", remote)
        except ToolFailed as err:
            say(f"the tags of {remote} were not looked at ({err})")

    def tags(self, *conditions: str) -> list[str]:
        """All tags, or those that fulfill a condition of `git tag`."""
        return self.git("tag", "--list", *conditions).split()

    def latest(self, prefix: str) -> Version | None:
        """The highest version that the present commit descends from."""
        merged = (tag for tag in self.tags("--merged", "HEAD") if tag.startswith(prefix))
        versions = [version for tag in merged if (version := Version.parse(tag.removeprefix(prefix)))]
        return max(versions, key=lambda version: version.key, default=None)

    def commit(self, paths: list[str], message: str) -> None:
        self.git("add", "--", *paths)
        self.git("commit", "--quiet", "--message", message, "--", *paths)

    def push(self, remote: str, tag: str) -> None:
        branch = self.git("branch", "--show-current").strip()
        self.git("push", "--quiet", "--atomic", remote, f"HEAD:refs/heads/{branch}", f"refs/tags/{tag}")


def _write_version(repository: _Repository, current: Version, new: Version) -> None:
    """The version that pyproject.toml says, and uv.lock with it; one that it does not say needs nothing."""
    path = repository.root / "pyproject.toml"
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}).get("version")
    except (OSError, ValueError):
        return
    if said != str(current):
        return
    uv = require_uv()
    try:
        run([uv, "version", str(new), "--no-sync"], repository.root, quiet=True)
    except ToolFailed:  # the registry can't be reached: the lock is brought up to date by the next `uv lock`
        run([uv, "version", str(new), "--frozen"], repository.root, quiet=True)
    changed = [line[3:] for line in repository.git("status", "--porcelain", "--untracked-files=no").splitlines()]
    repository.commit(changed, f"Version {new}")

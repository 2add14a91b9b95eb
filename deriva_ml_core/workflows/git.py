"""What git says about one source file, asked in one burst of subprocesses.

Start-up time is a promise of ours, and every git process costs some milliseconds: all questions are asked at once and
answered in parallel. Git is always run so that it takes no lock, asks nothing, and looks at the repository in which
the file lies, whatever GIT_DIR says.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60.0  # `git status` of a big tree on a slow network file system
# A hook or a wrapper may export these; they would point us at another repository.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
_STATUS = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all")
_REMOTES = ("config", "--get-regexp", r"^remote\..*\.url$")
_SCP_REMOTE = re.compile(r"^(?:[^@/]+@)?(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<path>(?!//).+)$")
_URL_REMOTE = re.compile(
    r"^(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^@/]*@)?(?P<host>\[[^\]]+\]|[^:/]+)(?P<port>:\d+)?/(?P<path>.+)$"
)


class GitUnavailable(Exception):  # noqa: N818 - it is a state of the machine, never an error that a user sees
    """Git can't answer; the text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class GitFacts:
    """One source file as its repository sees it.

    Args:
        root: the work tree's top folder (of the submodule, where the file is in one).
        path: the file's path below root, with slashes.
        commit: HEAD, or "" in a repository without commits.
        branch: "" where HEAD is detached.
        blob: git's object name for the file's present content.
        tracked: the file is in the index.
        ignored: the file is untracked and git ignores it (an installed package, for instance).
        last_commit: the last commit up to HEAD that touched the file, or "".
        modified: tracked paths with uncommitted changes, with slashes; a rename counts as its destination.
        untracked: paths that git neither tracks nor ignores.
        remote: https URL of the remote without credentials and .git, or "".
        described: output of `git describe --tags --long`, or "".
        superproject: the repository whose submodule this is, or None.
        shallow: the clone has no full history.
        pushed: False where no remote-tracking branch contains HEAD.
    """

    root: Path
    path: str
    commit: str
    branch: str
    blob: str
    tracked: bool
    ignored: bool
    last_commit: str
    modified: tuple[str, ...]
    untracked: tuple[str, ...]
    remote: str
    described: str
    superproject: Path | None
    shallow: bool
    pushed: bool


def git_environment(**extra: str) -> dict[str, str]:
    """The environment in which we run git: no locks, no prompts, English, the file's own repository."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **extra}


def git(folder: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> bytes:
    """Run one git command in a folder.

    Returns:
        Its standard output.

    Raises:
        GitUnavailable: no git, or it refused; the text is git's own.
    """
    try:
        done = subprocess.run(
            [_executable(), *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            env=git_environment(**environment),
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise GitUnavailable(f"git could not be run: {err}") from err
    if done.returncode:
        raise GitUnavailable(_first_line(done.stderr))
    return done.stdout


def ask_git(file: Path) -> GitFacts:
    """Everything that git knows about a file.

    Args:
        file: an existing file; symbolic links are followed first.

    Raises:
        GitUnavailable: no git, no repository, or git refuses (an owner that it distrusts).
    """
    file = file.resolve()
    answers = _burst(
        file.parent,
        {
            "where": ("rev-parse", "--is-shallow-repository", "--show-toplevel", "--show-prefix"),
            "super": ("rev-parse", "--show-superproject-working-tree"),
            "status": _STATUS,
            "remotes": _REMOTES,
            "tracked": ("ls-files", "-z", "--", file.name),
            "ignored": ("check-ignore", "-q", "--", file.name),
            "blob": ("hash-object", "--", file.name),
            "last": ("log", "-1", "--format=%H", "--", file.name),
            "described": ("describe", "--tags", "--long", "--abbrev=40", "--match", "*[0-9]*"),
            "pushed": ("for-each-ref", "--count=1", "--contains", "HEAD", "--format=%(refname)", "refs/remotes"),
        },
    )
    if answers["where"].code:
        raise GitUnavailable(answers["where"].error)
    shallow, root, prefix = [*answers["where"].text.split("\n"), "", ""][:3]
    status = Status.parse(answers["status"].text)
    superproject = answers["super"].text.strip("\n")
    return GitFacts(
        root=Path(root),
        path=prefix + file.name,
        commit=status.commit,
        branch=status.branch,
        blob=answers["blob"].text.strip(),
        tracked=bool(answers["tracked"].text),
        ignored=answers["ignored"].code == 0,
        last_commit=answers["last"].text.strip(),
        modified=status.modified,
        untracked=status.untracked,
        remote=_choose_remote(answers["remotes"].text, status.upstream),
        described=answers["described"].text.strip(),
        superproject=Path(superproject) if superproject else None,
        shallow=shallow == "true",
        pushed=bool(answers["pushed"].text.strip()),
    )


def ask_repository(folder: Path) -> tuple[Path, Status, str]:
    """Top folder, state and web link ("" if none) of the repository around a folder.

    Raises:
        GitUnavailable: no git, no repository, or git refuses.
    """
    answers = _burst(
        folder,
        {"where": ("rev-parse", "--show-toplevel"), "status": _STATUS, "remotes": _REMOTES},
    )
    if answers["where"].code:
        raise GitUnavailable(answers["where"].error)
    status = Status.parse(answers["status"].text)
    remote = _choose_remote(answers["remotes"].text, status.upstream)
    return Path(answers["where"].text.rstrip("\n")), status, remote


def web_url(remote: str) -> str:
    """A remote as https, without credentials and .git; "" for one that has no web form (a folder, a bundle).

    `git@host:group/repo.git`, `ssh://git@host:22/group/repo` and `https://user:token@host/group/repo.git` all become
    `https://host/group/repo`. The port of an http or https remote is kept, that of ssh has no meaning for the web.
    """
    if match := _URL_REMOTE.match(remote):
        scheme, port = match["scheme"].lower(), match["port"] or ""
        if scheme not in ("http", "https", "ssh", "git", "git+ssh", "ssh+git"):
            return ""
        web = scheme if scheme in ("http", "https") else "https"
        host = match["host"] + (port if scheme == web else "")
        return f"{web}://{host}/{_repository_path(match['path'])}"
    if "://" not in remote and (match := _SCP_REMOTE.match(remote)):
        return f"https://{match['host']}/{_repository_path(match['path'])}"
    return ""


def _repository_path(path: str) -> str:
    return re.split(r"[?#]", path, maxsplit=1)[0].strip("/").removesuffix(".git").strip("/")


def _choose_remote(listing: str, upstream: str) -> str:
    """`origin`; else the remote of the branch's upstream; else the only one there is."""
    remotes: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, url = line.partition(" ")
        remotes.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    if "origin" in remotes:
        return web_url(remotes["origin"])
    followed = [name for name in remotes if upstream.startswith(f"{name}/")]
    candidates = followed or list(remotes)
    return web_url(remotes[candidates[0]]) if len(candidates) == 1 else ""


@dataclass(frozen=True, slots=True)
class Status:
    """`git status --porcelain=v2 --branch -z`, as git-status(1) describes it."""

    commit: str = ""
    branch: str = ""
    upstream: str = ""
    modified: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Status:
        """From git's output."""
        headers: dict[str, str] = {}
        modified, untracked = [], []
        fields = iter(text.split("\0"))
        for field in fields:
            kind = field[:2]
            if kind == "# ":
                name, _, value = field[2:].partition(" ")
                headers[name] = value
            elif kind in ("1 ", "u ", "2 "):
                modified.append(field.split(" ", {"1 ": 8, "2 ": 9, "u ": 10}[kind])[-1])
                if kind == "2 ":
                    next(fields)  # the path that it was renamed from: a rename is judged by its destination
            elif kind == "? ":
                untracked.append(field[2:])
        commit, branch = headers.get("branch.oid", ""), headers.get("branch.head", "")
        return cls(
            "" if commit == "(initial)" else commit,
            "" if branch == "(detached)" else branch,
            headers.get("branch.upstream", ""),
            tuple(modified),
            tuple(untracked),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    text: str
    error: str


def _burst(folder: Path, questions: Mapping[str, tuple[str, ...]]) -> dict[str, _Answer]:
    """Start all commands, then collect: the time of the slowest, not the sum."""
    environment, executable = git_environment(), _executable()
    with contextlib.ExitStack() as stack:
        running = {}
        for name, arguments in questions.items():
            running[name] = _start([executable, *arguments], folder, environment)
            stack.callback(_end, running[name])
        return {name: _collect(process) for name, process in running.items()}


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as err:
        raise GitUnavailable(f"git could not be run: {err}") from err


def _collect(process: subprocess.Popen[bytes]) -> _Answer:
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        raise GitUnavailable(f"git gave no answer in {TIMEOUT_S:g} s") from late
    return _Answer(process.returncode, os.fsdecode(out), _first_line(err))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


def _executable() -> str:
    found = shutil.which("git")
    if found is None:
        raise GitUnavailable("git is not installed")
    return found


def _first_line(text: bytes) -> str:
    lines = os.fsdecode(text).strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "git failed"

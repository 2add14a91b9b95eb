"""git and uv, run for a new project as its owner would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException

# A project has its own environment: what belongs to the one that we run in must not leak into it.
_OURS = (
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "UV_NO_PROJECT",
    "UV_NO_SYNC",
    "UV_FROZEN",
    "UV_LOCKED",
    "UV_NO_DEV",
    "UV_RUN_RECURSION_DEPTH",
    "DERIVA_ML_WORKFLOW_URL",
    "DERIVA_ML_WORKFLOW_CHECKSUM",
)
_GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
_UV_HINT = "uv is not installed: type `pip install uv`, or see https://docs.astral.sh/uv/"


class ToolFailed(DerivaMLException):
    """git or uv ended with an error; it has said why itself."""


def find_git() -> str:
    """
    Path of git.

    Raises:
        DerivaMLConfigurationError: it is not installed.
    """
    found = shutil.which("git")
    if found is None:
        raise DerivaMLConfigurationError("git is not installed, and a project is a git repository: install git first")
    return found


def find_uv() -> str | None:
    """Path of uv: the one that runs us (`uv run` says so), else that on PATH."""
    running = os.environ.get("UV", "")
    return running if running and Path(running).is_file() else shutil.which("uv")


def require_uv() -> str:
    """
    Path of uv.

    Raises:
        DerivaMLConfigurationError: it is not installed; says how to.
    """
    found = find_uv()
    if found is None:
        raise DerivaMLConfigurationError(_UV_HINT)
    return found


def project_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for commands in another project, without those of our own environment."""
    variables = dict(os.environ if env is None else env)
    ours = variables.get("VIRTUAL_ENV") or (sys.prefix if sys.prefix != sys.base_prefix else "")
    kept = {name: value for name, value in variables.items() if name not in (*_OURS, *_GIT)}
    if os.sep in kept.get("UV_PYTHON", ""):  # an interpreter of ours (nox sets it), not a version that the user wants
        del kept["UV_PYTHON"]
    if ours:
        scripts = str(Path(ours, "bin"))
        folders = kept.get("PATH", "").split(os.pathsep)
        kept["PATH"] = os.pathsep.join(folder for folder in folders if folder != scripts)
    return kept


def _console_environment() -> dict[str, str]:
    """In a pipe (CI, a log file) Python would keep its output back, and our own lines would come first."""
    unbuffered = {} if sys.stdout.isatty() else {"PYTHONUNBUFFERED": "1"}
    return project_environment() | unbuffered


def run(command: list[str], folder: Path, *, quiet: bool = False) -> str:
    """
    Run a command in a project.

    Args:
        quiet: keep its output; otherwise it goes where ours goes.

    Returns:
        Its standard output, where it was kept.

    Raises:
        ToolFailed: it ended with an error; where it was quiet, the text has its last line.
    """
    done = subprocess.run(
        command, cwd=folder, env=_console_environment(), capture_output=quiet, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        return done.stdout or ""
    said = (done.stderr or "").strip().splitlines()
    name = " ".join([Path(command[0]).name, *command[1:]])
    raise ToolFailed(f"`{name}` in {folder} failed (exit code {done.returncode})" + (f": {said[-1]}" if said else ""))


def commit_all(folder: Path, message: str) -> None:
    """
    Commit everything that git does not ignore.

    Where no name or address is configured, an author is given for this commit alone; no configuration is touched.
    """
    git = find_git()
    run([git, "add", "--all"], folder, quiet=True)
    stand_in = ["-c", "user.name=deriva-ml-init", "-c", "user.email=deriva-ml-init@localhost"]
    author = [] if _has_author(git, folder) else stand_in
    commit = ["commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", message]
    run([git, *author, *commit], folder, quiet=True)


def _has_author(git: str, folder: Path) -> bool:
    try:
        run([git, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"], folder, quiet=True)
        run([git, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"], folder, quiet=True)
    except ToolFailed:
        return False
    return True

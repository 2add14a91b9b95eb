"""Which code runs: a link, a checksum and a version for the file that holds the model.

What the record says, first match wins; nothing here ever stops a run, what is missing is said in `note`:

    In a container (DERIVA_MCP_IN_DOCKER=true)       url `IMAGE@DIGEST`, else the commit of the image's sources;
                                                     checksum the digest, else the commit; version DERIVA_MCP_VERSION
    DERIVA_ML_WORKFLOW_URL, DERIVA_ML_WORKFLOW_CHECKSUM   as they say (the notebook runner sets them)
    Tracked file, repository with a remote           url `https://host/group/repo/blob/COMMIT/path`: a permalink to the
                                                     last commit that touched the file
    Tracked file, no remote                          url `swh:1:cnt:BLOB;anchor=swh:1:rev:COMMIT;path=/path`
    File that no commit has, no git, no repository   url `swh:1:cnt:BLOB;path=/NAME`
    No file (the prompt, exec, a C extension)        url and checksum empty

The checksum is git's blob hash of the file as it is on disk, for a notebook that of its text without outputs where
nbstripout is installed. The swh form is a SWHID (ISO/IEC 18670): it names the same content by the same hash, needs no
host, and resolves at Software Heritage if the code is ever archived there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from .git import GitFacts, GitUnavailable, ask_git, ask_repository, git
from .source import source_file, unwrap
from .version import version_from_git

# Changes below these folders are results, not code.
ALWAYS_IGNORED = ("findings/", "outputs/", ".scratch/")
_IMAGE_SOURCES = "https://github.com/informatics-isi-edu/deriva-mcp"  # what DERIVA_MCP_GIT_COMMIT is a commit of
_SHOWN_PATHS = 3


@dataclass(frozen=True, slots=True)
class CodeReference:
    """The code of one run.

    Args:
        url: where the file can be read, or its intrinsic name; "" if there is no file. Never holds credentials.
        checksum: hash of the file as it ran; "" if there is no file.
        version: of the project or container, or "".
        commit: HEAD of the repository, or "".
        git_root: the repository's top folder, or None.
        path: the file below git_root, or its name.
        dirty_paths: below git_root, with slashes: uncommitted changes and untracked files, results left out.
        is_notebook: the code is a Jupyter notebook.
        note: what a reader of the record should know, or "".
    """

    url: str = ""
    checksum: str = ""
    version: str = ""
    commit: str = ""
    git_root: Path | None = None
    path: str = ""
    dirty_paths: tuple[str, ...] = ()
    is_notebook: bool = False
    note: str = ""

    @property
    def warning(self) -> str:
        """One line for the console where the code that runs is not what a commit holds; else ""."""
        if not self.dirty_paths:
            return ""
        shown = ", ".join(self.dirty_paths[:_SHOWN_PATHS])
        rest = len(self.dirty_paths) - _SHOWN_PATHS
        more = f" and {rest} more" if rest > 0 else ""
        base = f"commit {self.commit[:9]}" if self.commit else "an empty repository"
        return f"Uncommitted changes: {shown}{more}; the record holds them as a diff against {base}"


def find_code_reference(thing: Any, *, env: Mapping[str, str] | None = None) -> CodeReference:
    """
    Say which code a model, a script or a notebook is.

    Args:
        thing: a model (partials and wrappers are seen through), a class, a module, a path, or None for no file.
        env: environment variables; the process's own where None.

    Returns:
        Never raises: where something can't be found, the note says what and why.
    """
    variables = os.environ if env is None else env
    reference = _from_git(thing, variables)
    if variables.get("DERIVA_MCP_IN_DOCKER", "").lower() == "true":
        return _in_container(reference, variables)
    if url := variables.get("DERIVA_ML_WORKFLOW_URL", ""):
        clean = without_credentials(url)
        checksum = variables.get("DERIVA_ML_WORKFLOW_CHECKSUM", "")
        return replace(reference, url=clean, checksum=checksum, is_notebook=not clean.endswith(".py"))
    return reference


def find_project_reference(folder: Path, *, env: Mapping[str, str] | None = None) -> CodeReference:
    """The repository around a folder: commit, link, uncommitted changes. Empty where there is none; never raises."""
    try:
        root, status, remote = ask_repository(folder)
    except GitUnavailable:
        return CodeReference()
    prefixes = ignored_prefixes(os.environ if env is None else env)
    return CodeReference(
        url=f"{remote}/tree/{status.commit}" if remote and status.commit else "",
        commit=status.commit,
        git_root=root,
        dirty_paths=tuple(p for p in (*status.modified, *status.untracked) if not p.startswith(prefixes)),
    )


def without_credentials(url: str) -> str:
    """The URL without `user:password@`."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL at all: an image name, say
        return url
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def blob_hash(content: bytes) -> str:
    """Git's name for a file's content (gitformat: "blob", its length, a zero byte, the bytes; SHA-1)."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def ignored_prefixes(env: Mapping[str, str]) -> tuple[str, ...]:
    """Path prefixes whose changes are results: the built-in ones and those of DERIVA_ML_DIRTY_CHECK_IGNORE."""
    named = env.get("DERIVA_ML_DIRTY_CHECK_IGNORE", "").split(":")
    return (*ALWAYS_IGNORED, *(prefix.strip().removeprefix("./") for prefix in named if prefix.strip()))


def _from_git(thing: Any, env: Mapping[str, str]) -> CodeReference:
    file = None if thing is None else source_file(thing)
    if file is None:
        return CodeReference(note="" if thing is None else f"{_name(thing)} has no source file, so no code is recorded")
    is_notebook = file.suffix == ".ipynb"
    try:
        content = _content(file)
    except OSError as err:
        return CodeReference(note=f"{file.name} could not be read ({err.strerror}), so no code is recorded")
    checksum = blob_hash(content)
    try:
        facts = ask_git(file)
    except GitUnavailable as err:
        url = f"swh:1:cnt:{checksum};path=/{quote(file.name)}"
        note = f"{file.name}: no commit is known ({err}); only its checksum is recorded"
        return CodeReference(
            url, checksum, path=file.name, is_notebook=is_notebook, note=note, version=_installed(thing)
        )
    # Line-end filters may make git's own blob differ from the bytes; a notebook's is that of its stripped text.
    blob = checksum if is_notebook else facts.blob or checksum
    return _described(facts, blob, swh=checksum, is_notebook=is_notebook, thing=thing, env=env)


def _described(
    facts: GitFacts, blob: str, *, swh: str, is_notebook: bool, thing: Any, env: Mapping[str, str]
) -> CodeReference:
    prefixes = ignored_prefixes(env)
    dirty = tuple(p for p in (*facts.modified, *facts.untracked) if not p.startswith(prefixes))
    return CodeReference(
        url=_url(facts, blob if len(blob) == 40 else swh),
        checksum=blob,
        version=_installed(thing) if facts.ignored else _version(facts),
        commit=facts.commit,
        git_root=facts.root,
        path=facts.path,
        dirty_paths=dirty,
        is_notebook=is_notebook,
        note="; ".join(_notes(facts)),
    )


def _url(facts: GitFacts, blob: str) -> str:
    path = quote(facts.path)
    if facts.remote and facts.tracked and facts.last_commit:
        return f"{facts.remote}/blob/{facts.last_commit}/{path}"
    qualifiers = [f"origin={facts.remote}"] if facts.remote else []
    if facts.tracked and facts.last_commit and facts.path not in facts.modified:
        qualifiers.append(f"anchor=swh:1:rev:{facts.commit}")
    return ";".join([f"swh:1:cnt:{blob}", *qualifiers, f"path=/{path}"])


def _notes(facts: GitFacts) -> list[str]:
    notes = []
    if not facts.commit:
        notes.append("the repository has no commit yet")
    elif facts.ignored:
        notes.append(f"{facts.path} is ignored by git; only its checksum and the version of its package are recorded")
    elif not facts.tracked:
        notes.append(f"{facts.path} is not tracked by git")
    elif facts.path in facts.modified:
        notes.append(f"{facts.path} has uncommitted changes: the checksum is that of the file that ran")
    if not facts.remote:
        notes.append("the repository has no remote, so the link is an identifier of the content")
    elif facts.commit and not facts.pushed:
        notes.append(f"commit {facts.commit[:9]} is not pushed: others can't open the link yet")
    if facts.commit and not facts.branch:
        notes.append("HEAD is detached")
    if facts.superproject is not None:
        notes.append(f"the file is in a submodule of {facts.superproject.name}")
    if facts.shallow:
        notes.append("the clone is shallow: the commit named may be newer than the last change of the file")
    return notes


def _version(facts: GitFacts) -> str:
    try:
        count = 0
        if facts.commit and not facts.described:
            count = int(git(facts.root, "rev-list", "--count", "HEAD"))
    except (GitUnavailable, ValueError):
        return ""
    return version_from_git(facts.described, commit=facts.commit, commits=count, dirty=bool(facts.modified))


def _installed(thing: Any) -> str:
    """Version of the distribution that a model was installed with, or ""."""
    package = str(getattr(unwrap(thing), "__module__", "") or "").split(".")[0]
    try:
        return metadata.version(package) if package else ""
    except metadata.PackageNotFoundError:
        return ""


def _in_container(reference: CodeReference, env: Mapping[str, str]) -> CodeReference:
    image, digest = (env.get(f"DERIVA_MCP_IMAGE_{part}", "").strip() for part in ("NAME", "DIGEST"))
    commit = env.get("DERIVA_MCP_GIT_COMMIT", "").strip()
    version = env.get("DERIVA_MCP_VERSION", "").strip()
    if image and digest:
        url = f"{without_credentials(image)}@{digest}"
    elif commit:
        url = f"{_IMAGE_SOURCES}/commit/{quote(commit)}"
    else:
        note = "in a container, but neither DERIVA_MCP_IMAGE_NAME with _DIGEST nor DERIVA_MCP_GIT_COMMIT says which"
        return replace(reference, note="; ".join(part for part in (note, reference.note) if part))
    # Changes on top of the image are still told by dirty_paths and the diff, where there is a repository.
    return replace(reference, url=url, checksum=digest or commit, version=version or reference.version, note="")


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return _without_outputs(content) if file.suffix == ".ipynb" else content


def _without_outputs(notebook: bytes) -> bytes:
    """A notebook's text as nbstripout would commit it, so that running it does not change its checksum."""
    try:
        import nbformat
        from nbstripout import strip_output
    except ImportError:
        return notebook
    try:
        document = nbformat.reads(notebook.decode("utf-8"), as_version=nbformat.NO_CONVERT)
        stripped: str = nbformat.writes(strip_output(document, keep_output=False, keep_count=False, keep_id=False))
        return f"{stripped}\n".encode()
    except Exception:  # noqa: BLE001 - a notebook that no tool can read still has its bytes, and a run must not stop
        return notebook


def _name(thing: Any) -> str:
    target = unwrap(thing)
    return re.sub(r"\s+", " ", str(getattr(target, "__qualname__", None) or repr(target)))[:80]

"""Make a project: the guide's standard layout, with its own git repository and a first commit."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from string import Template

from packaging.utils import canonicalize_name

from deriva_ml_core.errors import DerivaMLConfigurationError, WorkingFolderError

from .origin import Origin, find_origin
from .tools import ToolFailed, commit_all, find_git, find_uv, require_uv, run

TEMPLATES = Path(__file__).parent / "template"
PLACEHOLDER_HOST, PLACEHOLDER_CATALOG = "deriva.example.org", "1"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_CATALOG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")
_RENDERED = ".in"  # files with $placeholders
_PACKAGE = "_package_"  # a folder that is called like the project's module
PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to be made.

    Args:
        folder: where; it must not be there, or be empty.
        kind: "plain", "digits" or "plugin", a folder of template/.
        hostname: the catalog's server.
        catalog: its id or name.
        summary: one line about the project.
        dependencies: beside deriva-ml, as in pyproject.toml.
        values: of further placeholders.
    """

    folder: Path
    kind: str = "plain"
    hostname: str = PLACEHOLDER_HOST
    catalog: str = PLACEHOLDER_CATALOG
    summary: str = "Models and notebooks whose runs are recorded in a Deriva catalog"
    dependencies: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The project's name, in the spelling of package names."""
        return str(canonicalize_name(self.folder.name))


class Lock(Enum):
    """Whether a new project fixes the versions of its dependencies (uv.lock) at once."""

    NO = "no"
    TRY = "try"  # if uv is there and reaches a registry; otherwise the first `uv run` does it
    MUST = "must"  # uv shows its progress, and its failure is ours


def create_project(project: NewProject, *, lock: Lock = Lock.TRY) -> Path:
    """
    Make the project's folder, repository and first commit; all or nothing.

    Args:
        project: what to make.
        lock: fix the versions of its dependencies?

    Returns:
        The folder.

    Raises:
        DerivaMLConfigurationError: the name can't be used, the folder is not empty, git is missing; nothing was made.
        WorkingFolderError: the folder can't be made.
        ToolFailed: git failed; uv failed where it must not.
    """
    check(project)
    try:
        with _beside(project.folder) as building:
            write_files(project, building)
            run([find_git(), "init", "--quiet", "--initial-branch=main"], building, quiet=True)
            _lock(building, lock)
            commit_all(building, f"Start {project.name} from the template of deriva-ml")
            _move_in(building, project.folder)
    except OSError as err:  # read-only, full
        raise WorkingFolderError(f"{project.folder} can't be made: {err.strerror or err}") from err
    return project.folder


def check(project: NewProject) -> None:
    """
    Refuse what can't become a project, before anything is made.

    Raises:
        DerivaMLConfigurationError: says what is wrong.
    """
    folder = project.folder
    if not _NAME.fullmatch(folder.name):
        raise DerivaMLConfigurationError(
            f"{folder.name!r} can't be the name of a project: use letters, digits, '-', '_' and '.', "
            "a letter or digit first and last, 100 at most"
        )
    if project.name in _requirement_names(project.dependencies):
        raise DerivaMLConfigurationError(f"a project can't be called {folder.name!r}: that is a package that it needs")
    if not _HOST.fullmatch(project.hostname):
        raise DerivaMLConfigurationError(f"{project.hostname!r} is no host name")
    if not _CATALOG.fullmatch(project.catalog):
        raise DerivaMLConfigurationError(f"{project.catalog!r} is no catalog id or name")
    find_git()
    _check_folder(folder)


def write_files(project: NewProject, folder: Path) -> None:
    """Write the template's files into a folder, their placeholders filled."""
    values = _values(project)
    shared = () if project.kind == PLUGIN else (TEMPLATES / "common",)
    for source in (*shared, TEMPLATES / project.kind):
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _write(path, folder / _target(path.relative_to(source), values), values)


def render(name: str, kind: str, values: Mapping[str, str]) -> str:
    """One file of a template with its placeholders filled, e.g. "src/configs/datasets.py"."""
    return Template((TEMPLATES / kind / f"{name}{_RENDERED}").read_text(encoding="utf-8")).substitute(values)


def _values(project: NewProject) -> dict[str, str]:
    origin = find_origin(project.folder)
    own = origin.requirement if project.kind == PLUGIN else origin.with_extra("notebook")
    wanted = [own, *project.dependencies]
    return {
        "project": project.name,
        "module": project.name.replace("-", "_"),
        "summary": project.summary,
        "hostname": project.hostname,
        "catalog": project.catalog,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "requires_python": ">=3.11,<3.14",
        "dependencies": "\n".join(f"    {json.dumps(requirement)}," for requirement in wanted),
        "sources": _sources(origin),
        **project.values,
    }


def _sources(origin: Origin) -> str:
    if not origin.source:
        return ""
    why = "# This very deriva-ml: the registry has another package of the same name."
    return f"\n[tool.uv.sources]\n{why}\nderiva-ml = {origin.source}\n"


def _target(path: Path, values: Mapping[str, str]) -> Path:
    """Where a file of the template goes. Dot files have no dot in the template, or they would work there already."""
    path = Path(*(values["module"] if part == _PACKAGE else part for part in path.parts))
    name = path.name.removesuffix(_RENDERED)
    return path.with_name(f".{name}" if name in ("gitignore", "python-version") else name)


def _write(source: Path, target: Path, values: Mapping[str, str]) -> None:
    text = source.read_text(encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(text).substitute(values) if source.suffix == _RENDERED else text, encoding="utf-8")


def _lock(folder: Path, wish: Lock) -> None:
    uv = find_uv()
    if wish is Lock.MUST:
        run([require_uv(), "lock"], folder)
    elif wish is Lock.TRY and uv is not None:
        try:
            run([uv, "lock", "--quiet"], folder, quiet=True)
        except ToolFailed:
            (folder / "uv.lock").unlink(missing_ok=True)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder to build in, on the same file system; gone at the end, whatever happens."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    building.chmod(0o755)
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _move_in(building: Path, folder: Path) -> None:
    """Put the finished project in its place: by one rename, or into the empty folder that is there (`.`, say)."""
    _check_folder(folder)  # somebody may have been quicker
    if not folder.exists():
        building.rename(folder)
        return
    moved: list[Path] = []
    try:
        for path in sorted(building.iterdir()):
            moved.append(path.rename(folder / path.name))  # noqa: PERF401 - what was moved must be known at any time
    except BaseException:  # Ctrl-C too: the folder was empty and stays so
        for path in moved:
            path.rename(building / path.name)
        raise


def _check_folder(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise DerivaMLConfigurationError(f"{folder} is a link that leads nowhere")
    if folder.exists() and not folder.is_dir():
        raise DerivaMLConfigurationError(f"{folder} is there already, and is no folder")
    if folder.is_dir() and any(folder.iterdir()):
        what = "is a project already" if (folder / "pyproject.toml").exists() else "is not empty"
        raise DerivaMLConfigurationError(f"{folder} {what}; nothing was changed: choose another folder")


def _requirement_names(dependencies: Sequence[str]) -> set[str]:
    from packaging.requirements import Requirement

    return {"deriva-ml", *(str(canonicalize_name(Requirement(text).name)) for text in dependencies)}

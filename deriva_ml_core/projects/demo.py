"""The demo: a project, a catalog, real images, a released dataset, and a first recorded run."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException

from .creation import Lock, NewProject, check, create_project, render
from .tools import ToolFailed, commit_all, require_uv, run

# Real libraries of the field; deriva-ml itself needs none of them.
DEPENDENCIES = (
    "joblib>=1.3,<2",
    "matplotlib>=3.8,<4",
    "numpy>=1.26,<3",
    "pandas>=2.2.1,<4",
    "pillow>=10.3",
    "scikit-learn>=1.4.2,<2",
)
_RUN = ("deriva-ml-run",)


@dataclass(frozen=True, slots=True)
class Catalogs:
    """What the demo asks of the embedded catalogs of this user.

    Args:
        names: of those that there are.
        delete: remove one by name.
    """

    names: Callable[[], list[str]]
    delete: Callable[[str], None]


class DemoRunFailed(DerivaMLException):
    """Project and catalog are made; the first run failed."""


def create_demo(folder: Path, catalogs: Catalogs, say: Callable[[str], None], *, quiet: bool = False) -> Path:
    """
    Make the digits project and run it once.

    Args:
        folder: where; its name is the catalog's name too.
        catalogs: the embedded catalogs.
        say: prints one line.
        quiet: keep what the commands print, too.

    Returns:
        The folder.

    Raises:
        DerivaMLConfigurationError: the folder or its name can't be used, uv or git is missing; nothing was made.
        ToolFailed: no registry, or loading failed; project and catalog were removed again.
        DemoRunFailed: only the run failed; the text says how to go on.
    """
    project = demo_project(folder)
    check(project)
    uv = require_uv()
    _check_catalog(project.name, catalogs)
    shell = _Shell(uv, folder, say, quiet)
    say(f"Making the project {folder}")
    create_project(project, lock=Lock.MUST)
    with _undone_if_it_fails(folder, project.name, catalogs):
        shell.uv("sync")
        shell.uv("run", "deriva-ml-catalog", "create", project.name)
        shell.uv("run", "deriva-ml-catalog", "schema", "install", project.name)
        _load(shell, project)
    _run_once(shell)
    return folder


def demo_project(folder: Path) -> NewProject:
    """What the demo makes. The dataset's RID is only known once it is loaded."""
    project = NewProject(folder, kind="digits", hostname="local", dependencies=DEPENDENCIES)
    return NewProject(
        folder,
        kind="digits",
        hostname="local",
        catalog=project.name,
        summary="Handwritten digits: a model on real images, every run recorded",
        dependencies=DEPENDENCIES,
        values={"dataset_rid": "0-0000", "dataset_version": "1.0.0"},
    )


def next_steps(folder: Path) -> str:
    """What to try now."""
    commands = (
        ("uv run deriva-ml-executions list", "what ran"),
        ("uv run deriva-ml-executions download RID", "the files of a run: weights, metrics, confusion matrix"),
        ("uv run deriva-ml-run --info", "what there is to choose from"),
        ("uv run deriva-ml-run +experiment=quick", "a named choice"),
        ("uv run deriva-ml-run model_config.learning_rate=0.01", "another value"),
        ("uv run deriva-ml-run +multirun=learning_rates", "a sweep"),
        ("uv run deriva-ml-run dry_run=true", "what would be recorded, without doing it"),
        ("uv run deriva-ml-run-notebook notebooks/digits_results.ipynb", "compare the runs, with curves and images"),
    )
    width = max(len(command) for command, _ in commands)
    lines = ["What to try next:", "", f"    cd {folder}"]
    lines += [f"    {command:{width}}   # {what}" for command, what in commands]
    lines += ["", f"The model is {folder}/src/models/digits_classifier.py; README.md there says where the rest is."]
    return "\n".join(lines)


def _check_catalog(name: str, catalogs: Catalogs) -> None:
    if not name[0].isalpha():
        raise DerivaMLConfigurationError(
            f"{name!r} can't be the name of a catalog: choose a folder that starts with a letter"
        )
    if name in catalogs.names():
        raise DerivaMLConfigurationError(
            f"there is an embedded catalog {name!r} already, of an earlier demo perhaps: choose another folder name, "
            f"or remove it with `deriva-ml-catalog delete {name}`"
        )


@dataclass(frozen=True, slots=True)
class _Shell:
    """Runs uv in the project, after printing what it runs: the user would type the same."""

    executable: str
    folder: Path
    say: Callable[[str], None]
    quiet: bool

    def uv(self, *arguments: str, unsaid: tuple[str, ...] = ()) -> None:
        self.say(f"$ {' '.join(['uv', *arguments])}")
        run([self.executable, *arguments, *unsaid], self.folder, quiet=self.quiet)


def _load(shell: _Shell, project: NewProject) -> None:
    """Load the images, name their dataset in the configuration, and commit that: the tree is clean for the run."""
    with tempfile.TemporaryDirectory(prefix="deriva-ml-demo-") as scratch:
        report = Path(scratch, "dataset.json")
        load = ("run", "python", "src/load_digits.py", "--catalog", project.catalog)
        shell.uv(*load, unsaid=("--report", str(report)))
        made = json.loads(report.read_text(encoding="utf-8"))
    values = {"dataset_rid": made["rid"], "dataset_version": made["version"]}
    target = shell.folder / "src" / "configs" / "datasets.py"
    target.write_text(render("src/configs/datasets.py", "digits", values), encoding="utf-8")
    commit_all(shell.folder, f"Train on dataset {made['rid']}, version {made['version']}")


def _run_once(shell: _Shell) -> None:
    try:
        shell.uv("run", *_RUN)
    except ToolFailed as err:
        raise DemoRunFailed(
            f"the first run failed ({err}); the project {shell.folder} and its catalog are there: "
            f"look for the reason, then type `cd {shell.folder} && uv run {' '.join(_RUN)}`"
        ) from err


@contextlib.contextmanager
def _undone_if_it_fails(folder: Path, catalog: str, catalogs: Catalogs) -> Iterator[None]:
    """Leave nothing half made, Ctrl-C included."""
    try:
        yield
    except BaseException as err:
        if catalog in catalogs.names():
            catalogs.delete(catalog)
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(err, ToolFailed):
            raise ToolFailed(f"{err}; the project and its catalog were removed again") from err
        raise

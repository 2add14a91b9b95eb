"""Which notebook runs in this kernel, and the configuration of the project that it lies in."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from deriva_ml_core.errors import DerivaMLConfigurationError

PATH_VARIABLE = "DERIVA_ML_NOTEBOOK_PATH"
PAPERMILL_VARIABLE = "PAPERMILL_INPUT_PATH"
_RUNNERS = frozenset({"papermill", "nbconvert", "jupyter-nbconvert", "jupyter-execute", "nbclient"})


def notebook_file() -> Path | None:
    """
    The notebook whose cell is running; None where nothing tells.

    Asked in this order: papermill's variable (COMPAT section 3), our command's, VS Code's, the command line of the
    papermill or nbconvert that started the kernel, Jupyter's, the call stack.
    """
    for name in _candidates():
        path = Path(name)
        if path.suffix == ".ipynb" and path.is_file():
            return path.absolute()
    return None


def _candidates() -> Iterator[str]:
    namespace = _user_namespace()
    yield os.environ.get(PAPERMILL_VARIABLE, "")
    yield str(namespace.get(PAPERMILL_VARIABLE, ""))
    yield os.environ.get(PATH_VARIABLE, "")
    yield str(namespace.get("__vsc_ipynb_file__", ""))
    yield from _of_parent_process()
    # jupyter_server, services/sessions/sessionmanager.py, get_kernel_env: the notebook's path.
    yield os.environ.get("JPY_SESSION_NAME", "")
    frame = inspect.currentframe()
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _user_namespace() -> dict[str, object]:
    """The variables of the notebook; {} outside IPython, which is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return dict(shell.user_ns) if shell is not None else {}


def _of_parent_process() -> Iterator[str]:
    """The notebook on the command line of a runner; a Jupyter server's names any, so it is not asked."""
    import psutil

    try:
        parent = psutil.Process().parent()
        words = parent.cmdline() if parent else []
        folder = Path(parent.cwd()) if parent else Path()
    except psutil.Error:
        return
    if _RUNNERS.isdisjoint(Path(word).name for word in words):
        return
    yield from (str(folder / word) for word in words if word.endswith(".ipynb"))


def find_configs(notebook: Path | None, package: str = "configs") -> Path:
    """
    The configuration package of the project around a notebook: `src/<package>` or `<package>`, in its folder or above.

    Args:
        notebook: where to look first; then comes the current folder.

    Raises:
        DerivaMLConfigurationError: there is none.
    """
    starts = [Path.cwd()] if notebook is None else [notebook.parent, Path.cwd()]
    for start in starts:
        for folder in (start, *start.parents):
            for candidate in (folder / "src" / package, folder / package):
                if candidate.is_dir() and next(candidate.glob("**/*.py"), None) is not None:
                    return candidate
    where = " or ".join(dict.fromkeys(str(start) for start in starts))
    raise DerivaMLConfigurationError(
        f"Config directory not found: no src/{package} in {where} or in any folder above; "
        "a notebook lies in a project's folder, beside its src"
    )

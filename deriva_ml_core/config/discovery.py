"""Import the modules of a configuration package, each of which registers its options as it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType

from deriva_ml_core.errors import ConfigModuleError

LAST_MODULE = "experiments"


def load_configs(package_name: str = "configs") -> list[str]:
    """Import a configuration package and all of its modules.

    Modules come in alphabetical order, sub-packages too, and a module called `experiments` last, because experiments
    refer to the others. Each registers its options with hydra-zen's store as it is imported.

    Returns:
        Sorted full names of the modules; empty where there is no such package.

    Raises:
        ConfigModuleError: a module failed to import; it names the file and line where.
    """
    if not _exists(package_name):
        return []
    return sorted(_import_tree(package_name))


def publish() -> None:
    """Hand what hydra-zen's store holds to Hydra; options that are there already are replaced."""
    from hydra_zen import store

    store.add_to_hydra_store(overwrite_ok=True)


def _exists(package_name: str) -> bool:
    try:
        return package_name in sys.modules or importlib.util.find_spec(package_name) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False


def _import_tree(package_name: str) -> list[str]:
    package = import_config_module(package_name)
    loaded = []
    for name in sorted(_children(package), key=lambda name: (name == LAST_MODULE, name)):
        full_name = f"{package_name}.{name}"
        loaded.append(full_name)
        if hasattr(import_config_module(full_name), "__path__"):
            loaded.extend(_import_tree(full_name))
    return loaded


def _children(package: ModuleType) -> list[str]:
    return [info.name for info in pkgutil.iter_modules(getattr(package, "__path__", []))]


def import_config_module(name: str) -> ModuleType:
    """
    Import one module.

    Raises:
        ConfigModuleError: it failed; the message names the file and line where.
    """
    try:
        return importlib.import_module(name)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as err:  # a module of the user's may raise anything, sys.exit too: all are named alike
        raise config_module_error(name, err) from err


def config_module_error(name: str, err: BaseException) -> ConfigModuleError:
    """What to say of a module that failed to import: where, and why."""
    file, line = _place(name, err)
    reason = " ".join(str(err).split())
    message = f"configuration module {name} failed at {file}:{line}: {type(err).__name__}: {reason}"
    return ConfigModuleError(message, module=name, file=file, line=line)


def _place(name: str, err: BaseException) -> tuple[str, int]:
    """File and line of the user's own code where the import failed: the deepest frame outside installed packages."""
    if isinstance(err, SyntaxError) and err.filename:
        return err.filename, err.lineno or 1
    own = [
        frame
        for frame in traceback.extract_tb(err.__traceback__)
        if not frame.filename.startswith("<") and not _is_installed(frame.filename)
    ]
    if own:
        return own[-1].filename, own[-1].lineno or 1
    spec = importlib.util.find_spec(name)
    return (spec.origin or name) if spec else name, 1


def _is_installed(file: str) -> bool:
    """Whether a frame belongs to a library, the standard library or to ourselves."""
    core = Path(__file__).resolve().parents[1]
    own = (f"{core}{os.sep}", f"{core.with_name('deriva_ml')}{os.sep}", f"{Path(traceback.__file__).parent}{os.sep}")
    return f"{os.sep}site-packages{os.sep}" in file or file.startswith(own)

"""Find a project's configuration: import every module of its `configs` package, which registers as it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from deriva_ml_core.errors import ConfigModuleError, DerivaMLConfigurationError, PluginHookError
from deriva_ml_core.plugin_loading import find_entry_points
from deriva_ml_core.plugins import PluginChoice, Plugins

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


def load_project(folder: Path, *, blocked: Collection[str] = ()) -> list[str]:
    """Load the configuration package that is `folder`, and publish it to Hydra.

    Modules of plugins that are installed come first, so that the project's own options win. The folder's parent and
    grandparent go on sys.path, so that `from configs.base import …`, `from models.x import …`
    and `from src.…` work.

    Args:
        blocked: names of plugins that are left alone.

    Raises:
        DerivaMLConfigurationError: no such folder, or nothing is in it.
        ConfigModuleError: a module failed to import.
    """
    folder = folder.expanduser().absolute()
    _check_folder(folder)
    _extend_path(folder)
    _load_plugin_modules(blocked)
    loaded = load_configs(folder.name) or _load_all_in_package(folder.name)
    publish()
    return loaded


def _load_plugin_modules(blocked: Collection[str]) -> None:
    """What installed plugins add to a configuration; nothing is loaded where none is installed."""
    installed = [found.info.name for found in find_entry_points()]
    if not set(installed) - set(blocked):
        return
    plugins = Plugins(PluginChoice(block=tuple(blocked)))
    for name, ask in plugins.each("deriva_config_modules"):
        try:
            modules = list(ask() or ())
        except PluginHookError as err:
            raise _config_module_error(f"of plugin {name}", err) from err
        for module in modules:
            _import(module)


def publish() -> None:
    """Hand what hydra-zen's store holds to Hydra; options that are there already are replaced."""
    from hydra_zen import store

    store.add_to_hydra_store(overwrite_ok=True)


def _check_folder(folder: Path) -> None:
    hint = "run in the project's folder, or name the folder with --config-dir"
    if not folder.exists():
        raise DerivaMLConfigurationError(f"Config directory not found: {folder}; {hint}")
    if not folder.is_dir():
        raise DerivaMLConfigurationError(f"{folder} is not a folder; {hint}")
    if not folder.name.isidentifier():
        raise DerivaMLConfigurationError(f"{folder} can't be imported: {folder.name!r} is not a Python name")
    if not any(folder.glob("**/*.py")):
        raise DerivaMLConfigurationError(f"the configuration folder {folder} holds no Python modules; {hint}")


def _extend_path(folder: Path) -> None:
    for entry in (str(folder.parent.parent), str(folder.parent)):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    importlib.invalidate_caches()


def _exists(package_name: str) -> bool:
    try:
        return package_name in sys.modules or importlib.util.find_spec(package_name) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False


def _import_tree(package_name: str) -> list[str]:
    package = _import(package_name)
    loaded = []
    for name in sorted(_children(package), key=lambda name: (name == LAST_MODULE, name)):
        full_name = f"{package_name}.{name}"
        loaded.append(full_name)
        if hasattr(_import(full_name), "__path__"):
            loaded.extend(_import_tree(full_name))
    return loaded


def _children(package: ModuleType) -> list[str]:
    return [info.name for info in pkgutil.iter_modules(getattr(package, "__path__", []))]


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as err:  # a module of the user's may raise anything, sys.exit too: all are named alike
        raise _config_module_error(name, err) from err


def _load_all_in_package(package_name: str) -> list[str]:
    """Projects of an older generation list their modules themselves."""
    load_all = getattr(sys.modules.get(package_name), "load_all_configs", None)
    if not callable(load_all):
        return []
    try:
        names = load_all()
    except Exception as err:  # user code, as in _import
        raise _config_module_error(package_name, err) from err
    return sorted(names) if isinstance(names, list) else []


def _config_module_error(name: str, err: BaseException) -> ConfigModuleError:
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

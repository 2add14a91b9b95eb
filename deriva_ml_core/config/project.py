"""A project's whole configuration: its own modules, and what installed plugins add to them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deriva_ml_core.config.discovery import config_module_error, load_configs, publish
from deriva_ml_core.config.import_path import extend_import_path
from deriva_ml_core.config.plugin_options import load_plugin_options
from deriva_ml_core.errors import DerivaMLConfigurationError

TOP_CONFIG = "deriva_model"


def load_project(
    folder: Path, *, config_name: str = TOP_CONFIG, overrides: Sequence[str] = (), search_path: str | None = None
) -> list[str]:
    """Load the configuration package that is `folder`, and publish it to Hydra.

    The folder's parent and grandparent go on sys.path, so that `from configs.base import …`, `from models.x import …`
    and `from src.…` work. Modules of installed plugins come last, because the project says which of them are blocked;
    the project's own options win all the same.

    Args:
        config_name, overrides, search_path: what will be composed; it says which plugins are blocked.

    Raises:
        DerivaMLConfigurationError: no such folder, or nothing is in it.
        ConfigModuleError: a module failed to import.
    """
    folder = folder.expanduser().absolute()
    _check_folder(folder)
    extend_import_path(folder)
    loaded = load_configs(folder.name) or _load_all_in_package(folder.name)
    publish()
    load_plugin_options(config_name, overrides, search_path)
    return loaded


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


def _load_all_in_package(package_name: str) -> list[str]:
    """Projects of an older generation list their modules themselves."""
    load_all = getattr(sys.modules.get(package_name), "load_all_configs", None)
    if not callable(load_all):
        return []
    try:
        names = load_all()
    except Exception as err:  # user code, as in _import
        raise config_module_error(package_name, err) from err
    return sorted(names) if isinstance(names, list) else []

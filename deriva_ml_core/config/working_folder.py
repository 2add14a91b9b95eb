"""Where a connection keeps its files: caches, execution folders, Hydra's outputs.

Source of the rules: COMPAT.md, sections 4 (DerivaMLConfig, `compute_workdir`) and 5 (Hydra's folders).
"""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Any

HOME_FOLDER = ".deriva-ml"
DEFAULT_CATALOG_ID = 1


def default_working_folder(hostname: str, catalog_id: str | int) -> Path:
    """`~/.deriva-ml/<hostname>/<catalog>`; a snapshot (`5@2Z-…`) shares the folder of its catalog."""
    return Path.home() / HOME_FOLDER / _folder_name(hostname) / _folder_name(str(catalog_id).partition("@")[0])


def compute_workdir(working_dir: str | Path | None, catalog_id: str | int, hostname: str = "") -> str:
    """The value of `${compute_workdir:<dir>,<catalog>,<host>}` in a configuration.

    Returns:
        `<dir>/<user>/deriva-ml/<host>/<catalog>` where a folder is given, else the default working folder.
    """
    if working_dir is None or str(working_dir) in ("", "None"):
        return str(default_working_folder(hostname, catalog_id))
    parts = [_folder_name(part) for part in (hostname, str(catalog_id)) if part]
    return str(Path(working_dir).expanduser().joinpath(getpass.getuser(), "deriva-ml", *parts).absolute())


def working_folder_of(connection: Any) -> Path:
    """The working folder that a composed `deriva_ml` node will have, without building the connection.

    Args:
        connection: mapping with some of hostname, catalog_id, working_dir; a missing one has its default.
    """
    values = connection or {}
    if explicit := values.get("working_dir"):
        return Path(str(explicit)).expanduser().absolute()
    return default_working_folder(str(values.get("hostname") or ""), values.get("catalog_id") or DEFAULT_CATALOG_ID)


def _folder_name(text: str) -> str:
    """A name that can't leave its folder, whatever a host or a catalog is called."""
    name = re.sub(r"[^\w.@-]", "_", text)
    return "_" if name in ("", ".", "..") else name

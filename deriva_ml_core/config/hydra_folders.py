"""Hydra's own defaults for a project: its outputs lie in the connection's working folder, not in ./outputs.

The node `hydra/config` in Hydra's store is changed in place, and only where it still has Hydra's stock values: a
project's own `store(HydraConf(...))` keeps what it says. Overrides on the command line win over both.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from deriva_ml_core.config.working_folder import compute_workdir, working_folder_of

OUTPUT_SUBDIR = "hydra-config"
_NOW = "${now:%Y-%m-%d_%H-%M-%S}"
# Source: COMPAT.md section 5.
_FOLDERS = {
    ("run", "dir"): f"${{deriva_workdir:}}/hydra/{_NOW}",
    ("sweep", "dir"): f"${{deriva_workdir:}}/hydra-sweep/{_NOW}",
    ("output_subdir",): OUTPUT_SUBDIR,
}


def install_hydra_defaults() -> None:
    """Register the resolvers and put our folders where the project has none of its own."""
    register_resolvers()
    node = ConfigStore.instance().repo["hydra"]["config.yaml"].node
    stock = OmegaConf.structured(HydraConf)
    for path, value in _FOLDERS.items():
        if _get(node, path) == _get(stock, path):
            _set(node, path, value)


class OutputFolder:
    """Hydra's output folder of one run or sweep: made for it, and taken back where it came to nothing.

    Args:
        path: the folder; one that is there already is not ours to take back.
        claim: make a folder that no other run has: two runs of the same second would write each other's configuration.
    """

    def __init__(self, path: Path, *, claim: bool = False) -> None:
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        self.path = _claim(path) if claim else path
        if self.path != path:
            self._made = [self.path, *(folder for folder in self._made if folder != path)]

    def take_back(self) -> None:
        """Remove the folder, and the folders above it that were made for it and are empty."""
        if self.path not in self._made:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in self._made[1:]:
            try:
                folder.rmdir()
            except OSError:  # another run uses it by now
                return


def is_default_folder(node: DictConfig) -> bool:
    """Whether a composed `hydra.run` or `hydra.sweep` node has the folder that we gave it."""
    return str(OmegaConf.to_container(node, resolve=False)["dir"]).startswith("${deriva_workdir:}")  # type: ignore[call-overload, index]


def _claim(path: Path) -> Path:
    """Make the folder, or `<name>-2`, `-3`, … where another run was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir()
        except FileExistsError:
            continue
        return candidate
    raise AssertionError


def register_resolvers() -> None:
    """`${compute_workdir:DIR,CATALOG,HOST}` and `${deriva_workdir:}`; resolvers belong to the process."""
    OmegaConf.register_new_resolver("compute_workdir", compute_workdir, replace=True)
    OmegaConf.register_new_resolver("deriva_workdir", _deriva_workdir, replace=True)


def _deriva_workdir(*, _root_: DictConfig) -> str:
    """The working folder of the configuration in which it stands."""
    return str(working_folder_of(_root_.get("deriva_ml")))


def _get(node: DictConfig, path: tuple[str, ...]) -> Any:
    for key in path[:-1]:
        node = node[key]
    return OmegaConf.to_container(node, resolve=False)[path[-1]]  # type: ignore[call-overload, index]


def _set(node: DictConfig, path: tuple[str, ...], value: str) -> None:
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value


# A worker process unpickles the job and gets the configuration with its interpolations: it needs them, too.
register_resolvers()

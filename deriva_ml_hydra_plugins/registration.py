"""Puts the callback into Hydra's own configuration, beside what a project or a user has there."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, open_dict

NAME = "deriva_ml"
"""`~hydra.callbacks.deriva_ml` on a command line switches it off."""
CALLBACK = "deriva_ml_hydra_plugins.callback.ExecutionCallback"


def register_callback() -> None:
    """Add an entry to the callbacks of the node hydra/config in place: a project may have stored that node itself."""
    node = ConfigStore.instance().repo.get("hydra", {}).get("config.yaml")
    if node is None or not isinstance(node.node, DictConfig):
        return
    if node.node.get("callbacks") is None:
        node.node.callbacks = {}
    if NAME not in node.node.callbacks:
        with open_dict(node.node.callbacks):
            node.node.callbacks[NAME] = {"_target_": CALLBACK, "on_failure": "continue", "report": True, "table": True}

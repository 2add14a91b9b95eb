"""Puts the callback into Hydra's own configuration, beside what a project or a user has there."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, open_dict

NAME = "deriva_ml"
"""`~hydra.callbacks.deriva_ml` on a command line switches it off."""
CALLBACK = "deriva_ml_hydra_plugins.callback.ExecutionCallback"


# Beside the chosen options of the launcher in question, so that each can be set on a command line.
_PRESETS = {
    "deriva_slurm": (
        "submitit_slurm",
        {
            "submitit_folder": "${hydra.sweep.dir}/slurm/%j",
            "name": "${hydra.job.name}",
            "timeout_min": 60,
            "signal_delay_s": 120,
            "max_num_timeout": 0,
            "stderr_to_stdout": True,
        },
    ),
    "deriva_submitit": (
        "submitit_local",
        {"submitit_folder": "${hydra.sweep.dir}/jobs/%j", "name": "${hydra.job.name}", "stderr_to_stdout": True},
    ),
}
"""Launchers of ours: name -> the one that it stands on, and what it says otherwise."""


def register_launchers() -> None:
    """Add our presets to the group hydra/launcher; one that a project has stored under the same name stays."""
    store = ConfigStore.instance()
    there = store.repo.get("hydra", {}).get("launcher", {})
    for name, (base, values) in _PRESETS.items():
        if f"{name}.yaml" not in there:
            node = {"defaults": [base, "_self_"], **values}
            store.store(group="hydra/launcher", name=name, node=node, provider=NAME)  # no option of the project's


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

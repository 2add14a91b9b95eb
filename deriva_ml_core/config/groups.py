"""The top-level configuration of a project: five groups, their default options, and the call that they configure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra_zen import builds

# config/ stands below the runner, and choosing options must not load what a run needs: named by path.
RUN_MODEL_MODULE = "deriva_ml_core.runner"

GROUP_DEFAULTS = {
    "deriva_ml": "default_deriva",
    "datasets": "default_dataset",
    "assets": "default_asset",
    "workflow": "default_workflow",
    "model_config": "default_model",
}


def run_model(  # noqa: PLR0917  the signature of the existing generation
    deriva_ml: Any,
    datasets: Any,
    assets: Any,
    description: str,
    workflow: Any,
    model_config: Any,
    dry_run: bool = False,
    ml_class: Any = None,
    script_config: Any = None,
) -> None:
    """The signature of `deriva_ml_core.runner.run_model`, for hydra-zen to read; a test holds the two together."""
    raise NotImplementedError


# hydra-zen writes these two into `_target_`, so that the configuration instantiates the real one.
run_model.__module__ = RUN_MODEL_MODULE


def group_defaults(**options: str) -> list[Any]:
    """A Hydra defaults list: the configuration itself first, then one option for each group."""
    return ["_self_", *({group: option} for group, option in options.items())]


def create_model_config(
    ml_class: type[Any] | None = None,
    description: str = "Model execution",
    hydra_defaults: Sequence[Any] | None = None,
) -> type[Any]:
    """The top-level configuration of a project, to be stored as `deriva_model`.

    Args:
        ml_class: DerivaML or a subclass of it; the connection is made with it. None is DerivaML.
        description: of each execution, unless an experiment or the command line gives another.
        hydra_defaults: a Hydra defaults list; the five groups where None.

    Returns:
        A dataclass with the full signature of `run_model`, which experiments take as a base.

    Example:
        >>> from hydra_zen import store
        >>> base = create_model_config(description="Digits, by a small network")
        >>> base.description
        'Digits, by a small network'
        >>> project = store(deferred_hydra_store=True, overwrite_ok=True)(base, name="deriva_model")
    """
    defaults = group_defaults(**GROUP_DEFAULTS) if hydra_defaults is None else list(hydra_defaults)
    config: type[Any] = builds(
        run_model,
        populate_full_signature=True,
        description=description,
        ml_class=ml_class,
        hydra_defaults=defaults,
        zen_dataclass={"cls_name": "DerivaModelConfig"},
    )
    return config

"""Configurations of notebooks: plain values, instantiated in the notebook's own kernel."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hydra_zen import builds, instantiate, store

from deriva_ml_core.config.discovery import publish
from deriva_ml_core.config.groups import GROUP_DEFAULTS, group_defaults
from deriva_ml_core.config.overrides import in_full
from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from deriva_ml_core.config.hydra_folders import OutputFolder

OVERRIDES_VARIABLE = "DERIVA_ML_HYDRA_OVERRIDES"
NOTEBOOK_GROUPS = ("deriva_ml", "datasets", "assets")


@dataclass
class BaseConfig:
    """What every notebook's configuration has; subclass it to add fields of your own.

    The fields of the groups are Any: pydantic models do not fit Hydra's structured configurations.

    Attributes:
        deriva_ml: the connection, a DerivaMLConfig.
        datasets: input datasets.
        assets: input assets.
        dry_run: check everything and bring the inputs; write nothing to the catalog.
        description: Markdown of the execution.
        config_choices: the chosen option of each group; filled in.
        script_config: called instead of a model, for projects of the former generation.
    """

    deriva_ml: Any = None
    datasets: Any = None
    assets: Any = None
    dry_run: bool = False
    description: str = ""
    config_choices: dict[str, str] = field(default_factory=dict)
    script_config: Any = None


ConfigT = TypeVar("ConfigT", bound=BaseConfig)

base_defaults: list[Any] = group_defaults(**{group: GROUP_DEFAULTS[group] for group in NOTEBOOK_GROUPS})

DerivaBaseConfig = builds(
    BaseConfig,
    populate_full_signature=True,
    hydra_convert="all",
    hydra_defaults=base_defaults,
    zen_dataclass={"cls_name": "DerivaBaseConfig"},
)
store(DerivaBaseConfig, name="deriva_base")


def notebook_config(
    name: str,
    config_class: type[BaseConfig] | None = None,
    defaults: Mapping[str, str] | None = None,
    **field_defaults: Any,
) -> Any:
    """Define and store the configuration of a notebook.

    Args:
        name: what `run_notebook(name)` asks for.
        config_class: BaseConfig, or a dataclass that subclasses it.
        defaults: option for each of the groups deriva_ml, datasets, assets that shall not have its usual default;
            further groups are added.
        field_defaults: values for fields of `config_class`.

    Returns:
        The stored hydra-zen configuration.

    Raises:
        DerivaMLConfigurationError: `config_class` is not a BaseConfig, or has no such field.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class CompareConfig(BaseConfig):
        ...     threshold: float = 0.5
        >>> notebook_config("compare", CompareConfig, threshold=0.75).threshold
        0.75
    """
    target = config_class or BaseConfig
    _check_fields(name, target, field_defaults)
    options = {group: GROUP_DEFAULTS[group] for group in NOTEBOOK_GROUPS} | dict(defaults or {})
    config = builds(
        target,
        populate_full_signature=True,
        hydra_convert="all",
        hydra_defaults=group_defaults(**options),
        **field_defaults,
    )
    store(config, name=name)
    return config


def get_notebook_configuration(
    config_class: type[ConfigT],
    config_name: str,
    overrides: Sequence[str] | None = None,
    job_name: str = "notebook",
    version_base: str = "1.3",
) -> ConfigT:
    """Compose and instantiate a stored configuration.

    Overrides that a command passed through DERIVA_ML_HYDRA_OVERRIDES (a JSON list) come first, those given here
    after them, so that these win.

    Raises:
        DerivaMLConfigurationError: no such configuration, a wrong override, or a value that can't be built.
    """
    given = in_full([*overrides_from_environment(), *(overrides or ())])
    return compose_notebook(config_class, config_name, given, job_name=job_name, version_base=version_base).config


@dataclass(frozen=True, slots=True)
class ComposedNotebook(Generic[ConfigT]):
    """A notebook's configuration.

    Attributes:
        config: its values, built.
        document: as Hydra composed it, its `hydra` node included.
        overrides: what it was composed with.
        folder: Hydra's output folder, where one was claimed for it.
    """

    config: ConfigT
    document: DictConfig
    overrides: tuple[str, ...]
    folder: OutputFolder | None = None

    @property
    def choices(self) -> dict[str, str]:
        """The chosen option of each group, those left open not among them."""
        return {str(k): str(v) for k, v in self.document.hydra.runtime.choices.items() if v is not None}


def compose_notebook(
    config_class: type[ConfigT],
    config_name: str,
    overrides: Sequence[str],
    *,
    job_name: str = "notebook",
    version_base: str = "1.3",
    keep: bool = False,
) -> ComposedNotebook[ConfigT]:
    """Compose and build a stored configuration.

    Args:
        keep: claim an output folder of Hydra's, and write there what Hydra writes of a run.

    Raises:
        DerivaMLConfigurationError: as get_notebook_configuration.
        WorkingFolderError: the folder can't be made.
    """
    from deriva_ml_core.config.application import Application

    publish()
    application = Application(config_name, job_name=job_name, version_base=version_base)
    with application:
        document = application.compose(overrides)
        config = application.build(document, instantiate)
        if not isinstance(config, config_class):
            raise DerivaMLConfigurationError(
                f"configuration {config_name!r} builds a {type(config).__name__}, not a {config_class.__name__}"
            )
        config.config_choices = application.choices
        folder = application.keep(document) if keep else None
    return ComposedNotebook(config, document, tuple(overrides), folder)


def overrides_from_environment() -> list[str]:
    """What DERIVA_ML_HYDRA_OVERRIDES holds.

    Raises:
        DerivaMLConfigurationError: it is not a JSON list of strings.
    """
    text = os.environ.get(OVERRIDES_VARIABLE, "")
    if not text.strip():
        return []
    try:
        overrides = json.loads(text)
    except ValueError:
        overrides = None
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        raise DerivaMLConfigurationError(f"{OVERRIDES_VARIABLE} must be a JSON list of strings, not {text!r}")
    return overrides


def _check_fields(name: str, target: type[Any], field_defaults: Mapping[str, Any]) -> None:
    if not issubclass(target, BaseConfig):
        raise DerivaMLConfigurationError(f"notebook_config({name!r}): config_class must be a subclass of BaseConfig")
    known = [item.name for item in fields(target)]
    for unknown in field_defaults.keys() - set(known):
        raise DerivaMLConfigurationError(
            f"notebook_config({name!r}): {target.__name__} has no field {unknown!r}{nearest(unknown, known)}"
        )

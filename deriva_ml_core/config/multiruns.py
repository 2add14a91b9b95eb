"""Named multiruns: sweeps that a project gives a name and a description, run as `+multirun=NAME`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import dedent

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest


@dataclass(frozen=True, slots=True)
class MultirunSpec:
    """A named sweep.

    Attributes:
        name: what `+multirun=NAME` calls.
        overrides: Hydra overrides, sweeps among them, in the order in which they are applied.
        description: Markdown of the parent execution, without the indentation of its source.
    """

    name: str
    overrides: list[str]
    description: str = ""


# Configuration modules register by being imported, as they do with hydra-zen's own store: one registry a process.
_registry: dict[str, MultirunSpec] = {}


def multirun_config(name: str, overrides: Iterable[str], description: str = "") -> MultirunSpec:
    """Give a sweep a name, so that `deriva-ml-run +multirun=NAME` runs it.

    Args:
        name: what the command line says.
        overrides: as they would stand on the command line, without shell quoting.
        description: Markdown, of any length.

    Raises:
        DerivaMLConfigurationError: the name is empty, or `overrides` is a single string.

    Example:
        >>> multirun_config("rates", ["+experiment=quick", "model_config.learning_rate=0.001,0.01"], "Two rates").name
        'rates'
        >>> list_multirun_configs()
        ['rates']
    """
    if not name:
        raise DerivaMLConfigurationError("a multirun_config needs a name")
    if isinstance(overrides, str):
        raise DerivaMLConfigurationError(
            f"the overrides of multirun {name!r} must be a list of strings: [{overrides!r}]"
        )
    spec = MultirunSpec(name, list(overrides), _dedent(description))
    _registry[name] = spec
    return spec


def get_multirun_config(name: str) -> MultirunSpec | None:
    """The multirun of that name, or None."""
    return _registry.get(name)


def list_multirun_configs() -> list[str]:
    """Names of all registered multiruns, sorted."""
    return sorted(_registry)


def get_all_multirun_configs() -> dict[str, MultirunSpec]:
    """All registered multiruns by name."""
    return dict(_registry)


def restore_multirun_configs(specs: Mapping[str, MultirunSpec]) -> None:
    """Let these be what their names mean, whatever was registered since."""
    _registry.update(specs)


def require_multirun_config(name: str) -> MultirunSpec:
    """The multirun of that name.

    Raises:
        DerivaMLConfigurationError: there is none; the message lists those there are.
    """
    if spec := _registry.get(name):
        return spec
    known = ", ".join(list_multirun_configs()) or "none; define them with multirun_config() in src/configs/multiruns.py"
    raise DerivaMLConfigurationError(f"no multirun named {name!r}{nearest(name, _registry)} (multiruns: {known})")


def _dedent(text: str) -> str:
    """Remove the indentation of a triple-quoted text whose first line starts after the quotes."""
    first, newline, rest = text.partition("\n")
    return (first.strip() + newline + dedent(rest)).strip() if newline else text.strip()

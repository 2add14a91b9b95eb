"""
What installed plugins add to a project's configuration.

Their modules are imported after the project's own, because it is the project's configuration that says which plugins
are blocked (`plugins.block`), and a plugin that is blocked is not even loaded. So the configuration is composed once
without them. One that can't be composed yet, since it chooses what only a plugin has, is asked for its connection
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from deriva_ml_core.config.discovery import import_config_module, publish
from deriva_ml_core.config.groups import GROUP_DEFAULTS
from deriva_ml_core.config.multiruns import get_all_multirun_configs, restore_multirun_configs
from deriva_ml_core.config.options import default_choices, project_groups
from deriva_ml_core.errors import DerivaMLConfigurationError, PluginError, PluginHookError
from deriva_ml_core.plugin_loading import find_entry_points, remedy
from deriva_ml_core.plugins import PluginChoice, Plugins

_CONNECTION = "deriva_ml"


def load_plugin_options(config_name: str, overrides: Sequence[str], search_path: str | None) -> None:
    """
    Import the configuration modules of installed plugins; nothing is loaded or composed where none is installed.

    Raises:
        PluginError: a hook failed. ConfigModuleError: a module did.
    """
    installed = {found.info.name for found in find_entry_points()}
    if not installed:
        return
    blocked = _choice_of_project(config_name, overrides, search_path).block
    if not installed.difference(blocked):
        return
    with _giving_way():
        for name, ask in Plugins(PluginChoice(block=blocked)).each("deriva_config_modules"):
            try:
                modules = list(ask() or ())
            except PluginHookError as err:
                raise PluginError(f"{err}; {remedy(name)}") from err
            for module in modules:
                import_config_module(module)
    publish()


def plugin_choice(composed: Any) -> PluginChoice:
    """
    What a composed configuration says about plugins.

    Raises:
        PluginError: something that can't be meant.
    """
    from omegaconf import OmegaConf

    connection = composed.get(_CONNECTION) or {}
    value = connection.get("plugins") if hasattr(connection, "get") else None
    return PluginChoice.of(OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)


def _choice_of_project(config_name: str, overrides: Sequence[str], search_path: str | None) -> PluginChoice:
    from deriva_ml_core.config.overrides import check_overrides

    try:
        tokens = check_overrides(overrides, structured_only=search_path is None).tokens
        return _composed_choice(config_name, tokens, search_path)
    except DerivaMLConfigurationError:
        pass  # it may choose what only a plugin has; where it is wrong besides, whoever composes it next says so
    try:
        option, own = _connection_alone(config_name, overrides)
        return _composed_choice(f"{_CONNECTION}/{option}", own, search_path)
    except DerivaMLConfigurationError:
        return PluginChoice()


def _composed_choice(config_name: str, overrides: Sequence[str], search_path: str | None) -> PluginChoice:
    from deriva_ml_core.config.application import Application

    with Application(config_name, job_name=config_name, search_path=search_path) as application:
        return plugin_choice(application.compose(overrides, sweep=True))


def _connection_alone(config_name: str, overrides: Sequence[str]) -> tuple[str, list[str]]:
    """The option of the connection that is chosen, and the overrides of its fields."""
    option = default_choices(config_name).get(_CONNECTION, GROUP_DEFAULTS[_CONNECTION])
    own = []
    for token in overrides:
        key, _, value = token.partition("=")
        if key == _CONNECTION:
            option = value
        elif key.lstrip("+").startswith(f"{_CONNECTION}."):
            own.append(token)
    return option, own


@contextmanager
def _giving_way() -> Iterator[None]:
    """What is registered inside never replaces what the project has."""
    from hydra_zen import store

    multiruns, theirs = get_all_multirun_configs(), store.copy()
    taken = {(group or None, option.name) for group, options in project_groups().items() for option in options}
    _empty(store, list(store))
    try:
        yield
    finally:
        _empty(store, [entry for entry in store if (entry["group"], entry["name"]) in taken])
        store.update(theirs)
        restore_multirun_configs(multiruns)


def _empty(store: Any, entries: Sequence[Any]) -> None:
    for entry in entries:
        store.delete_entry(entry["group"], entry["name"])

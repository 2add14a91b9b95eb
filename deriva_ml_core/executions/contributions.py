"""What plugins add to the record of an execution: facts, files, and what is secret."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.errors import DerivaMLException, PluginError
from deriva_ml_core.executions.environment import allowed_variables
from deriva_ml_core.executions.redaction import add_rules
from deriva_ml_core.hookvalues import ExecutionFacts, MetadataDocument
from deriva_ml_core.plugin_loading import remedy

if TYPE_CHECKING:
    from deriva_ml_core.plugins import Plugins

log = logging.getLogger(__name__)


def require_plugins(plugins: Plugins, *, later: bool = False) -> None:
    """
    Before anything is written: what the run needs is there, and what plugins call secret is.

    Args:
        later: a command that finishes a run.

    Raises:
        PluginError: a plugin that is needed can't be used. PluginHookError: the rules of one can't be had.
    """
    plugins.require(later=later)
    for name, rules in plugins.demand("deriva_redaction_rules"):
        try:
            add_rules(rules)
        except DerivaMLException as err:
            raise PluginError(f"plugin {name}, deriva_redaction_rules: {err}; {remedy(name)}") from err


def environment_facts(plugins: Plugins, environment: Mapping[str, str]) -> dict[str, Any]:
    """The facts of all plugins: of two with one key the first stays, and which plugins there were is a fact itself."""
    facts: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, ask in plugins.each("deriva_environment_facts", environment=environment):
        try:
            found = dict(ask() or {})
        except Exception as err:  # noqa: BLE001  # whatever a plugin does, the run goes on
            log.warning("%s", err)
            errors[name] = str(err)
            continue
        facts |= {f"{name}.{key}" if key in facts else key: value for key, value in found.items()}
    facts["plugins"] = _plugin_facts(plugins)
    if errors:
        facts["plugin_errors"] = errors
    patterns = [pattern for _, more in plugins.gather("deriva_allowed_variables") for pattern in more]
    if patterns and isinstance(facts.get("os"), dict):
        facts["os"] = facts["os"] | {"environ": allowed_variables(environment, patterns)}
    return facts


def metadata_documents(plugins: Plugins, execution: ExecutionFacts) -> list[MetadataDocument]:
    """The further metadata files of all plugins."""
    return [one for _, some in plugins.gather("deriva_metadata_files", execution=execution) for one in some]


def _plugin_facts(plugins: Plugins) -> list[dict[str, Any]]:
    """Third parties' only: the built-in are part of deriva-ml, whose version is among the packages."""
    return [
        {"name": info.name, "distribution": info.distribution, "version": info.version, "status": info.status}
        for info in plugins.infos
        if info.source != "built-in"
    ]

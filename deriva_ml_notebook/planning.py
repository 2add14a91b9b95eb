"""What a command line asks of a notebook, worked out and checked before a kernel starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deriva_ml_core.config.application import Application
from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.config.hydra_folders import install_hydra_defaults
from deriva_ml_core.config.notebooks import BaseConfig, compose_notebook
from deriva_ml_core.config.options import project_groups
from deriva_ml_core.config.overrides import CheckedOverrides, check_overrides, in_full
from deriva_ml_core.config.project import load_project
from deriva_ml_core.errors import DerivaMLConfigurationError
from deriva_ml_notebook.documents import Opening, find_opening, read_notebook, require_python
from deriva_ml_notebook.recording import Intent
from deriva_ml_notebook.whereabouts import find_configs

FALLBACK_CONFIG = "deriva_base"
"""Every project has it: the default options of the groups that notebooks use."""
UNCONFIGURED = 'does not call run_notebook("CONFIGURATION"), which takes the overrides'
_CONNECTING = ("deriva_ml", "dry_run", "description")


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A notebook and its configuration.

    Args:
        config_name: of the configuration that is composed here.
        full: the notebook composes the same; where it works out the name as it runs, only the connection is sure.
        configured: a cell of the notebook takes the overrides.
    """

    notebook: Path
    document: Any
    config_name: str
    checked: CheckedOverrides
    full: bool
    configured: bool = True

    @property
    def overrides(self) -> list[str]:
        """What Hydra gets."""
        return self.checked.tokens

    @property
    def application(self) -> Application:
        """Hydra's, for showing and sweeping."""
        return Application(self.config_name, job_name=self.config_name)


def make_plan(notebook: Path, tokens: Sequence[str]) -> Plan:
    """
    Read the notebook, load its project, check the overrides.

    Raises:
        DerivaMLConfigurationError: one of them is wrong.
    """
    notebook = notebook.expanduser().absolute()
    document = read_notebook(notebook)
    require_python(notebook, document)
    opening = find_opening(document)
    given = in_full(tokens)
    load_project(find_configs(notebook), config_name=opening.config_name or notebook.stem, overrides=given)
    install_hydra_defaults()
    checked = check_overrides(given)
    name = _config_name(notebook, opening)
    full = opening.certain or not opening.configured
    return Plan(notebook, document, name, checked, full=full, configured=opening.configured)


def _config_name(notebook: Path, opening: Opening) -> str:
    """The one that the notebook will ask for; where it asks for none, or nobody can tell, one that will do."""
    if opening.certain:
        return opening.config_name or notebook.stem
    stored = {option.name for option in project_groups().get("", [])}
    return notebook.stem if notebook.stem in stored else FALLBACK_CONFIG


def intent_of(plan: Plan) -> Intent:
    """
    Compose the configuration and build its values.

    Raises:
        DerivaMLConfigurationError: no such configuration, an unknown key, a value that can't be built.
    """
    overrides = plan.overrides
    given = overrides if plan.full else [token for token in overrides if token not in meant_for_cells(overrides)]
    try:
        composed = compose_notebook(BaseConfig, plan.config_name, given, job_name=plan.config_name)
    except DerivaMLConfigurationError as err:
        if plan.configured:
            raise
        raise DerivaMLConfigurationError(f"{err}; {plan.notebook.name} {UNCONFIGURED}") from err
    config = composed.config
    return Intent(
        name=plan.config_name if plan.config_name != FALLBACK_CONFIG else plan.notebook.stem,
        connection=connection_of(config.deriva_ml),
        description=config.description,
        overrides=tuple(overrides),
        choices=composed.choices,
        dry_run=config.dry_run,
    )


def meant_for_cells(overrides: Sequence[str]) -> list[str]:
    """Those that only the notebook itself can heed; where to connect and how to call the run is also the command's."""
    return [token for token in overrides if _key(token) not in _CONNECTING]


def _key(token: str) -> str:
    return token.partition("=")[0].lstrip("+~").partition("@")[0].partition(".")[0]


def connection_of(value: Any) -> DerivaMLConfig:
    """
    A configuration's `deriva_ml` as it was built.

    Raises:
        DerivaMLConfigurationError: it names no place to connect to.
    """
    if isinstance(value, DerivaMLConfig):
        return value
    if value is None:
        raise DerivaMLConfigurationError("deriva_ml says where to connect: choose one with deriva_ml=NAME")
    try:
        return DerivaMLConfig.model_validate(value)
    except ValueError as err:
        raise DerivaMLConfigurationError(f"deriva_ml can't be used: {' '.join(str(err).split())}") from err

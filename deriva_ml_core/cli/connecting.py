"""Which catalog a command means when it is not told: the folder's own answer, then the project's.

1. `--host` and `--catalog`, each by itself over what follows
2. `.deriva-context.json` in this folder or above
3. the project's default connection: `deriva_ml=default_deriva` of ./src/configs (or `--config-dir`)
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.config.import_path import extend_import_path
from deriva_ml_core.connection.context import CONTEXT_FILE, read_context
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.connection import DerivaML

DEFAULT_CONFIG_DIR = "src/configs"


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """`--host`, `--catalog`, `--working-dir` and `--config-dir`."""
    group = parser.add_argument_group("which catalog", f"without these: {CONTEXT_FILE}, then the project's default")
    group.add_argument("--host", metavar="HOST", help="a Deriva server, or local for the embedded catalog")
    group.add_argument("--catalog", metavar="ID", help="its number, alias or name")
    group.add_argument("--working-dir", metavar="DIR", type=Path, help="the folder that holds the executions' files")
    group.add_argument("--config-dir", "-c", metavar="DIR", type=Path, help=f"the project's ({DEFAULT_CONFIG_DIR})")


def connect(options: argparse.Namespace, *, recover: bool = True) -> DerivaML:
    """
    The connection that the options, the folder and the project name.

    Args:
        recover: first give executions of the working folder whose process is gone their true end.

    Raises:
        DerivaMLConfigurationError: nothing says which catalog.
    """
    from deriva_ml_core.connection import DerivaML

    folder = (options.config_dir or Path(DEFAULT_CONFIG_DIR)).expanduser().absolute()
    if folder.is_dir():  # plugins that a run has named may be modules of its project
        extend_import_path(folder)
    ml = DerivaML(**connection_fields(options), logging_level=logging.WARNING)
    if recover and _anything_to_recover(ml.working_dir):
        from deriva_ml_core.executions.recovery import recover_quietly

        recover_quietly(ml)
    return ml


def _anything_to_recover(working_dir: Path) -> bool:
    """A look at the journals; the recovery itself takes a tenth of a second to import."""
    from deriva_ml_core.executions.journal import read_journals

    return not all(entry.settled for _, entry in read_journals(working_dir))


def connection_fields(options: argparse.Namespace) -> dict[str, Any]:
    """hostname, catalog_id and what else is known: see the top of this module."""
    chosen = {"hostname": options.host, "catalog_id": options.catalog, "working_dir": options.working_dir}
    given = {name: value for name, value in chosen.items() if value is not None}
    complete = "hostname" in given and "catalog_id" in given and options.config_dir is None
    found = {} if complete else _found(options.config_dir)
    if any(name in given and str(given[name]) != str(found.get(name)) for name in ("hostname", "catalog_id")):
        # Another catalog than the project's: its folder and schemas are not the project's either.
        found = {name: found[name] for name in ("hostname", "catalog_id") if name in found}
    fields = {**found, **given}
    if missing := [name for name in ("hostname", "catalog_id") if name not in fields]:
        options_text = " and ".join({"hostname": "--host", "catalog_id": "--catalog"}[name] for name in missing)
        raise DerivaMLConfigurationError(
            f"which catalog? Give {options_text}, or run in a project's folder, or one with {CONTEXT_FILE} in it"
        )
    return fields


def _found(config_dir: Path | None) -> dict[str, Any]:
    """What the folder or the project says; a folder of configurations that is named comes first."""
    context = read_context(Path.cwd()) if config_dir is None else None
    return context if context is not None else _of_project(config_dir)


def _of_project(config_dir: Path | None) -> dict[str, Any]:
    """The default connection of the project in this folder; {} where there is no project."""
    folder = config_dir or Path(DEFAULT_CONFIG_DIR)
    if config_dir is None and not folder.is_dir():
        return {}
    from hydra_zen import instantiate

    from deriva_ml_core.config.application import Application
    from deriva_ml_core.config.hydra_folders import install_hydra_defaults
    from deriva_ml_core.config.project import load_project

    load_project(folder)
    install_hydra_defaults()
    with Application("deriva_model", job_name="deriva-ml-executions") as application:
        composed = application.compose([])
        config = application.build(composed, lambda node: instantiate(node.deriva_ml))
    names = (
        *("hostname", "catalog_id", "domain_schemas", "default_schema", "ml_schema", "working_dir", "cache_dir"),
        "plugins",  # what a later command uploads goes where the run's own upload would have brought it
    )
    return {name: getattr(config, name) for name in names}

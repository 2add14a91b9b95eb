"""What deriva-ml-run does once its command line is parsed. It imports Hydra; run.py does not."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deriva_ml_core.config.application import Application, search_path_of
from deriva_ml_core.config.hydra_folders import install_hydra_defaults
from deriva_ml_core.config.menu import Menu, build_menu, plain_lines
from deriva_ml_core.config.overrides import CheckedOverrides, check_overrides, in_full
from deriva_ml_core.config.project import load_project
from deriva_ml_core.config.quoting import quote

PLAIN_WIDTH = 100
ALLOW_DIRTY, DRY_RUN = "DERIVA_ML_ALLOW_DIRTY", "DERIVA_ML_DRY_RUN"


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project and what the command line asks of it."""

    application: Application
    checked: CheckedOverrides

    @property
    def overrides(self) -> list[str]:
        """What Hydra gets."""
        return self.checked.tokens


@dataclass(frozen=True, slots=True)
class Job:
    """The task that Hydra runs, here or in a worker: build the configured values and call run_model with them."""

    quiet: bool = False

    def __call__(self, composed: DictConfig) -> Any:
        """Raises whatever run_model raises; DerivaMLConfigurationError where a value can't be built."""
        from deriva_ml_core.cli.job import call_run_model
        from deriva_ml_core.executions import reporting

        _tell_once_of_a_log_that_fails()
        if not self.quiet:
            return call_run_model(composed)
        _silence_console()
        with reporting.use(reporting.SILENT):
            return call_run_model(composed)


def hydra_help(options: argparse.Namespace) -> int:
    """Print Hydra's help; it needs no project."""
    with Application(options.config_name, job_name=options.config_name) as application:
        application.hydra_help([])
    return 0


def open_project(options: argparse.Namespace, tokens: Sequence[str]) -> Project:
    """Load the configuration modules and check the overrides against what they registered.

    Raises:
        DerivaMLConfigurationError: no such folder, a module that fails, an override that can't be meant.
    """
    given = [*connection_overrides(options), *in_full(tokens)]
    search_path = search_path_of(options.config_path)
    load_project(Path(options.config_dir), config_name=options.config_name, overrides=given, search_path=search_path)
    install_hydra_defaults()
    checked = (
        CheckedOverrides(given, None, None)
        if options.shell_completion
        else check_overrides(given, structured_only=options.config_path is None)
    )
    if options.debug:
        checked.tokens.insert(0, "hydra.verbose=true")
    job_name = checked.experiment or (checked.multirun.name if checked.multirun else options.config_name)
    application = Application(options.config_name, job_name=job_name, search_path=search_path)
    return Project(application, checked)


def connection_overrides(options: argparse.Namespace) -> list[str]:
    """`--host` and `--catalog` as overrides."""
    named = {"deriva_ml.hostname": options.host, "deriva_ml.catalog_id": options.catalog}
    return [f"{key}={quote(value)}" for key, value in named.items() if value]


def print_menu(project: Project, command: str, *, as_json: bool = False) -> int:
    """The menu of a bare `--info`."""
    choices = _choices(project) if project.overrides else None
    show_menu(build_menu(project.application.config_name, command=command, choices=choices), as_json=as_json)
    return 0


def show_menu(menu: Menu, *, as_json: bool = False) -> None:
    """Rich on a terminal, plain text elsewhere, or JSON."""
    if as_json:
        print(json.dumps(menu.document(), indent=2))
    elif sys.stdout.isatty():
        from deriva_ml_core.cli.menu import print_rich

        print_rich(menu)
    else:
        width = int(os.environ.get("COLUMNS") or 0) or PLAIN_WIDTH
        print("\n".join(plain_lines(menu, width)))


def _choices(project: Project) -> dict[str, str]:
    with project.application as application:
        application.compose(project.overrides, sweep=True)
        return application.choices


def perform(project: Project, options: argparse.Namespace) -> int:
    """Show something of Hydra's, or run."""
    with project.application as application:
        if options.cfg:
            application.show(project.overrides, options.cfg, package=options.package, resolve=options.resolve)
        elif options.info:
            application.info(project.overrides, options.info)
        elif options.shell_completion:
            application.shell_completion(project.overrides)
        else:
            _run(application, project, options)
    return 0


def _run(application: Application, project: Project, options: argparse.Namespace) -> None:
    from deriva_ml_core.executions import reporting

    job = Job(quiet=options.quiet)
    with _variables(options, project.overrides), reporting.quietly(options.quiet):  # also of what a sweep tells here
        if options.multirun or project.checked.multirun is not None:
            application.sweep(job, project.overrides)
        else:
            application.run(job, project.overrides)


@contextmanager
def _variables(options: argparse.Namespace, overrides: Sequence[str]) -> Iterator[None]:
    """Variables that the model's process, and its children, can read (COMPAT section 2); removed at the end."""
    wanted = {}
    if options.allow_dirty:
        wanted[ALLOW_DIRTY] = "true"
    if any(token.lower() == "dry_run=true" for token in overrides):
        wanted[DRY_RUN] = "true"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _silence_console() -> None:
    """`-q`: the console shows only what is critical; the job's log file keeps everything."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)


def _tell_once_of_a_log_that_fails() -> None:
    """On a full disk, Python would print a traceback for each line that the log file does not take."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            setattr(handler, "handleError", _LogErrors(handler))  # noqa: B010  # a method, to a type checker


class _LogErrors:
    """What a log file's handler does about an error."""

    def __init__(self, handler: logging.FileHandler) -> None:
        self._file, self._usual, self._told = handler.baseFilename, handler.handleError, False

    def __call__(self, record: logging.LogRecord) -> None:
        err = sys.exception()
        if not isinstance(err, OSError):  # a wrong call of the logger: its traceback shows where
            self._usual(record)
        elif not self._told:
            self._told = True
            print(f"warning: the log {self._file} can't be written: {err.strerror or err}", file=sys.stderr)

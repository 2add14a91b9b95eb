"""What the subcommands of deriva-ml-executions share: how they are added, and where they print."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import add_connection_options
from deriva_ml_core.cli.main import add_common_options

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "deriva-ml-executions"
PLAIN_WIDTH = 120


def add_command(
    commands: Any, name: str, about: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """A subcommand with the options that all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    add_connection_options(parser)
    add_common_options(parser)
    return parser


def console() -> Console:
    """In the terminal's width, or COLUMNS, or wide enough for a log file."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 0) or PLAIN_WIDTH
    return Console(width=width)


def as_typed(options: argparse.Namespace) -> str:
    """The options by which this command found its catalog, for the next one."""
    typed = {"--host": options.host, "--catalog": options.catalog, "--config-dir": options.config_dir}
    return "".join(f" {name} {value}" for name, value in typed.items() if value is not None)

"""deriva-ml-executions: what ran, how it ended, what it used and made, and where its files are.

Each subcommand is a module of its own: `add` says what it takes, `run` does it and returns the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from deriva_ml_core.cli.executions import (
    comparing,
    downloading,
    estimating,
    listing,
    publishing,
    recovering,
    reporting,
    showing,
    tracing,
    uploading,
    watching,
)
from deriva_ml_core.cli.executions.commands import PROGRAM
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, completed, configure_logging, run_command
from deriva_ml_core.cli.plugin_commands import add_plugin_commands

SUBCOMMANDS = (
    listing,
    showing,
    comparing,
    tracing,
    reporting,
    publishing,
    downloading,
    estimating,
    watching,
    recovering,
    uploading,
)
"""In the order of `--help`."""


def build_parser(arguments: Sequence[str] = ("list",)) -> ArgumentParser:
    """The command line; actions of plugins are on it where `arguments` ask for none of ours."""
    parser = ArgumentParser(
        prog=PROGRAM, description="Executions of a catalog: list them, show one, get its files, upload what waits."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for subcommand in SUBCOMMANDS:
        subcommand.add(commands)
    for added in add_plugin_commands(PROGRAM, commands, arguments):
        add_common_options(added)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _dispatch(arguments), debug="--debug" in arguments)


def _dispatch(arguments: Sequence[str]) -> int:
    options = completed(build_parser(arguments)).parse_args(arguments)
    configure_logging(quiet=options.quiet or not options.debug, debug=options.debug)
    code: int = options.run(options)
    return code

"""Actions that plugins add to commands; plugins are loaded only where the command has no such action itself."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from deriva_ml_core.plugins import Plugins

log = logging.getLogger(__name__)


def add_plugin_commands(program: str, commands: Any, arguments: Sequence[str]) -> list[argparse.ArgumentParser]:
    """
    Add what plugins have for a command.

    Args:
        commands: what `add_subparsers` gave, with all of the command's own.
        arguments: the command line.

    Returns:
        The parsers that were made. Each has the default `run`, which takes the namespace and returns the exit code.
    """
    if next((word for word in arguments if not word.startswith("-")), None) in commands.choices:
        return []
    made: list[argparse.ArgumentParser] = []
    for plugin, subcommands in Plugins().gather("deriva_subcommands"):
        for one in (subcommand for subcommand in subcommands if subcommand.command == program):
            if one.name in commands.choices:
                log.warning("plugin %s, deriva_subcommands: %s has an action %s already", plugin, program, one.name)
                continue
            parser = commands.add_parser(one.name, help=f"{one.help} (plugin {plugin})", description=one.help)
            if one.add_arguments is not None:
                one.add_arguments(parser)
            parser.set_defaults(run=one.run)
            made.append(parser)
    return made

"""`deriva-ml-run --plugins`: which plugins there are, where they come from, what they do, what is wrong with them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from deriva_ml_core.plugins import PluginChoice, PluginInfo, Plugins

_TITLES = ("NAME", "DISTRIBUTION", "VERSION", "STATUS", "HOOKS")


def list_plugins(options: argparse.Namespace, tokens: Sequence[str]) -> int:
    """
    Print the plugins that a run here would have; 1 where one is broken.

    Raises:
        DerivaMLConfigurationError: the project's configuration, or an override, is wrong.
    """
    infos = [_with_version(info) for info in Plugins(_choice(options, tokens)).infos]
    if options.json:
        print(json.dumps([asdict(info) for info in infos], indent=2))
    else:
        print("\n".join(_lines(infos)))
    return int(any(info.status == "broken" for info in infos))


def _with_version(info: PluginInfo) -> PluginInfo:
    """Ours is looked up only where somebody wants to read it."""
    if info.source != "built-in":
        return info
    from importlib.metadata import version

    return replace(info, version=version("deriva-ml"))


def _choice(options: argparse.Namespace, tokens: Sequence[str]) -> PluginChoice:
    """What the project's configuration says; outside a project, all that is installed."""
    if not Path(options.config_dir).is_dir() and not tokens:
        return PluginChoice()
    from deriva_ml_core.cli import running
    from deriva_ml_core.config.plugin_options import plugin_choice

    project = running.open_project(options, tokens)
    with project.application as application:
        return plugin_choice(application.compose(project.overrides, sweep=True))


def _lines(infos: Sequence[PluginInfo]) -> list[str]:
    """A table; what is wrong stands below its line, in full."""
    rows = [
        (info.name, info.distribution or "-", info.version or "-", info.status, ", ".join(info.hooks)) for info in infos
    ]
    widths = [max(len(row[at]) for row in (_TITLES, *rows)) for at in range(len(_TITLES) - 1)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(_TITLES, widths, strict=False)), _TITLES[-1]])]
    for info, row in zip(infos, rows, strict=True):
        lines.append(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        )
        if info.error:
            lines.append(f"    {info.failure}")
    return lines

"""The options of deriva-ml-run and deriva-ml-run-notebook that ask for something else than a run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

INFO_TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
MENU = "menu"


def add_info_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """`--info [TOPIC]` under these names, and `--list-configs`."""
    help_text = f"list groups and options; with a topic, Hydra's own: {', '.join(INFO_TOPICS)}"
    parser.add_argument(*names, nargs="?", const=MENU, metavar="TOPIC", help=help_text)
    parser.add_argument("--list-configs", dest="info", action="store_const", const=MENU, help="the same as --info")


def check_modes(info: str | None, modes: Mapping[str, object]) -> None:
    """
    Refuse a topic that there is not, and more than one mode.

    Args:
        info: the topic.
        modes: option -> its value, for each option that excludes the others.

    Raises:
        DerivaMLConfigurationError: either of these.
    """
    if info is not None and info not in (MENU, *INFO_TOPICS):
        topics = ", ".join(INFO_TOPICS)
        raise DerivaMLConfigurationError(f"--info has no topic {info!r}{nearest(info, INFO_TOPICS)} (topics: {topics})")
    asked = [name for name, value in modes.items() if value]
    if len(asked) > 1:
        raise DerivaMLConfigurationError(f"only one of {' and '.join(asked)} at a time")

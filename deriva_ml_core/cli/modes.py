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


def add_resume_options(parser: argparse.ArgumentParser) -> None:
    """`--resume RID` and what goes with it."""
    parser.add_argument(
        "--resume", metavar="RID", help="run again those jobs of a sweep that are not Uploaded, under the same parent"
    )
    parser.add_argument(
        "--allow-other-code",
        action="store_true",
        help="with --resume: also where the code is no longer that of the sweep",
    )


def check_resume_options(options: argparse.Namespace) -> None:
    """
    Refuse what goes with `--resume` without it.

    Raises:
        DerivaMLConfigurationError: it does.
    """
    if options.allow_other_code and not options.resume:
        raise DerivaMLConfigurationError("--allow-other-code only goes with --resume")


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

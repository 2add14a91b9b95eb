"""bump-version: the next version of a project, as a tag of its repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deriva_ml_core.cli.main import ArgumentParser, add_common_options, completed, run_command
from deriva_ml_core.projects.releases import DEFAULT_PREFIX, DEFAULT_START, PARTS, bump_version

PROGRAM = "bump-version"
_ENVIRONMENT = f"""
environment variables:
  START   the version of the first tag ({DEFAULT_START})
  PREFIX  what stands before a version in a tag ({DEFAULT_PREFIX})
"""


def build_parser() -> ArgumentParser:
    """The command line."""
    import argparse

    parser = ArgumentParser(
        prog=PROGRAM,
        description="Tag the present commit of a project with its next version, and push it.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="?", choices=PARTS, default="patch", help="what to raise by one (%(default)s)")
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _bump(arguments), debug="--debug" in arguments)


def _bump(arguments: Sequence[str]) -> int:
    options = completed(build_parser()).parse_args(arguments)
    tag = bump_version(
        Path.cwd(),
        options.part,
        start=os.environ.get("START") or DEFAULT_START,
        prefix=os.environ.get("PREFIX", DEFAULT_PREFIX),
        say=lambda text: print(text, file=sys.stderr),
    )
    print(tag)
    return 0


if __name__ == "__main__":
    sys.exit(main())

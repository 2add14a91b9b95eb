"""deriva-ml-upload: what `deriva-ml-executions upload` does, with the options of the newer generation's command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deriva_ml_core.cli.connecting import add_connection_options
from deriva_ml_core.cli.finishing import add_upload_options, upload
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, configure_logging, run_parsed
from deriva_ml_core.errors import DerivaMLConfigurationError

PROGRAM = "deriva-ml-upload"


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog=PROGRAM, description="Upload the outputs that executions of a working folder have left on disk."
    )
    parser.add_argument(
        "--execution", metavar="RID", action="append", default=[], help="this one (repeatable); all that wait without"
    )
    parser.add_argument("--mode", choices=("online", "offline"), default="online", help="online is the only one")
    add_upload_options(parser)
    add_connection_options(parser)
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_parsed(build_parser, _run, argv)


def _run(options: argparse.Namespace) -> int:
    if options.mode == "offline":
        raise DerivaMLConfigurationError(
            "--mode offline: an upload needs the catalog; give --mode online, or leave it out"
        )
    configure_logging(quiet=options.quiet or not options.debug, debug=options.debug)
    return upload(options, options.execution)


if __name__ == "__main__":
    sys.exit(main())

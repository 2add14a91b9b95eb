"""`deriva-ml-executions upload`."""

from __future__ import annotations

import argparse
from typing import Any

from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.cli.finishing import add_upload_options, upload


def add(commands: Any) -> None:
    """Its options."""
    about = "upload the outputs that executions of this working folder have left on disk"
    parser = add_command(commands, "upload", about, run)
    parser.add_argument("rids", metavar="RID", nargs="*", help="these; all that wait where none is named")
    add_upload_options(parser)


def run(options: argparse.Namespace) -> int:
    """Finish what waits."""
    return upload(options, options.rids)

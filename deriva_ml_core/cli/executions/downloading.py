"""`deriva-ml-executions download`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command


def add(commands: Any) -> None:
    """Its options."""
    parser = add_command(commands, "download", "the files that an execution made, for you to look at", run)
    parser.add_argument("rid", metavar="RID", help="of an execution")
    parser.add_argument("names", metavar="FILE", nargs="*", help="only these, by name or RID")
    parser.add_argument("--to", metavar="DIR", type=Path, help="a new folder (outputs/RID, which is no code)")


def run(options: argparse.Namespace) -> int:
    """Fetch them, and print their paths."""
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.executions.fetching import fetch_outputs

    folder = options.to or Path("outputs", options.rid.upper())  # where files do not count as uncommitted code
    with connect(options) as ml, reporting.current().transfer("Downloading") as progress:
        paths = fetch_outputs(ml.session, options.rid, folder, ml.cache_dir, names=options.names, progress=progress)
    for path in paths:
        print(path)
    return 0

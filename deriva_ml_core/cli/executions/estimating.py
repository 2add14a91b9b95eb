"""`deriva-ml-executions estimate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command

if TYPE_CHECKING:
    from deriva_ml_core.datasets.estimates import BagInfo


def add(commands: Any) -> None:
    """Its options."""
    about = "what the download of a dataset would bring: rows, files, bytes, and what is here already"
    parser = add_command(commands, "estimate", about, run)
    parser.add_argument("datasets", metavar="DATASET", nargs="+", help="RID, or RID@VERSION")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print them; nothing is downloaded."""
    with connect(options) as ml:
        found = [ml.bag_info(dataset) for dataset in options.datasets]
    if options.json:
        print(json.dumps([info.document for info in found], indent=2))
        return 0
    for info in found:
        print("\n".join(_lines(info)))
    return 0


def _lines(info: BagInfo) -> Iterator[str]:
    yield str(info)
    yield from (f"  {table}: {number}" for table, number in info.rows.items() if number)

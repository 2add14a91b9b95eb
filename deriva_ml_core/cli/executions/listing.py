"""`deriva-ml-executions list`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command, console
from deriva_ml_core.cli.executions.words import STYLES, when

DEFAULT_LIMIT = 20


def add(commands: Any) -> None:
    """Its options."""
    parser = add_command(commands, "list", "the newest executions first", run)
    parser.add_argument("--status", metavar="STATUS", help="only these, e.g. Failed")
    parser.add_argument("--workflow", metavar="RID", help="only those of this workflow")
    parser.add_argument("--workflow-type", metavar="TERM", help="only those of this kind, e.g. Training")
    parser.add_argument("--limit", "-n", type=_count, default=DEFAULT_LIMIT, help="how many (%(default)s)")
    parser.add_argument("--all", action="store_true", help="however many")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    from deriva_ml_core.executions.listing import list_documents

    with connect(options) as ml:
        found = list_documents(
            ml.session,
            status=options.status,
            workflow=options.workflow,
            workflow_type=options.workflow_type,
            limit=None if options.all else options.limit,
        )
        place = f"catalog {ml.catalog_id} of {ml.hostname}"
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        _print_table(found)
    else:
        print(f"no such execution in {place}")
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _print_table(found: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from deriva_ml_core.executions.durations import duration_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("RID", "Status", "Created", "Time", "Workflow"):
        table.add_column(name, no_wrap=True)
    table.add_column("Description", ratio=1)  # may wrap, so that it alone gives way; its texts do not
    for one in found:
        table.add_row(
            one["rid"],
            Text(one["status"], STYLES.get(one["status"], "")),
            when(one["created"]),
            duration_words(one["durations"].get("execution")),
            Text(one["workflow"] or ""),
            Text(_last_word(one), no_wrap=True, overflow="ellipsis"),
        )
    console().print(table)


def _last_word(one: dict[str, Any]) -> str:
    """Why it failed; else what it was for."""
    return str((one["status"] == "Failed" and one["status_detail"]) or one["description"])

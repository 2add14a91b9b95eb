"""`deriva-ml-executions watch`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.cli.main import EXIT_FAILED
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.executions.watching import Look


def add(commands: Any) -> None:
    """Its options."""
    about = "follow a sweep that its launching process has left, until its record is complete"
    parser = add_command(commands, "watch", about, run)
    parser.add_argument("rid", metavar="PARENT", help="the sweep's own execution")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each look in which something changed"
    )


def run(options: argparse.Namespace) -> int:
    """Print what changes; 0 where all is Uploaded in the end."""
    from deriva_ml_core.executions.watching import watch

    status: Status | None = None
    with connect(options, recover=False) as ml:
        for look in watch(ml, options.rid):
            if look.changed or look.status is not status:
                print(_document(look) if options.json else _lines(look), flush=True)
            status = look.status
    return 0 if status is Status.uploaded else EXIT_FAILED


def _lines(look: Look) -> str:
    detail = f": {look.detail}" if look.detail else ""
    well = sum(child.well for child in look.children)
    lines = [f"{child.sequence}: {child.rid}  {child.status.value}{_why(child.detail)}" for child in look.changed]
    return "\n".join([*lines, f"{look.rid}  {look.status.value}{detail}  ({well} of {len(look.children)} Uploaded)"])


def _why(detail: str | None) -> str:
    return f": {detail}" if detail else ""


def _document(look: Look) -> str:
    children = [
        {"rid": one.rid, "sequence": one.sequence, "status": one.status.value, "status_detail": one.detail}
        for one in look.children
    ]
    document = {"rid": look.rid, "status": look.status.value, "status_detail": look.detail, "children": children}
    return json.dumps(document)

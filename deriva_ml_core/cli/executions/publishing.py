"""`deriva-ml-executions publish`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.cli.words import size
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.connection import DerivaML


def add(commands: Any) -> None:
    """Its options."""
    about = "copy executions into another catalog, with children, workflow, files and datasets; may be repeated"
    parser = add_command(commands, "publish", about, run)
    parser.add_argument("rids", metavar="RID", nargs="+", help="a parent stands for its children too")
    parser.add_argument("--to", metavar="HOST/CATALOG", required=True, help="the other catalog; local/NAME is embedded")
    parser.add_argument("--create-tables", action="store_true", help="define there the project's tables that it lacks")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Copy, and print which execution became which."""
    from deriva_ml_core.connection.local import where_to_look
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.publishing import publish

    with connect(options) as ml, _target(options.to) as other:
        done = publish(
            ml.session,
            other.session,
            options.rids,
            ml.working_dir,
            create_missing_tables=options.create_tables,
            say=reporting.current().say,
        )
        where = {rid: where_to_look(other.session, target) for rid, target in done.executions.items()}
    if options.json:
        document = {
            "executions": done.executions,
            "new_rows": done.made,
            "files": done.files,
            "bytes": done.bytes,
            "mapping": str(done.mapping),
        }
        print(json.dumps(document, indent=2))
        return 0
    for rid, place in where.items():
        print(f"{rid} -> {done.executions[rid]}  {place}")
    new = sum(done.made.values())
    print(f"{done.files} files ({size(done.bytes)}) and {new} rows are new there" if new else "all of it was there")
    return 0


def _target(text: str) -> DerivaML:
    from deriva_ml_core.connection import DerivaML

    host, slash, catalog = text.rpartition("/")
    if not (slash and host and catalog):
        raise DerivaMLConfigurationError(f"--to {text!r}: write HOST/CATALOG, such as www.example.org/1 or local/NAME")
    return DerivaML(host, catalog)

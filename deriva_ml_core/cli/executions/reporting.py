"""`deriva-ml-executions report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.errors import WorkingFolderError


def add(commands: Any) -> None:
    """Its options."""
    about = "one page of a sweep, with tables and charts, that needs nothing else to be looked at"
    parser = add_command(commands, "report", about, run)
    parser.add_argument("rid", metavar="RID", help="the parent; an execution without children has a page too")
    parser.add_argument("--to", metavar="FILE", type=Path, help="where to (outputs/report-RID.html)")
    parser.add_argument("--store", action="store_true", help="store it as an output of the execution, too")


def run(options: argparse.Namespace) -> int:
    """Write the page; print its path."""
    from deriva_ml_core.analysis.report import report_page
    from deriva_ml_core.analysis.report_storage import store_report

    with connect(options) as ml:
        page = report_page(ml.session, ml.cache_dir, options.rid)
        if options.store:
            print(f"stored as {store_report(ml.session, options.rid.upper(), page)}")
    path = options.to or Path("outputs", f"report-{options.rid.upper()}.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as err:
        raise WorkingFolderError(f"can't write {path}: {err.strerror or err}") from err
    print(path)
    return 0

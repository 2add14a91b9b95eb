"""`deriva-ml-executions upload`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.connection import DerivaML


def add(commands: Any) -> None:
    """Its options."""
    about = "upload the outputs that executions of this working folder have left on disk"
    parser = add_command(commands, "upload", about, run)
    parser.add_argument("rids", metavar="RID", nargs="*", help="these; all that wait where none is named")


def run(options: argparse.Namespace) -> int:
    """Finish what waits; the first problem's exit code, after all have been tried."""
    from deriva_ml_core.errors import DerivaMLException
    from deriva_ml_core.executions.reopening import waiting_executions

    code = 0
    with connect(options) as ml:
        rids = options.rids or waiting_executions(ml.working_dir)
        if not rids:
            print(f"nothing waits in {ml.working_dir}")
        for rid in rids:
            try:
                report = _finish(ml, rid)
                print(f"{rid}: uploaded {report.total_uploaded} file(s)")
            except DerivaMLException as err:
                print(f"error: {rid}: {' '.join(str(err).split())}", file=sys.stderr)
                code = code or err.exit_code
    return code


def _finish(ml: DerivaML, rid: str) -> UploadReport:
    """Upload what one execution has left; one whose process was killed is Failed, and stays it."""
    execution = ml.resume_execution(rid)
    if execution.status in (Status.created, Status.running):
        execution.update_status(Status.failed, error="its process ended without recording an end")
    return execution.commit_output_assets()

"""What `deriva-ml-executions upload` and `deriva-ml-upload` share: options, the work, and what they say."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.words import counted
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.connection import DerivaML
    from deriva_ml_core.executions.pending import Outcome, Waiting

MOST_ERRORS = 10
_MIB = 2**20


def add_upload_options(parser: argparse.ArgumentParser) -> None:
    """How to upload, and what to say."""
    parser.add_argument(
        "--failed", action="store_true", help="also what executions have left that failed or were stopped"
    )
    clean = parser.add_mutually_exclusive_group()
    clean.add_argument(
        "--clean", action="store_true", default=None, help="remove the files once all are in the catalog"
    )
    clean.add_argument(
        "--keep", dest="clean", action="store_false", help="keep them (the project says, without either)"
    )
    parser.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=3,
        help="how often files without an answer are tried again (%(default)s)",
    )
    parser.add_argument(
        "--retry-delay", metavar="S", type=float, default=5.0, help="seconds before the first of these (%(default)s)"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=float, nargs=2, help="seconds to connect and to wait for an answer (6 and 120)"
    )
    parser.add_argument("--chunk-mib", metavar="MIB", type=float, help="larger files go in chunks (by their size)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def upload(options: argparse.Namespace, named: Sequence[str]) -> int:
    """
    Finish what waits.

    Args:
        named: RIDs; where there are none, all executions whose model came to its end.

    Returns:
        The exit code: the first problem's, after all have been tried.
    """
    from deriva_ml_core.assets.manner import Manner
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.executions.pending import finish_all, waiting

    chunk_size = None if options.chunk_mib is None else int(options.chunk_mib * _MIB)
    timeout = tuple(options.timeout) if options.timeout else None
    manner = Manner(options.retries, options.retry_delay, timeout, chunk_size)  # refused before anything is asked
    with connect(options) as ml:
        left = [] if named else waiting(ml.working_dir)
        chosen = [one for one in left if (one.finished or options.failed) and not one.alive]
        rids = list(dict.fromkeys(named)) or [one.rid for one in chosen]
        reporter = reporting.SILENT if options.quiet or options.json else reporting.current()
        with reporter.transfer("outputs") as progress:
            done = list(finish_all(ml, rids, clean_folder=options.clean, manner=manner, progress=progress))
        _tell(options, ml, done, [one for one in left if one not in chosen])
    return next((outcome.exit_code for _, outcome in done if isinstance(outcome, DerivaMLException)), 0)


def _tell(options: argparse.Namespace, ml: DerivaML, done: Sequence[Outcome], others: Sequence[Waiting]) -> None:
    if options.json:
        print(json.dumps([_document(rid, outcome) for rid, outcome in done], indent=2))
        return
    if not done and not others:
        print(f"nothing waits in {ml.working_dir}")
    for rid, outcome in done:
        if not isinstance(outcome, DerivaMLException):
            print(f"{rid}: uploaded {counted(outcome.total_uploaded, 'file')}")
            for table, count in sorted(outcome.per_table.items()):
                print(f"  {table}: {count.uploaded}")
    errors = [(rid, outcome) for rid, outcome in done if isinstance(outcome, DerivaMLException)]
    for rid, error in errors[:MOST_ERRORS]:
        print(f"error: {rid}: {' '.join(str(error).split())}", file=sys.stderr)
    if len(errors) > MOST_ERRORS:
        print(f"error: and {len(errors) - MOST_ERRORS} more executions", file=sys.stderr)
    for one in others:
        why = "its process may be alive" if one.alive else "name it, or give --failed, to upload them too"
        print(f"left on disk: {one}; {why}")


def _document(rid: str, outcome: UploadReport | DerivaMLException) -> dict[str, Any]:
    if isinstance(outcome, DerivaMLException):
        return {"rid": rid, "uploaded": 0, "error": str(outcome)}
    tables = {table: count.uploaded for table, count in outcome.per_table.items()}
    return {
        "rid": rid,
        "uploaded": outcome.total_uploaded,
        "tables": tables,
        "warnings": outcome.warnings,
        "error": None,
    }

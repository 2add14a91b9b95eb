"""`deriva-ml-executions recover`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command


def add(commands: Any) -> None:
    """Its options."""
    about = "give executions whose process is gone their true end; those that may run are left alone"
    parser = add_command(commands, "recover", about, run)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Say what was done about each, and which outputs wait."""
    from deriva_ml_core.executions.pending import waiting
    from deriva_ml_core.executions.recovery import recover

    with connect(options, recover=False) as ml:
        found = list(recover(ml))
        left = [one.rid for one in waiting(ml.working_dir) if not one.alive]
        folder = ml.working_dir
    if options.json:
        said = [
            {"rid": one.rid, "status": one.status.value, "detail": one.detail, "left_alone": one.left_alone}
            for one in found
        ]
        print(json.dumps({"executions": said, "outputs_wait": left}, indent=2))
        return 0
    for one in found:
        detail = f" ({one.detail})" if one.detail else ""
        print(f"{one.rid}: {one.left_alone}" if one.left_alone else f"{one.rid}: {one.status.value}{detail}")
    if not found:
        print(f"nothing to recover in {folder}")
    if left:
        print(f"outputs wait on disk: deriva-ml-executions upload {' '.join(left)}")
    return 0

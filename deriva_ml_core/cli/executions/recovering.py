"""`deriva-ml-executions recover`."""

from __future__ import annotations

import argparse
from typing import Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command


def add(commands: Any) -> None:
    """It has no options of its own."""
    about = "give executions whose process is gone their true end; those that may run are left alone"
    add_command(commands, "recover", about, run)


def run(options: argparse.Namespace) -> int:
    """Say what was done about each, and which outputs wait."""
    from deriva_ml_core.executions.pending import waiting
    from deriva_ml_core.executions.recovery import recover

    with connect(options, recover=False) as ml:
        found = False
        for one in recover(ml):
            found = True
            detail = f" ({one.detail})" if one.detail else ""
            print(f"{one.rid}: {one.left_alone}" if one.left_alone else f"{one.rid}: {one.status.value}{detail}")
        if not found:
            print(f"nothing to recover in {ml.working_dir}")
        if left := [one.rid for one in waiting(ml.working_dir) if not one.alive]:
            print(f"outputs wait on disk: deriva-ml-executions upload {' '.join(left)}")
    return 0

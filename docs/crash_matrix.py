"""
The crash matrix of the documentation, from what the tests have seen: docs/crash-matrix/*.json, a file for each column.

    DERIVA_ML_WRITE_MATRIX=1 pytest tests/sweeps tests/slurm    write the files anew, from real runs
    python docs/crash_matrix.py                                  then the page
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
CELLS, PAGE = HERE / "crash-matrix", HERE / "reference" / "crash-matrix.md"
COLUMNS = ("single", "basic", "joblib", "submitit_local", "slurm")
EVENTS = {
    "exception": "an exception",
    "odd_exception": "an exception that can't be unpickled",
    "exit_0": "`sys.exit(0)` in the model",
    "exit_3": "`sys.exit(3)` in the model",
    "keyboard_interrupt": "`KeyboardInterrupt` raised in the model",
    "sigterm": "SIGTERM to the job's process",
    "sigkill": "SIGKILL to the job's process",
    "os_exit": "`os._exit(7)`",
    "memory": "out of memory (a limit of the address space)",
    "disk_full": "the disk is full when the outputs are uploaded",
    "catalog_at_start": "the catalog is unreachable at the start",
    "catalog_away": "the catalog becomes unreachable during the job, and is back before its end",
    "catalog_gone": "the catalog becomes unreachable during the job, and stays so",
    "launcher_ctrl_c": "Ctrl-C to the launching process",
    "launcher_sigterm": "SIGTERM to the launching process",
    "launcher_sigkill": "SIGKILL to the launching process",
    "launcher_detached": "Ctrl-C to the launching process, and the jobs are left running at the user's choice",
    "timeout": "SLURM time-out",
    "timeout_restarts": "SLURM time-out, restarts allowed",
    "timeout_deaf": "SLURM time-out, and the model ignores the warning",
    "scancel": "scancel",
    "requeue": "scontrol requeue",
    "preemption": "preemption",
    "preemption_no_requeue": "preemption of a job that may not be requeued",
    "node_lost": "the node is lost",
    "node_cut_off": "the node is lost to SLURM, which starts the job again, but the old process lives",
}
OF_SLURM = EVENTS.keys() - {*list(EVENTS)[: list(EVENTS).index("launcher_detached")]}
"""Only SLURM does these; every other cell is there."""
REMARKS = {
    ("sigterm", "submitit_local"): "submitit's processes ignore it",
    ("sigterm", "slurm"): "submitit's processes ignore it, since SLURM sends it before a preemption",
}
INTRODUCTION = """\
# What is recorded when something dies

Each cell is what the catalog says of the job (of the jobs that ran, where the launching process is the one that dies)
after a real run in which it was done. In every cell of a sweep there is one parent, one child for each job with its
number, the outputs of the other jobs are in the catalog, what the job had staged is kept on disk, and the exit code of
the command is not 0 unless all went well.

The tests write this page, and fail where it is no longer so: `tests/sweeps/test_crash_matrix.py`,
`tests/sweeps/test_launching_process.py`, `tests/sweeps/test_catalog_away.py`, `tests/slurm`. "(recovered)": after
`deriva-ml-executions recover`, or any later command on the same working folder, because the process that would have
told the catalog was itself killed, or could not reach it. "of SLURM": nothing else does this.

Under `basic`, and in a run alone, the job's process is the launching process: what ends one ends both, and the jobs
that had no turn are Aborted. `deriva-ml-run --resume` runs what is left.

"""


def render() -> str:
    """The page."""
    files = {path.stem: json.loads(path.read_text()) for path in sorted(CELLS.glob("*.json"))}
    columns = [*(name for name in COLUMNS if name in files), *(name for name in files if name not in COLUMNS)]
    known = {event for cells in files.values() for event in cells}
    events = [*(event for event in EVENTS if event in known), *sorted(known - EVENTS.keys())]
    lines = [f"| what happens | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    for event in events:
        cells = (_cell(files[column].get(event), event, column) for column in columns)
        lines.append(f"| {EVENTS.get(event, event)} | {' | '.join(cells)} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def _cell(found: dict[str, object] | None, event: str, column: str) -> str:
    """
    What one cell says.

    Raises:
        KeyError: no test has seen it, though it makes sense.
    """
    if found is None:
        if event in OF_SLURM:
            return "of SLURM"
        raise KeyError(f"no test has seen {event} under {column}")
    said = found.get("reason") or REMARKS.get((event, column))
    reason = f": {said}" if said else ""
    recovered = " (recovered)" if found.get("recovered") else ""
    return f"{found['status']}{recovered}{reason}".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render())

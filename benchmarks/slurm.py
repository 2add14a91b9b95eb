"""
What does a sweep on SLURM cost, and how soon is a killed job recorded as such?

    python benchmarks/slurm.py                  20 jobs, on a cluster of this host that it starts (as root)
    python benchmarks/slurm.py --jobs 20 100

The time from the kill of a job's process to its true status is compared with SLURM's own: sacct's delay.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _harness import Figure, Sample, alternate, cannot, command, program, report
from sweeps import COMMANDS, make_project, timed

MOST_AFTER_SACCT_S = 5.0
QUESTION = "How soon does the record say that SLURM's job was killed?"
LAUNCHER = ("hydra/launcher=submitit_slurm",)
SLEEPER = """\
import time
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    '''Run until it is killed.'''
    time.sleep(600 if epochs == 7 else 0)
"""


def wait(condition: Callable[[], object], seconds: float = 120) -> float:
    """When it has come true."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.1)
    return time.monotonic()


def cost(root: Path, env: dict[str, str], jobs: int, runs: int) -> tuple[Sample, Sample]:
    """Ours and the bare application, in turn."""
    sweep = ["--multirun", f"model_config.rate=range({jobs})", *LAUNCHER]
    ours = [str(COMMANDS / "deriva-ml-run"), *sweep]
    bare = [sys.executable, "bare.py", *sweep, "~hydra.callbacks.deriva_ml", "hydra.sweep.dir=outputs/bare"]
    paths = {**env, "PYTHONPATH": str(root / "src")}  # submitit's own jobs don't inherit sys.path
    subjects = {
        f"bare: {jobs} jobs": command(*bare, cwd=root, env=paths),
        f"recorded: {jobs} jobs": command(*ours, cwd=root, env=env),
    }
    first, second = alternate(subjects, runs, warm_ups=0).values()
    return first, second


def kill_delays(root: Path, env: dict[str, str], folder: Path) -> tuple[float, float]:
    """Seconds from the kill of a job to its status in the journal, which the catalog hears with it, and to sacct's."""
    known = set(folder.glob("*/journal.json"))
    argv = [str(COMMANDS / "deriva-ml-run"), "--multirun", "model_config.epochs=7", "model_config.rate=1,2", *LAUNCHER]
    with subprocess.Popen(argv, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def running() -> list[tuple[Path, dict]]:
            found = [(path, json.loads(path.read_text())) for path in set(folder.glob("*/journal.json")) - known]
            return [(p, e) for p, e in found if e["parent"] and e["status"] == "Running"]

        wait(lambda: len(running()) == 2)
        path, entry = running()[0]
        slurm = entry["slurm"]
        job = f"{slurm['array_job_id']}_{slurm['array_task_id']}"
        os.kill(entry["owner"]["pid"], signal.SIGKILL)
        killed = time.monotonic()
        sacct = ["sacct", "-n", "-P", "-X", "-j", job, "-o", "State"]
        seen: dict[str, float] = {}

        def look() -> bool:
            if "ours" not in seen and json.loads(path.read_text())["status"] == "Failed":
                seen["ours"] = time.monotonic() - killed
            state = subprocess.run(sacct, env=env, capture_output=True, text=True, check=False).stdout.strip()
            if "sacct" not in seen and state not in ("", "RUNNING", "PENDING"):
                seen["sacct"] = time.monotonic() - killed
            return len(seen) == 2

        wait(look)
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    return seen["ours"], seen["sacct"]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[20])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, env = make_project(Path(folder))
        import slurm_cluster  # make_project has put tests/fixtures on the path

        if why := slurm_cluster.missing():
            return cannot(QUESTION, why)
        (Path(folder) / "cluster").mkdir()
        with slurm_cluster.running_cluster(Path(folder) / "cluster") as cluster:
            return measure(root, env | cluster.environment, options)


def measure(root: Path, env: dict[str, str], options: argparse.Namespace) -> int:
    """All of it, with the catalog served."""
    samples: dict[str, Sample] = {}
    figures: list[Figure] = []
    serve = [COMMANDS / "deriva-ml-catalog", "serve"]
    with subprocess.Popen(serve, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            env["DERIVA_ML_LOCAL_URL"] = server.stdout.readline().split()[-1]
            timed([str(COMMANDS / "deriva-ml-run")], root, env)
            for jobs in options.jobs:
                bare, ours = cost(root, env, jobs, options.runs)
                samples |= {bare.name: bare, ours.name: ours}
                added = (ours.median - bare.median) / jobs
                figures.append(Figure(f"added time for each child: {jobs} jobs", added, None, "s"))
            (root / "src/models/model.py").write_text(SLEEPER)
            folder = Path(env["HOME"]) / ".deriva-ml/local/demo/deriva-ml/execution"
            delays = [kill_delays(root, env, folder) for _ in range(options.kills)]
        finally:
            server.send_signal(signal.SIGTERM)
    worst = max(ours - sacct for ours, sacct in delays)
    figures += [
        Figure.median("from the kill of a job to sacct's word", (sacct for _, sacct in delays), None, "s"),
        Figure.median("from the kill of a job to its true status", (ours for ours, _ in delays), None, "s"),
    ]
    figures.insert(0, Figure("true status after sacct's word, worst", worst, MOST_AFTER_SACCT_S, "s"))
    return report(QUESTION, samples, figures)


if __name__ == "__main__":
    program(main)

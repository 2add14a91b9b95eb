"""What a job of a sweep asks of the server: a figure that is published, counted where the requests arrive."""

from __future__ import annotations

import os
import subprocess
import sys

from deriva_ml_core.executions.recorder import parse_times

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(execution.execution_rid)
"""
COUNT = """
import sys
from deriva_ml_core.local_catalog.app import Application
count, answer = [], Application.__call__
def counting(self, environ, start_response):
    count.append(environ["PATH_INFO"])
    return answer(self, environ, start_response)
Application.__call__ = counting
from deriva_ml_core.local_catalog import LocalServer
LocalServer.store_object = lambda *_, **__: None  # as of a server elsewhere, which is asked for each object
LocalServer.store_small = lambda *_: iter(())
from deriva_ml_core.cli.run import main
code = main(["--multirun", *sys.argv[1:]])
print("requests", len(count))
sys.exit(code)
"""
MOST_FOR_A_JOB = 14


def requests_of_a_sweep(project, jobs: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, f"model_config.rate=range({jobs})"],
        cwd=project.root,
        env={**os.environ, "HOME": str(project.home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_a_job_with_an_output_makes_few_requests(demo_project, demo_rows):
    """So many more for each further job; when each model started and stopped is told for all in one request."""
    project = demo_project(MODEL)

    two, six = requests_of_a_sweep(project, 2), requests_of_a_sweep(project, 6)

    assert (six - two) / 4 <= MOST_FOR_A_JOB
    snapshots = [row for row in demo_rows("Execution_Metadata") if row["Filename"].startswith("environment_snapshot")]
    assert len(snapshots) == 2 + 2 + 6
    assert all(parse_times(row["Description"]) for row in snapshots)

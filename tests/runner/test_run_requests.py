"""How many requests a whole `deriva-ml-run` makes: a figure that is published, counted where they arrive."""

import os
import subprocess
import sys

MODEL = """
import time

def train(epochs=1, rate=0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", "weights.txt").write_text(str(rate))
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
from deriva_ml_core.cli.run import main
code = main([])
print("requests", len(count))
sys.exit(code)
"""
MOST = 30


def requests_of_a_run(project) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=project.root,
        env={**os.environ, "HOME": str(project.home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_a_run_without_input_makes_at_most_thirty_requests(demo_project):
    """The first, with its workflow to register; and a later one of the same code, with a lock file and a diff."""
    project = demo_project(MODEL)
    first = requests_of_a_run(project)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=project.root, check=True)
    project.write("uv.lock", "version = 1")
    project.write("notes.py", "# not committed")
    second = requests_of_a_run(project)
    third = requests_of_a_run(project)

    assert max(first, second, third) <= MOST, (first, second, third)

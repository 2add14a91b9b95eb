"""Small jobs in a few threads."""

from __future__ import annotations

import subprocess
import sys

AT_THE_END = """
import atexit, concurrent.futures
from deriva_ml_core.assets.transfer import in_parallel

atexit.register(lambda: print(sorted(one.answer for one in in_parallel(range(5), lambda job: job * job, workers=2))))
"""


def test_an_interpreter_that_ends_does_them_in_turn():
    """It starts no threads any more; the report of a sweep whose sweeper failed is written then."""
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=120, check=False)

    assert (done.stdout, done.stderr) == ("[0, 1, 4, 9, 16]\n", "")

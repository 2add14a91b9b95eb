"""One holder at a time, and no lock outlives its holder."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from deriva_ml_core.assets.locks import file_lock
from deriva_ml_core.errors import WorkingFolderError


def test_a_killed_holder_lets_go(tmp_path):
    """Kill -9 of the process that holds a lock: the next one gets it."""
    path = tmp_path / "x.lock"
    code = f"""
import sys, time
from pathlib import Path
from deriva_ml_core.assets.locks import file_lock
with file_lock(Path({str(path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    got = threading.Event()

    def take():
        with file_lock(path):
            got.set()

    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        thread = threading.Thread(target=take)
        thread.start()
        assert not got.wait(0.2)
        os.kill(process.pid, signal.SIGKILL)
        thread.join(30)

    assert got.is_set()


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    """A cache folder that is a file is told as what it is."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(WorkingFolderError, match=r"x\.lock"), file_lock(tmp_path / "cache" / "x.lock"):
        raise AssertionError("the lock was taken")

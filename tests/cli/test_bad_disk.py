"""A working folder that takes no files: one line, exit code 2, nothing recorded, nothing left. On real file systems."""

from __future__ import annotations

import contextlib

import pytest


def fill(folder):
    """Not one more byte."""
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("arguments", [(), ("dry_run=true",)])
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_no_files(demo_project, demo_rows, small_disk, read_only, fault, arguments):
    """Found out before anything is recorded; the message names the folder and the reason."""
    disk = small_disk(65536)
    if fault == "full":
        fill(disk)
    else:
        read_only(disk)
    recorded = len(demo_rows("Execution"))

    result = demo_project().run(f"deriva_ml.working_dir={disk}/work", *arguments)

    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert f"{disk}/work" in result.stderr
    assert {"full": "No space left", "read-only": "Read-only"}[fault] in result.stderr
    assert "deriva_ml.working_dir=DIR" in result.stderr
    assert len(demo_rows("Execution")) == recorded
    assert {path.name for path in disk.iterdir()} <= {"ballast"}


FILLS_ITS_DISK = """\
import contextlib, logging
from pathlib import Path

def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    with open(execution.working_dir / "ballast", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    for number in range(30):
        logging.getLogger("model").info("line %d", number)
"""


def test_a_log_that_takes_no_more_is_told_once(demo_project, small_disk):
    """Python's own way is a traceback for each line, in which nobody finds how the run ended."""
    disk = small_disk(1024 * 1024)

    result = demo_project(FILLS_ITS_DISK).run(f"deriva_ml.working_dir={disk}/work")

    assert "Logging error" not in result.stderr
    assert result.stderr.count("warning: the log ") == 1
    assert "Uploaded" in result.stderr

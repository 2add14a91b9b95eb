"""A working folder that takes no files: one line, exit code 2, nothing recorded, nothing left. On real file systems."""

from __future__ import annotations

import contextlib
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Not one more byte."""
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("arguments", [(), ("dry_run=true",)])
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_no_files(demo_project, demo_rows, small_disk, fault, arguments):
    """Found out before anything is recorded; the message names the folder and the reason."""
    if fault == "full":
        fill(small_disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    recorded = len(demo_rows("Execution"))

    result = demo_project().run(f"deriva_ml.working_dir={small_disk}/work", *arguments)

    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert f"{small_disk}/work" in result.stderr
    assert {"full": "No space left", "read-only": "Read-only"}[fault] in result.stderr
    assert len(demo_rows("Execution")) == recorded
    assert {path.name for path in small_disk.iterdir()} <= {"ballast"}

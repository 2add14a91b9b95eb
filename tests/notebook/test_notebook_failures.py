"""However a notebook ends, what it has come to is kept, and the record says how it ended and where."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest
from notebook_fixture import FIRST_CELL, LAST_CELL, Record

STAGE = 'execution.asset_file_path("Execution_Asset", "half.txt").write_text("half")'
NOTEBOOK = "notebooks/analysis.ipynb"


def assert_kept(record: Record, status: str, detail: str) -> None:
    """The partial notebook, its renderings with the error marked, and what was staged."""
    run = record.only
    assert run["Status"] == status
    assert re.search(detail, run["Status_Detail"]), run["Status_Detail"]
    assert {"half.txt", "analysis.ipynb", "analysis.md", "analysis.html"} <= record.names()
    for name in ("analysis.md", "analysis.html"):
        assert "This notebook did not come to its end." in record.text(name)
        assert "Error here." in record.text(name)
    assert "done before" in record.text("analysis.md")
    assert "never reached" not in record.text("analysis.md").replace("print('never reached')", "")


@pytest.fixture
def half(notebooks):
    """Call it with the cell in which the notebook ends: a project with it."""

    def make(cell: str):
        project = notebooks()
        project.write(f"{STAGE}\nprint('done before')", cell, "print('never reached')", LAST_CELL)
        return project

    return make


def test_an_exception_is_told_with_its_cell_and_a_short_traceback(half):
    """Exit code 1; the console has the cell's source and where in it."""
    project = half("def divide(n):\n    return 1 / n\n\ndivide(0)")

    done = project.run(NOTEBOOK, code=1)

    record = project.record()
    assert_kept(record, "Failed", r"^cell 3 of 5: ZeroDivisionError: division by zero$")
    assert "  | divide(0)" in done.stderr
    assert "return 1 / n" in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stderr.rstrip().endswith("error: cell 3 of 5: ZeroDivisionError: division by zero")
    assert "\x1b" not in record.text("analysis.md")
    assert "ZeroDivisionError" in record.text("analysis.md")
    assert record.notebook().cells[2].outputs[0].output_type == "error"
    assert record.only["Execution_Duration"]


def test_a_dead_kernel_is_told_as_such(half):
    """Out of memory, say: nothing in the notebook can tell it."""
    project = half("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")

    project.run(NOTEBOOK, code=1)

    assert_kept(project.record(), "Failed", r"^cell 3 of 5: the kernel was killed by SIGKILL \(out of memory\?\)$")


def test_a_cell_that_takes_too_long_is_interrupted(notebooks):
    """Its traceback says where it was. No run_notebook here: on a busy host that may take as long."""
    project = notebooks()
    project.write("print('done before')", "import time\ntime.sleep(3600)", "print('never reached')", first=None)

    project.run(NOTEBOOK, "--timeout", "20", code=1)

    record = project.record()
    assert record.only["Status"] == "Failed"
    assert record.only["Status_Detail"] == "cell 2 of 3: TimeoutError: the cell took longer than 20 s"
    assert "time.sleep(3600)" in record.text("analysis.md")
    assert "KeyboardInterrupt" in record.text("analysis.md")
    assert "done before" in record.text("analysis.md")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_records_it(half, number):
    """Ctrl-C, and what a cluster sends: the run is Aborted, and no kernel stays behind."""
    project = half("import time\nprint('waiting')\ntime.sleep(3600)")
    process = project.start(NOTEBOOK, "--log-output")
    seen = wait_for(process, "waiting")

    process.send_signal(number)

    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, seen + out
    assert_kept(project.record(), "Aborted", "^cell 3 of 5: .*(Ctrl-C|SIGTERM)")
    assert kernels_of(project) == []


def test_a_command_that_is_killed_leaves_what_recovery_completes(half):
    """Kill -9: the kernel ends with it, the next command records the end, and the staged outputs can be uploaded."""
    project = half("import time\nprint('waiting')\ntime.sleep(3600)")
    process = project.start(NOTEBOOK, "--log-output")
    wait_for(process, "waiting")
    process.kill()
    process.communicate(timeout=60)

    recovered = project.project.run("recover", command="deriva-ml-executions")
    rid = project.record().only["RID"]
    project.project.run("upload", rid, command="deriva-ml-executions")

    record = project.record()
    assert f"{rid}: Failed" in recovered.stdout, recovered.stdout + recovered.stderr
    assert record.only["Status"] == "Failed"
    assert record.text("half.txt") == "half"


def test_a_notebook_that_fails_before_its_execution_is_recorded_by_the_command(notebooks):
    """No run is unrecorded, not even one that does not get as far as run_notebook."""
    project = notebooks()
    project.write(first="import no_such_module\n" + FIRST_CELL)

    done = project.run(NOTEBOOK, code=1)

    record = project.record()
    assert "has not called run_notebook" in done.stderr
    assert record.only["Status"] == "Failed"
    assert record.only["Status_Detail"].startswith("cell 1 of 1: ModuleNotFoundError")
    assert "analysis.md" in record.names()


def test_a_notebook_that_fails_after_its_upload_has_failed(notebooks):
    """Uploaded would be a lie."""
    project = notebooks()
    project.write(STAGE, LAST_CELL, "raise ValueError('too late')")

    project.run(NOTEBOOK, code=1)

    record = project.record()
    assert record.only["Status"] == "Failed"
    assert record.only["Status_Detail"] == "cell 4 of 4: ValueError: too late"
    assert {"half.txt", "analysis.md"} <= record.names()


def test_input_that_run_notebook_refuses_is_recorded_nowhere(notebooks):
    """A dataset that the catalog does not have: found in the kernel, refused as if found before."""
    project = notebooks()
    project.write()

    done = project.run(NOTEBOOK, "datasets=training_data", code=2)

    assert "1-ABCD" in done.stderr.splitlines()[-1]
    assert project.record().executions == []


def wait_for(process: subprocess.Popen, text: str) -> str:
    """Read a process's output until a line has the text."""
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line and not line.startswith("cell"):
            return seen
    raise AssertionError(f"it ended without {text!r}: {seen}")


def kernels_of(project) -> list[int]:
    """Processes of kernels that run with the project's home."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "ipykernel_launcher" in " ".join(process.info["cmdline"] or ()):
            try:
                ours = process.environ().get("HOME") == str(project.project.home)
            except psutil.Error:
                continue
            if ours:
                found.append(process.pid)
    return found

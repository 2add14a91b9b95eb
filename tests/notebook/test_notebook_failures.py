"""However a notebook ends, what it has come to is kept, and the record says how it ended and where."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from notebook_fixture import FIRST_CELL, LAST_CELL, Record, wait_for

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


DEATHS = {
    "os.kill(os.getpid(), signal.SIGKILL)": r"was killed by SIGKILL \(out of memory\?\)",
    "os.kill(os.getpid(), signal.SIGSEGV)": "was killed by SIGSEGV",
    "os._exit(7)": "ended with exit code 7",
}


@pytest.mark.parametrize("cell", DEATHS)
def test_a_dead_kernel_is_told_as_such(half, cell):
    """Out of memory, say: nothing in the notebook can tell it."""
    project = half(f"import os, signal\n{cell}")

    project.run(NOTEBOOK, code=1)

    assert_kept(project.record(), "Failed", f"^cell 3 of 5: the kernel {DEATHS[cell]}$")


FILL = """\
with open(execution.working_dir.parent / "ballast", "wb", buffering=0) as ballast:
    try:
        while ballast.write(bytes(4096)):
            pass
    except OSError:
        print("it is full")
"""


def test_a_disk_that_is_full_in_the_end_fails_the_run(notebooks, small_disk):
    """No execution is Uploaded that lacks its notebook. Its end is recorded when there is room, as that of a model."""
    project = notebooks()
    project.write(STAGE, FILL, "print('the last cell')")
    disk = small_disk(3_000_000)

    done = project.run(NOTEBOOK, f"deriva_ml.working_dir={disk}", code=1)

    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    kept = re.search(r"the executed notebook is kept in (\S+)", done.stderr)[1]
    assert (Path(kept) / "analysis.ipynb").is_file()
    next(disk.rglob("ballast")).unlink()
    recovered = project.project.run("recover", "--working-dir", str(disk), command="deriva-ml-executions")
    record = project.record()
    assert record.only["Status"] == "Failed", recovered.stdout + recovered.stderr


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


def test_a_notebook_that_is_too_large_for_the_disk_has_failed(notebooks, small_disk):
    """There is room for the record, but not for the notebook: its cells have run, but Uploaded would be a lie."""
    project = notebooks()
    project.write(STAGE, "print('x' * 4_000_000)")

    done = project.run(NOTEBOOK, f"deriva_ml.working_dir={small_disk(3_000_000)}", code=1)

    record = project.record()
    assert record.only["Status"] == "Failed", done.stderr
    assert "can't be written" in record.only["Status_Detail"]
    assert "No space left on device" in record.only["Status_Detail"]
    assert "half.txt" in record.names()
    assert "never registered" not in done.stderr


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

"""How a run of run_model ends, in a process of its own, whatever the model does: status, exit code, outputs."""

import os
import signal
import subprocess
import sys

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.cli.executions import main
from deriva_ml_core.executions.journal import executions_folder, read_entry
from deriva_ml_core.executions.recorder import parse_times
from deriva_ml_core.executions.signals import TOLD_TO_END, Terminated, one_interrupt, termination_raises
from deriva_ml_core.executions.states import Status

SCRIPT = """
import os, signal, sys
from deriva_ml_core.cli.main import run_command
from deriva_ml_core.runner import run_model
from deriva_ml_core.workflows import Workflow

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)

class Mute(Exception):
    def __str__(self):
        return str(1 / 0)

def model(ml_instance, execution):
    print("the model's own words")
    execution.asset_file_path("Execution_Asset", "weights.txt").write_text("w")
    {body}

where = {{"hostname": "local", "catalog_id": sys.argv[1], "working_dir": sys.argv[2]}}
call = lambda: run_model(where, [], [], "A run", Workflow(name="w", workflow_type="Training"), model)
sys.exit(run_command(call))
"""


@pytest.fixture
def run(local_server, ml_session, tmp_path, monkeypatch):
    """Call it with the model's last line: the process that ran it, and its record's row and journal."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(local_server.path))

    def start(body: str) -> tuple[subprocess.CompletedProcess, dict, object]:
        command = [sys.executable, "-c", SCRIPT.format(body=body), ml_session.catalog_id, str(tmp_path / "work")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=os.environ.copy())
        (folder,) = executions_folder(tmp_path / "work").iterdir()
        return done, rows.select_by_rids(ml_session, "Execution", [folder.name])[folder.name], read_entry(folder)

    return start


ENDS = {
    "returns": ("return", 0, "Uploaded", None),
    "exception": ("raise ValueError('no convergence')", 1, "Failed", "ValueError: no convergence"),
    "odd exception": ("raise Odd(1, 2)", 1, "Failed", "Odd: (1, 2)"),
    "sys.exit(3)": ("sys.exit(3)", 3, "Failed", "SystemExit: 3"),
    "sys.exit(0)": ("sys.exit(0)", 1, "Failed", "SystemExit: 0"),
    "Ctrl-C": ("raise KeyboardInterrupt", 130, "Aborted", "KeyboardInterrupt"),
    "SIGINT": ("os.kill(os.getpid(), signal.SIGINT); signal.pause()", 130, "Aborted", "KeyboardInterrupt"),
    "no UTF-8": (r"raise OSError('no file \udcff\0')", 1, "Failed", "OSError: no file \ufffd\ufffd"),
    "no message": ("raise Mute", 1, "Failed", "Mute: (no message: its __str__ raised ZeroDivisionError)"),
    "no stderr": ("sys.stderr = None", 0, "Uploaded", None),
    "stderr closed": ("sys.stderr.close()", 0, "Uploaded", None),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", 143, "Aborted", "Terminated: "),
    "SIGHUP": ("os.kill(os.getpid(), signal.SIGHUP); signal.pause()", 129, "Aborted", "Terminated: "),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_record_and_the_exit_code_tell_how_it_ended(run, name):
    """Status and reason in the catalog and in the journal, the exit code for the shell; nothing staged is lost."""
    body, code, status, detail = ENDS[name]
    done, row, entry = run(body)

    assert code == done.returncode, done.stderr
    assert status == row["Status"] == entry.status.value
    assert detail is None or row["Status_Detail"].startswith(detail)
    assert entry.stop_time is not None
    kept = entry.rid in done.stderr and "files kept in" in done.stderr
    assert kept == (status != "Uploaded")


def test_the_models_own_output_is_its_own(run):
    """Stdout holds what the model printed, and nothing else; we speak on stderr."""
    done, row, _ = run("return")

    assert done.stdout == "the model's own words\n"
    assert f"Execution {row['RID']}: Uploaded" in done.stderr
    assert "Execution_Asset: weights.txt" in done.stderr
    assert f"deriva-ml-executions show {row['RID']}" in done.stderr


def test_threads_that_a_model_leaves_are_named(run):
    """The record is complete, and yet the command does not come back: its last line says what it waits for."""
    done, row, _ = run("""
    import threading
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    ThreadPoolExecutor(1, thread_name_prefix="idle").submit(print)
    ProcessPoolExecutor(1).submit(print)
    threading.Thread(target=threading.Event().wait, daemon=True, name="daemon").start()

    def load_for_ever():
        threading.main_thread().join()
        for watch in threading.enumerate():
            if watch.name == "deriva-ml-left-threads":
                watch.join()

    threading.Thread(target=load_for_ever, name="loader").start()
    """)

    assert (done.returncode, row["Status"]) == (0, "Uploaded"), done.stderr
    assert (
        done.stderr.splitlines()[-1] == "warning: the process ends when the threads do that the model has left: loader"
    )


def test_a_second_sigterm_does_not_cut_short_what_records_the_first(run):
    """Schedulers send it more than once."""
    body = "import threading; [threading.Timer(t, os.kill, (os.getpid(), signal.SIGTERM)).start() for t in (0, 0.05)]"
    _, row, _ = run(body + "; signal.pause(); signal.pause()")

    assert row["Status"] == "Aborted"


FORKED = {
    "returns": ("return", 0),
    "raises": ("raise ValueError('not the parent')", 1),
    "leaves": ("sys.exit(0)", 0),
    "leaves with a word": ("sys.exit('the child has no more to say')", 1),
}


@pytest.mark.parametrize("name", FORKED)
def test_a_child_that_the_model_forks_has_no_part_in_the_record(run, name):
    """It would end the run, and upload its outputs, before the parent has written them."""
    ends, code = FORKED[name]
    done, row, entry = run(f"""
    if os.fork() == 0:
        {ends}
    status = os.waitstatus_to_exitcode(os.wait()[1])
    execution.asset_file_path("Execution_Asset", "status.txt").write_text(str(status))
    assert status == {code}, status
    """)

    assert done.returncode == 0, done.stderr
    assert (row["Status"], [change.status.value for change in entry.changes].count("Uploaded")) == ("Uploaded", 1)
    assert done.stderr.count(f"Execution {row['RID']}: ") == 1
    assert all(name in done.stderr for name in ("status.txt", "weights.txt"))
    for word in ("not the parent", "the child has no more to say"):
        assert (word in done.stderr) == (word in ends)


def test_a_killed_run_is_in_its_journal(run):
    """SIGKILL leaves no time to say anything: the journal tells a later command who ran it and how far it came."""
    done, row, entry = run("os.kill(os.getpid(), signal.SIGKILL)")

    assert done.returncode == -signal.SIGKILL
    assert ("Running", Status.running) == (row["Status"], entry.status)
    assert entry.owner.is_alive is False
    assert entry.heartbeat >= entry.start_time


def test_what_a_killed_run_has_staged_can_be_uploaded_and_it_is_failed(run, ml_session, tmp_path):
    """`deriva-ml-executions upload` brings the outputs; the status is never Uploaded."""
    _, row, _ = run("os.kill(os.getpid(), signal.SIGKILL)")
    place = ["--host", "local", "--catalog", ml_session.catalog_id, "--working-dir", str(tmp_path / "work")]

    assert main(["upload", row["RID"], *place]) == 0
    again = rows.select_by_rids(ml_session, "Execution", [row["RID"]])[row["RID"]]
    assert (again["Status"], again["Status_Detail"]) == ("Failed", "its process ended without recording an end")
    assert "weights.txt" in {row["Filename"] for row in rows.select(ml_session, "Execution_Asset")}


def test_a_catalog_that_is_gone_at_the_end_is_exit_code_three_and_nothing_is_lost(run, ml_session, tmp_path):
    """One line with the command; that command makes the record whole, with the original times."""
    done, row, entry = run("ml_instance._local.server.stop()")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]

    assert done.returncode == 3
    assert ("Running", Status.pending_upload) == (row["Status"], entry.status)
    assert len(lines) == 1
    assert f"finish with: deriva-ml-executions upload {row['RID']}" in lines[0]

    place = ["--host", "local", "--catalog", ml_session.catalog_id, "--working-dir", str(tmp_path / "work")]
    assert main(["upload", *place]) == 0
    again = rows.select_by_rids(ml_session, "Execution", [row["RID"]])[row["RID"]]
    assert again["Status"] == "Uploaded"
    descriptions = [one["Description"] for one in rows.select(ml_session, "Execution_Metadata")]
    times = (entry.start_time.isoformat(), entry.stop_time.isoformat())
    assert [times] == [found for text in descriptions if (found := parse_times(text))]


def test_a_handler_of_somebody_elses_stays():
    """Submitit ignores SIGTERM on purpose; ours must not replace it."""
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with termination_raises():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert seen == [signal.SIGTERM]


@pytest.mark.parametrize("number", TOLD_TO_END)
def test_the_handler_of_before_is_back_afterwards(number):
    """A library that keeps a signal to itself is a nuisance."""
    assert signal.getsignal(number) is signal.SIG_DFL
    with termination_raises():
        assert signal.getsignal(number) is not signal.SIG_DFL

    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_hears_the_first_of_the_signals_that_end_it(first, second):
    """The closed terminal sends one, the process that launched it another, while the worker records the first."""
    recorded = []
    with one_interrupt(), termination_raises():
        try:
            os.kill(os.getpid(), first)
        except (KeyboardInterrupt, Terminated) as err:
            os.kill(os.getpid(), second)
            recorded.append(getattr(err, "number", signal.SIGINT))

    assert recorded == [first]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

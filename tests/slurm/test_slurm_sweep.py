"""A sweep on a real SLURM cluster leaves the same record as anywhere else, and can be left or ended at any moment."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
from contextlib import suppress

import pytest

MODEL = """\
import os, signal, time
from pathlib import Path

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    name = f"{event}-{os.environ['SLURM_PROCID']}-{execution.execution_rid == '0000'}.txt"
    execution.asset_file_path("Execution_Asset", name).write_text(event)
    Path(f"started-{event}-{os.environ['SLURM_PROCID']}").write_text(os.environ["SLURM_JOB_NAME"])
    if event == "sigkill" and not Path("go").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    while event in ("slow", "late") and not Path("go").exists():
        time.sleep(0.1)
"""
SLURM = ["--multirun", "hydra/launcher=deriva_slurm"]


@pytest.fixture
def started(slurm_project):
    """Call it for (project, process) of a sweep in the background; nothing of it is left at the end."""
    processes = []

    def start(*arguments, **options):
        made = slurm_project(MODEL)
        processes.append(made.start(*SLURM, *arguments, **options))
        return made, processes[0]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_several_tasks_of_a_job_are_one_execution(slurm_project):
    """On two nodes. Every task runs the model, the first keeps the record; SLURM's job has the experiment's name."""
    made = slurm_project(MODEL)

    result = made.run(
        *["--multirun", "hydra/launcher=submitit_slurm", "+experiment=quick_training"],
        *["model_config.event=a,b", "hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=2"],
    )

    assert result.returncode == 0, result.stderr
    parent, children = made.tree()
    assert [(child["Sequence"], child["Status"]) for child in children] == [(0, "Uploaded"), (1, "Uploaded")]
    assert parent["Status"] == "Uploaded"
    assert {row["RID"] for row in made.rows("Execution")} == {parent["RID"], *(child["RID"] for child in children)}
    outputs = sorted(row["Filename"] for row in made.rows("Execution_Asset"))
    assert outputs == ["a-0-False.txt", "b-0-False.txt"]
    names = {path.read_text() for path in made.project.root.glob("started-*")}
    assert names == {"quick_training"}
    assert len(list(made.project.root.glob("started-*"))) == 8
    assert [made.journal(child["RID"])["slurm"]["nodes"] for child in children] == ["n[1-2]"] * 2


def test_an_embedded_catalog_that_is_not_served_is_refused(demo_project, cluster):
    """Each node would open one of its own. One line that says what to do; nothing is written."""
    made = demo_project(MODEL)

    result = made.run(*SLURM, "model_config.event=a,b", **cluster.environment)

    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert "deriva-ml-catalog serve" in line
    assert "DERIVA_ML_LOCAL_URL" in line
    assert not list(made.home.rglob("journal.json"))


def test_a_catalog_that_is_not_there_or_knows_nobody_is_told_of_before_a_job_is_submitted(slurm_project, slurm_cell):
    """One line that says what to do; SLURM hears of nothing, and nothing is written."""
    made = slurm_project(MODEL)
    before = made.cluster.states()

    absent = made.through("http://127.0.0.1:9").run(*SLURM, "model_config.event=a,b")
    (made.project.home / ".deriva/credential.json").unlink()
    unknown = made.run(*SLURM, "model_config.event=a,b")

    for result, code, words in ((absent, 1, "does not answer"), (unknown, 2, "deriva-ml-catalog user add")):
        assert result.returncode == code, result.stderr
        (line,) = [line for line in result.stderr.splitlines() if line.strip()]
        assert words in line
    assert made.cluster.states() == before
    assert not list(made.project.home.rglob("journal.json"))
    slurm_cell("catalog_at_start", "nothing is recorded", "the command says so, exit code 1")


def test_a_sweep_that_is_told_to_end_cancels_its_jobs_and_can_be_resumed(started, slurm_cell, wait_until):
    """
    SIGTERM to the launching process. What ran and what waited is Aborted; what SLURM killed before had its true end
    while the sweep went on. All of it without slurmdbd, where submitit would wait for ever. Later all of them run on
    the cluster again, as the same executions; the launcher is the recorded one, with another word on it.
    """
    events = "model_config.event=sigkill,slow,late"
    made, process = started(events, "hydra.launcher.array_parallelism=1")
    dbd = int((made.cluster.folder / "slurmdbd.pid").read_text())
    os.kill(dbd, signal.SIGSTOP)
    try:
        slow = made.project.root / "started-slow-0"
        wait_until(lambda: slow.exists() or process.poll() is not None)
        wait_until(lambda: made.tree()[1][0]["Status"] == "Failed")
        assert process.poll() is None, process.communicate()

        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=600)
    finally:
        os.kill(dbd, signal.SIGCONT)

    assert process.returncode == 128 + signal.SIGTERM, err
    parent, children = made.tree()
    assert [child["Status"] for child in children] == ["Failed", "Aborted", "Aborted"], err
    slurm_cell("launcher_sigterm", children[1]["Status"], children[1]["Status_Detail"])
    assert "SIGKILL" in children[0]["Status_Detail"]
    assert parent["Status"] == "Aborted"
    jobs = {made.journal(child["RID"])["slurm"]["array_job_id"] for child in children[:2]}
    assert {state for job, state in made.cluster.states().items() if job.split("_")[0] in jobs} == {
        "FAILED",
        "CANCELLED",
    }
    (made.project.root / "go").touch()

    resumed = made.run("--resume", parent["RID"], "hydra.launcher.array_parallelism=3")

    assert resumed.returncode == 0, resumed.stderr
    assert "3 of 3 jobs run again" in resumed.stderr
    parent, after = made.tree()
    assert [(child["RID"], child["Sequence"], child["Status"]) for child in after] == [
        (child["RID"], child["Sequence"], "Uploaded") for child in children
    ]
    assert parent["Status"] == "Uploaded"
    again = {made.journal(child["RID"])["slurm"]["array_job_id"] for child in after}
    assert len(again) == 1
    assert not again & jobs


@pytest.fixture
def terminal():
    """Two ends of one of 40 lines of 140 columns: ours, and that of a process whose terminal it is."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def at_a_terminal(started, terminal):
    """Call it for (project, process) of a sweep whose two jobs run, as a live table on the terminal shows."""
    ours, theirs = terminal

    def start():
        made, process = started("model_config.event=slow,late", terminal=theirs)
        runs = r"Running +[\d.]+ s +\S+ RUNNING n\d"
        rows = [rf"{number} +\S+ +model_config.event={name} +{runs}" for number, name in enumerate(("slow", "late"))]
        _read_until(ours, "(?s)" + ".*?".join(rows))
        return made, process

    return start


KEY_CTRL_C = b"\x03"


def test_ctrl_c_on_a_terminal_can_leave_the_jobs_running(at_a_terminal, terminal, slurm_cell):
    """Detach: the jobs go on, the record stays open, and `watch` completes it; `recover` guesses nothing meanwhile."""
    made, process = at_a_terminal()

    os.write(terminal[0], KEY_CTRL_C)
    said = _read_until(terminal[0], "leave them running\\?")
    os.write(terminal[0], b"what?\n")
    said += _read_until(terminal[0], "leave them running\\?")  # asked again: that was no answer
    os.write(terminal[0], b"d\n")
    said += _read_until(terminal[0], "deriva-ml-executions watch ")
    process.wait(timeout=600)

    assert "2 SLURM job(s) wait or run" in said
    parent, children = made.tree()
    assert [parent["Status"], *(child["Status"] for child in children)] == ["Running"] * 3
    recovered = made.run("recover", command="deriva-ml-executions").stdout
    assert "2 of its jobs may still run" in recovered
    (made.project.root / "go").touch()
    watched = made.run("watch", parent["RID"], command="deriva-ml-executions")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "2 of 2 Uploaded" in watched.stdout
    parent, children = made.tree()
    assert [parent["Status"], *(child["Status"] for child in children)] == ["Uploaded"] * 3
    assert [row["Filename"] for row in made.rows("Execution_Metadata")].count("report.html") == 1
    slurm_cell("launcher_detached", "Uploaded", "", recovered=True)


def test_ctrl_c_on_a_terminal_can_cancel_the_jobs(at_a_terminal, terminal, slurm_cell):
    """Ended in SLURM and on the record, before the command ends."""
    made, process = at_a_terminal()

    os.write(terminal[0], KEY_CTRL_C)
    _read_until(terminal[0], "leave them running\\?")
    os.write(terminal[0], b"c\n")
    said = _read_until(terminal[0], "0 of 2 jobs Uploaded")
    process.wait(timeout=600)

    assert process.returncode == 128 + signal.SIGINT
    assert "Cancelling 2 SLURM job(s)" in said
    parent, children = made.tree()
    assert [parent["Status"], *(child["Status"] for child in children)] == ["Aborted"] * 3
    slurm_cell("launcher_ctrl_c", children[0]["Status"], children[0]["Status_Detail"])
    (array,) = {made.journal(child["RID"])["slurm"]["array_job_id"] for child in children}
    ours = {state for job, state in made.cluster.states().items() if job.split("_")[0] == array}
    assert ours == {"CANCELLED"}


def _read_until(terminal, pattern):
    """What a terminal shows until then, without what moves its cursor and paints it."""
    raw = b""
    while select.select([terminal], [], [], 600)[0]:
        raw += os.read(terminal, 4096)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", raw.decode(errors="replace"))
        if re.search(pattern, text):
            return text
    raise AssertionError(f"{pattern} is not in:\n{text}")


def test_the_presets_stand_on_submitits_launchers_and_give_way(slurm_project):
    """Each of their settings can be set from the command line."""
    made = slurm_project(MODEL)

    shown = made.run("--cfg", "hydra", "-p", "hydra.launcher", "hydra/launcher=deriva_slurm", "hydra.launcher.qos=low")

    assert shown.returncode == 0, shown.stderr
    assert "submitit_launcher.SlurmLauncher" in shown.stdout
    assert "qos: low" in shown.stdout
    assert "signal_delay_s: 120" in shown.stdout

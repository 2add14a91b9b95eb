"""What a person sees of a sweep: a table while it goes on, and at its end each failure with its own traceback."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import termios
from types import SimpleNamespace

import pytest

from deriva_ml_core.executions.journal import JournalEntry
from deriva_ml_core.executions.states import Status
from deriva_ml_hydra_plugins.closing import own_part
from deriva_ml_hydra_plugins.joblines import plain_job_lines
from deriva_ml_hydra_plugins.launching import RecordedLauncher
from deriva_ml_hydra_plugins.progress import JobView, headline, most_telling

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    print(f"training at {rate}")
    if rate == 2:
        raise ValueError(f"no convergence at {rate}")
    if rate == 3:
        return {}["no such key"]
"""
SLOW = """\
import time

def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    time.sleep(2.5)  # longer than between two looks of the thread that watches a sweep
"""
SWEEP = ("--multirun", "model_config.rate=1,2,3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def test_all_failures_are_told_with_their_own_tracebacks(demo_project, tree):
    """A traceback does not travel from a worker: each is read where the job has left it, without the machinery."""
    result = demo_project(MODEL).run(*SWEEP)

    assert result.returncode == 1
    _, children = tree()
    told = result.stderr[result.stderr.index("Sweep ") :]
    assert "1 of 3 jobs Uploaded" in told
    for child, error in zip(children[1:], ("ValueError: no convergence at 2", "KeyError: 'no such key'"), strict=True):
        assert f"job {child['Sequence']}: {child['RID']} Failed" in told
        assert error in told
    assert told.count("Traceback (most recent call last)") == 2
    assert told.count("src/models/model.py") == 2
    assert "site-packages" not in told
    assert re.search(r"job 0 \(\S+, model_config.rate=1\): Uploaded", result.stderr)


def test_a_job_is_counted_before_the_next_one_says_a_word(demo_project):
    """Where jobs run one after the other in the launching process, lines are in the order of what they tell."""
    told = demo_project(SLOW).run("--multirun", "model_config.rate=1,2,3").stderr.splitlines()

    begun = [at for at, line in enumerate(told) if line.startswith("Running ")]
    ended = [at for at, line in enumerate(told) if re.match(r"Execution \S+: Uploaded", line)]
    counted = [at for at, line in enumerate(told) if re.match(r"job \d ", line)]
    assert [re.match(r"job (\d)", told[at])[1] for at in counted] == ["0", "1", "2"]
    assert [sorted(ats) == list(ats) for ats in zip(begun, ended, counted, begun[1:], strict=False)] == [True, True]
    assert ended[2] < counted[2]


def test_a_sweep_that_stays_open_says_how_to_follow_it():
    """SLURM has a job again whose result was a failure: the sweep has no end yet, and so no reason."""
    launcher = RecordedLauncher.__new__(RecordedLauncher)
    entry = JournalEntry("1-A", status=Status.running)
    launcher._sweep = SimpleNamespace(failures={0: ValueError("no convergence")}, entry=entry)

    told = str(launcher._failed())

    assert "1-A Running: jobs of it may still run" in told
    assert "deriva-ml-executions watch 1-A" in told


def test_quiet_tells_only_the_error(demo_project):
    """`-q`: one line says what went wrong."""
    result = demo_project(MODEL).run("-q", *SWEEP[:2])

    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: sweep ")


def test_on_a_terminal_a_table_tells_of_the_jobs(demo_project, tree):
    """RIDs, what differs, states; what the workers print stands above it, whole."""
    made = demo_project(MODEL)

    text = _on_a_terminal(made, SWEEP)

    _, children = tree()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    last = plain[plain.rindex("execution   overrides") :]
    for child in children:
        assert re.search(rf"{child['Sequence']}\s+{child['RID']}\s+model_config.rate=\d\s+{child['Status']}", last)
    assert {f"training at {rate}.0" for rate in (1, 2, 3)} <= {line.strip() for line in plain.splitlines()}
    assert "Running models.model.train" not in plain
    assert "KeyError: 'no such key'" in last


def _on_a_terminal(made, arguments) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [str(made.command("deriva-ml-run")), *arguments],
        cwd=made.root,
        env=made.environment(TERM="xterm"),
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    read = []
    with contextlib.suppress(OSError):  # EIO: the last writer has closed its side
        while block := os.read(ours, 65536):
            read.append(block)
    process.wait(60)
    os.close(ours)
    return b"".join(read).decode()


def _view(number, status):
    return JobView(number, f"R{number}", f"rate={number}", status)


def test_a_table_without_room_shows_what_runs_and_what_failed():
    """Of 500 jobs a terminal shows 20: those are not the first 20."""
    views = [_view(number, Status.uploaded) for number in range(8)]
    views += [_view(8, Status.failed), _view(9, Status.running), _view(10, Status.created)]

    assert [view.number for view in most_telling(views, 2)] == [8, 9]
    assert [view.number for view in most_telling(views, 4)] == [7, 8, 9, 10]
    assert headline("P", views) == "Sweep P: 11 jobs: 1 Failed, 1 Running, 8 Uploaded, 1 waiting"


def test_a_traceback_that_never_reached_a_model_stays_whole():
    """It is all that there is to see."""
    assert own_part("Traceback\n  File 'x'\nError: no") == "Traceback\n  File 'x'\nError: no"


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_the_launchers_line_for_a_job_has_no_page_of_description(demo_project, launcher: str):
    """A named sweep's description is Markdown of many lines; what tells the jobs apart is not to be searched in it."""
    batches = "hydra.sweeper.max_batch_size=1"  # in which joblib's launcher counts from 0

    result = demo_project().run("+multirun=rates", f"hydra/launcher={launcher}", batches)

    assert result.returncode == 0, result.stderr
    assert "#0 : " in result.stdout
    assert "#1 : " in result.stdout
    assert "description=" not in result.stdout


@pytest.mark.parametrize("text", [r"description=Thirty\ seeds", "description='a \\' b\n# c'", 'description="a b"'])
def test_a_description_is_found_however_hydra_quotes_it(text, caplog):
    """A model's own setting of that name stays."""
    log = logging.getLogger("hydra._internal.core_plugins.basic_launcher")

    with caplog.at_level(logging.INFO), plain_job_lines([4]):
        log.info("\t#4 : rate=1 %s model_config.description=kept", text)

    assert caplog.messages == ["\t#4 : rate=1 model_config.description=kept"]

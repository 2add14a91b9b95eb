"""SLURM's warning, as submitit's handler answers it; the real ones are in tests/slurm."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from deriva_ml_core.executions.preemption import giving_way
from deriva_ml_core.executions.signals import GaveWay, Preempted, TimedOut


class Submitit:
    """Its handler, which ends in this way."""

    def __init__(self, error: BaseException, *, timed_out: bool = False) -> None:
        self.error, self.timed_out = error, timed_out

    def has_timed_out(self) -> bool:
        return self.timed_out

    def answer(self, *_: object) -> None:
        raise self.error


@pytest.fixture
def warned(monkeypatch):
    """Call it with how submitit's handler ends, and what saves, for what the job then raises; it is warned once."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    before = signal.getsignal(signal.SIGUSR2)

    def warn(submitit, *saves):
        signal.signal(signal.SIGUSR2, submitit.answer)
        with giving_way(saves):
            os.kill(os.getpid(), signal.SIGUSR2)
            signal.pause()  # the handler raises

    yield warn
    signal.signal(signal.SIGUSR2, before)


NOT_REQUEUED = subprocess.CalledProcessError(1, ["scontrol", "requeue", "7"])


@pytest.mark.parametrize(
    ("submitit", "kind", "words"),
    [
        (Submitit(SystemExit(-1)), GaveWay, "SLURM job 7 gave way"),
        (Submitit(RuntimeError("timed-out too many times")), TimedOut, "time-out: SLURM job 7"),
        (Submitit(NOT_REQUEUED, timed_out=True), TimedOut, "time-out: SLURM job 7"),
        (Submitit(NOT_REQUEUED), Preempted, "SLURM job 7 was preempted and not requeued"),
    ],
)
def test_the_model_saves_then_submitit_decides(warned, submitit, kind, words):
    """Several functions are called in their order; one that fails costs the others nothing."""
    saved = []

    def fails():
        saved.append("failing")
        raise ValueError("the disk is full")

    with pytest.raises(kind, match=words):
        warned(submitit, fails, lambda: saved.append("second"))

    assert saved == ["failing", "second"]


def test_a_forked_worker_of_the_model_saves_nothing_and_requeues_nothing(warned, tmp_path):
    """SLURM warns all processes of a job: a loader of data has our handler, but only one process answers."""
    submitit, file = Submitit(SystemExit(-1)), tmp_path / "saved"

    def save():
        with file.open("a") as stream:
            stream.write(f"{os.getpid()}\n")

    signal.signal(signal.SIGUSR2, submitit.answer)
    with giving_way([save]):
        worker = os.fork()
        if not worker:
            os.kill(os.getpid(), signal.SIGUSR2)
            os._exit(0)
        _, status = os.waitpid(worker, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert not file.exists()


def test_nothing_is_watched_where_submitit_runs_no_job(monkeypatch):
    """The handler of whoever has one stays."""
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    before = signal.getsignal(signal.SIGUSR2)

    with giving_way([]):
        assert signal.getsignal(signal.SIGUSR2) is before

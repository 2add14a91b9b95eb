"""What became of a process: the kernel's word, SLURM's, or nobody's. SLURM is a stand-in here, real in tests/slurm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deriva_ml_core.executions.children import Unstarted
from deriva_ml_core.executions.fate import fate_of, fate_of_job
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.slurm import Slurm, this_cluster
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import end_silent
from deriva_ml_core.executions.sweeps import SweepJob

GONE_HERE = {"process_start": "0"}
ELSEWHERE = {"host": "n7"}
OF_SUBMITIT = {"job_id": "70", "launcher": "slurm"}
OF_A_SCRIPT = {"job_id": "70"}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Call it with what squeue and sacct print; None: no answer."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    this_cluster.cache_clear()

    def say(squeue: str | None, sacct: str | None = None, error: str = "no contact with slurm controller") -> Slurm:
        this_cluster.cache_clear()
        for name, text in (("squeue", squeue), ("sacct", sacct)):
            body = f"cat <<'E'\n{text}\nE" if text is not None else f"echo '{error}' >&2; exit 1"
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)
        return this_cluster()

    yield say
    this_cluster.cache_clear()


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("70|TIMEOUT|0|n1|0|TimeLimit|", Status.failed, "time-out"),
        ("70|CANCELLED|0|n1|15|None|", Status.aborted, "cancelled"),
        ("70|PREEMPTED|0|n1|0|None|", Status.aborted, "preempted"),
        ("70|NODE_FAIL|0|n1|0|NodeDown|", Status.failed, "lost its node n1"),
        ("70|OUT_OF_MEMORY|0|n1|0|OutOfMemory|", Status.failed, "out of memory"),
        ("70|FAILED|0|n1|35072|NonZeroExitCode|", Status.failed, "FAILED, SIGKILL on n1"),
        ("70|FAILED|0|n1|768|NonZeroExitCode|", Status.failed, "FAILED, exit code 3 on n1"),
        ("70|COMPLETED|0|n1|0|None|", Status.failed, "COMPLETED on n1"),
    ],
)
@pytest.mark.parametrize("where", [GONE_HERE, ELSEWHERE])
def test_the_end_that_slurm_tells_is_the_executions(cluster, line, status, words, where):
    """Wherever its process ran."""
    cluster(line)

    fate = fate_of(replace(this_process(), slurm=OF_SUBMITIT, **where))
    assert (fate.alive, fate.status) == (False, status)
    assert words in fate.detail


@pytest.mark.parametrize(
    "word", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "CONFIGURING", "RESIZING"]
)
def test_a_job_that_has_not_ended_is_left_alone(cluster, word):
    """Also where its process is gone: SLURM may start it again, under the same execution."""
    cluster(f"70|{word}|1||0|BeginTime|")

    assert fate_of(replace(this_process(), slurm=OF_SUBMITIT, **GONE_HERE)).alive is None
    assert fate_of_job("70").alive is True


def test_a_process_that_nobody_starts_again_is_gone_when_it_is_gone(cluster):
    """A script in an allocation: the allocation may live for hours."""
    cluster("70|RUNNING|0|n1|0|None|")

    assert fate_of(replace(this_process(), slurm=OF_A_SCRIPT, **GONE_HERE)).dead
    assert fate_of(replace(this_process(), slurm=OF_A_SCRIPT, **ELSEWHERE)).alive is None


def test_what_nobody_knows_is_not_guessed(cluster):
    """Neither squeue nor sacct answers."""
    cluster(None)

    assert fate_of(replace(this_process(), slurm=OF_SUBMITIT, **GONE_HERE)).alive is None
    assert fate_of_job("70").alive is None


def test_sacct_tells_of_jobs_that_the_controller_has_forgotten(cluster):
    """The last of several incarnations counts."""
    cluster("", "70_1|REQUEUED|0:0|n1\n70_1|TIMEOUT|0:0|n2")

    assert "time-out: SLURM ended job 70_1 on n2" in fate_of_job("70_1").detail


def test_without_the_controller_only_an_end_that_nothing_follows_counts(cluster):
    """A preempted job may be in the queue again, and a lost node's job, too."""
    cluster(None, "70|CANCELLED by 1000|0:0|n1\n71|PREEMPTED|0:0|n1\n72|NODE_FAIL|0:0|n1")

    assert [fate_of_job(job).alive for job in ("70", "71", "72")] == [False, None, None]


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ("70|FAILED|9:0|n1\n70.batch|FAILED|9:0|n1\n70.0|OUT_OF_MEMORY|0:125|n1", "out of memory"),
        ("70|OUT_OF_MEMORY|0:125|n1\n70.batch|OUT_OF_MEMORY|0:125|n1", "out of memory"),
        ("70|FAILED|9:0|n1\n70.0|FAILED|0:9|n1", "FAILED, SIGKILL on n1"),
        ("70|OUT_OF_MEMORY|0:125|n1\n70|FAILED|9:0|n1\n70.0|FAILED|0:9|n1", "FAILED, SIGKILL on n1"),
        (None, "FAILED, SIGKILL on n1"),
    ],
)
def test_sacct_tells_why_a_job_was_killed(cluster, accounts, words):
    """The controller knows only how its script ended; that a step ran out of memory, the accounts know."""
    cluster("70|FAILED|0|n1|35072|NonZeroExitCode|", accounts)
    assert words in fate_of_job("70").detail

    if accounts is not None:
        cluster("", accounts)  # forgotten by the controller: the script's exit code 9 stands for the same signal
        assert words in fate_of_job("70").detail


def test_why_a_job_was_killed_is_waited_for(cluster, monkeypatch):
    """Sacct is a second late; but it is not waited for without end."""
    cluster("70|FAILED|0|n1|35072|NonZeroExitCode|", "70|RUNNING|0:0|n1")

    assert fate_of_job("70").alive is None
    monkeypatch.setattr("deriva_ml_core.executions.slurm._CAUSE_WITHIN_S", 0.0)
    monkeypatch.setattr("deriva_ml_core.executions.slurm.FRESH_S", 0.0)
    assert "SIGKILL" in fate_of_job("70").detail


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("slurmstepd-n1: error: StepId=70.0 exceeded memory limit (2 > 1), being killed\n", "out of memory"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=70.0. Some of the step tasks …\n", "out of memory"),
        ("the model says: exceeded memory limit\n", "SIGKILL"),
    ],
)
def test_the_output_of_a_killed_job_tells_why_where_nobody_else_does(cluster, tmp_path, said, words):
    """SLURM without cgroups says it there alone."""
    cluster("70|FAILED|0|n1|35072|NonZeroExitCode|", "70|FAILED|9:0|n1\n70.0|CANCELLED by 0|0:9|n1")
    (tmp_path / "70_0_log.out").write_text("x" * 20_000 + "\n" + said)
    (tmp_path / "71_0_log.out").write_text("slurmstepd: error: oom_kill event")

    owner = replace(this_process(), slurm={**OF_SUBMITIT, "output": str(tmp_path)}, **GONE_HERE)
    assert words in fate_of(owner).detail


def test_a_job_that_slurm_does_not_know_any_more_is_gone(cluster):
    """The controller forgets after MinJobAge, and nobody keeps accounts."""
    cluster(None, None, "slurm_load_jobs error: Invalid job id specified")

    fate = fate_of_job("70")
    assert fate.dead
    assert "SLURM does not know it any more" in fate.detail


def test_many_jobs_are_one_question(cluster, tmp_path):
    """500 children are no burden for SLURM's controller."""
    slurm = cluster("\n".join(f"9_{number}|RUNNING|0|n1|0|None|" for number in range(500)))
    (tmp_path / "squeue").write_text((tmp_path / "squeue").read_text() + f"echo >> {tmp_path / 'asked'}\n")

    slurm.states(f"9_{number}" for number in range(500))
    for number in range(500):
        slurm.state(f"9_{number}")
    assert (tmp_path / "asked").read_text() == "\n"


def test_a_job_that_its_launcher_has_given_back_has_ended_before_slurm_says_so(cluster, monkeypatch):
    """It had no turn, say, and left its result; SLURM sees a second later that its process is gone."""
    monkeypatch.setattr("deriva_ml_core.executions.sweep_end.end_unstarted", lambda *_: None)
    jobs, why = {0: SweepJob("1-A", (), "70")}, Unstarted(Status.aborted, "an earlier job of the sweep has failed")
    cluster("70|COMPLETING|0|n1|0|None|")

    assert end_silent(None, jobs, {0: why}) == {}
    assert end_silent(None, jobs, {0: why}, over=True) == {0: why}
    cluster("70|CANCELLED|0|n1|15|None|")
    assert "cancelled" in end_silent(None, jobs, {0: why}, over=True)[0].detail

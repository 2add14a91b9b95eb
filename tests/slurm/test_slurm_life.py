"""
The crash matrix under SLURM: whatever ends or interrupts a job, its node, or the launching process, the record is true.

Time-outs have a grain of a minute, so everything runs at once, in five sweeps:

    life         n1   jobs that end in every way while the launching process lives
    limits       n1   jobs that come to their time limit; one time-out is allowed
    preempted    n2   a job that gives way to another of a higher partition
    node         n3   a job whose node dies
    orphans      n1   jobs whose launching process is killed; no time-out is allowed
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import pytest

MODEL = """\
import os, signal, sys, time
from pathlib import Path

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(event)
    saved = execution.checkpoint_dir / "state.txt"
    execution.on_preemption(lambda: saved.write_text("epoch 7"))
    restarts = execution.restarts
    with open(f"started-{event}", "a") as log:
        log.write(f"{restarts}\\n")
    match event:
        case "exception": raise ValueError("no convergence")
        case "exit_3": sys.exit(3)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "out_of_memory": kept = b"x" * 3 * 10**9; time.sleep(60)
        case "time_out" | "time_out_twice" | "scancel" | "node_lost": time.sleep(600)
        case "time_out_deaf": signal.signal(signal.SIGUSR2, signal.SIG_IGN); time.sleep(600)
        case "requeue" if restarts == 0: time.sleep(600)
        case "preemption" | "time_out_once":
            if not saved.exists():
                time.sleep(600)
            Path(f"resumed-{event}").write_text(saved.read_text())
"""
COMMON = ["--multirun", "hydra/launcher=deriva_slurm", "hydra.launcher.signal_delay_s=20", "hydra.launcher.mem_gb=1"]
NODE = "+hydra.launcher.additional_parameters"
SWEEPS = {
    "life": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=30"],
    "limits": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=1", "hydra.launcher.max_num_timeout=1"],
    "preempted": [f"{NODE}.nodelist=n2", "hydra.launcher.timeout_min=30"],
    "node": [f"{NODE}.nodelist=n3", f"{NODE}.no-requeue=true"],
    "orphans": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=1"],
}
KILLED = "its process ended without recording an end"
EVENTS = {
    "life": {
        "well": ("Uploaded", ""),
        "exception": ("Failed", "ValueError: no convergence"),
        "exit_3": ("Failed", "SystemExit: 3"),
        "sigkill": ("Failed", KILLED),
        "out_of_memory": ("Failed", "out of memory"),
        "scancel": ("Aborted", "was cancelled"),
        "requeue": ("Uploaded", ""),
    },
    "limits": {"time_out_twice": ("Failed", "time-out"), "time_out_once": ("Uploaded", "")},
    "preempted": {"preemption": ("Uploaded", "")},
    "node": {"node_lost": ("Failed", "lost its node")},
    "orphans": {
        "well_too": ("Uploaded", ""),
        "time_out": ("Failed", "time-out"),
        "time_out_deaf": ("Failed", "time-out"),
    },
}
IN_THE_MATRIX = {  # by our name: the name there, and whether it took a later command
    **{
        one: (one, False) for one in ("exception", "exit_3", "sigkill", "scancel", "requeue", "preemption", "node_lost")
    },
    "out_of_memory": ("memory", False),
    "time_out": ("timeout", False),
    "time_out_once": ("timeout_restarts", False),
    "time_out_deaf": ("launcher_sigkill", True),
}
RESTARTED = {"time_out_twice", "time_out_once", "requeue", "preemption"}


@dataclass
class Ran:
    """The sweeps, when all is over."""

    made: object
    parents: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def tree(self, sweep):
        return self.made.tree(self.parents[sweep])


@pytest.fixture(scope="module")
def ran(module_project, wait_until):
    made = module_project(MODEL)
    result = Ran(made)
    processes = {}
    for sweep, options in SWEEPS.items():
        events = ",".join(EVENTS[sweep])
        processes[sweep] = made.start(*COMMON, *options, f"model_config.event={events}", f"description={sweep}")
    try:
        _interfere(made, processes, wait_until)
        for sweep in ("life", "limits", "preempted", "node"):
            _, result.errors[sweep] = processes[sweep].communicate(timeout=300)
            result.codes[sweep] = processes[sweep].returncode
        result.parents = {row["Description"]: row["RID"] for row in made.rows("Execution")}
        watched = made.run("watch", result.parents["orphans"], command="deriva-ml-executions", timeout=200)
        result.codes["orphans"], result.errors["orphans"] = watched.returncode, watched.stdout + watched.stderr
        yield result
    finally:
        for process in processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stderr.close()


def _interfere(made, processes, wait_until):
    """What other people, SLURM and fate do to the jobs, as soon as they run."""
    log = lambda event: made.project.root / f"started-{event}"  # noqa: E731
    cluster = made.cluster

    def owner(event):
        wait_until(lambda: log(event).exists() or any(p.poll() is not None for p in processes.values()), 200)
        assert log(event).exists(), [p.communicate()[1] for p in processes.values() if p.poll() is not None]
        (rid,) = (row["RID"] for row in made.rows("Execution") if f"model_config.event={event}]" in row["Description"])
        return made.journal(rid)["owner"]

    def job(event):
        slurm = owner(event)["slurm"]
        return f"{slurm['array_job_id']}_{slurm['array_task_id']}" if "array_job_id" in slurm else slurm["job_id"]

    cluster.ask("scancel", job("scancel"))
    cluster.ask("scontrol", "requeue", job("requeue"))
    job("preemption")
    cluster.ask("sbatch", "-p", "high", "-w", "n2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
    _kill_node(cluster, "n3", owner("node_lost"))
    wait_until(log("time_out").exists)
    wait_until(log("time_out_deaf").exists)
    os.killpg(processes["orphans"].pid, signal.SIGKILL)
    processes["orphans"].communicate()


def _kill_node(cluster, name, owner):
    """All processes of a node at once, as when its power goes."""
    steps = f"slurmstepd: [{owner['slurm']['job_id']}."
    doomed = [p for p in psutil.process_iter(["cmdline"]) if " ".join(p.info["cmdline"] or ()).startswith(steps)]
    os.kill(int((cluster.folder / f"slurmd-{name}.pid").read_text()), signal.SIGKILL)
    for process in [*doomed, psutil.Process(owner["pid"])]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("sweep", SWEEPS)
def test_each_child_tells_how_it_ended(ran, slurm_cell, sweep):
    """One parent, a child for each job with its number and a true status, the good jobs' outputs in the catalog."""
    expected = EVENTS[sweep]

    parent, children = ran.tree(sweep)

    assert list(range(len(expected))) == [child["Sequence"] for child in children]
    found = {e: (c["Status"], c["Status_Detail"] or "") for e, c in zip(expected, children, strict=True)}
    wrong = {
        e: found[e] for e, (status, words) in expected.items() if found[e][0] != status or words not in found[e][1]
    }
    assert wrong == {}, ran.errors[sweep]
    bad = [status for status, _ in expected.values() if status != "Uploaded"]
    for event in expected.keys() & IN_THE_MATRIX.keys():
        name, recovered = IN_THE_MATRIX[event]
        slurm_cell(name, *found[event], recovered=recovered)
    assert (parent["Status"], ran.codes[sweep]) == (("Failed", 1) if bad else ("Uploaded", 0)), ran.errors[sweep]


def test_outputs_of_jobs_that_ended_well_are_in_the_catalog(ran):
    """Each once, also of those that were restarted; those of the others wait on disk."""
    well = {e for events in EVENTS.values() for e, (status, _) in events.items() if status == "Uploaded"}

    assert sorted(f"{event}.txt" for event in well) == sorted(
        row["Filename"] for row in ran.made.rows("Execution_Asset")
    )


def test_a_restarted_job_goes_on_under_its_execution(ran):
    """The model is called again, finds what it saved, and the record counts the restarts."""
    restarts = {}
    for sweep, events in EVENTS.items():
        _, children = ran.tree(sweep)
        for event, child in zip(events, children, strict=True):
            restarts[event] = ran.made.journal(child["RID"])["restarts"]

    assert {event: count for event, count in restarts.items() if count} == dict.fromkeys(RESTARTED, 1)
    for event in ("preemption", "time_out_once"):
        assert (ran.made.project.root / f"resumed-{event}").read_text() == "epoch 7"


def test_the_record_names_job_node_and_partition(ran):
    """In the journal, in `show`, and in the environment snapshot of the catalog."""
    _, (child,) = ran.tree("preempted")

    slurm = ran.made.journal(child["RID"])["slurm"]
    shown = ran.made.run("show", child["RID"], command="deriva-ml-executions").stdout
    assert (slurm["partition"], slurm["node"], slurm["restarts"]) == ("debug", "n2", "1")
    assert f"SLURM job: {slurm['job_id']}, partition debug, node n2" in shown
    assert "Restarts:  1" in shown

"""
The crash matrix under SLURM: whatever ends or interrupts a job, its node, or the launching process, the record is true.

Time-outs have a grain of a minute, so everything runs at once, in thirteen sweeps. Those whose time is limited start
first, and alone, so that their models have begun when SLURM warns them, also on a machine that is busy:

    limits       n1   a job that comes to its time limit again and again; one time-out is allowed
    saved        n1   a job that comes to its time limit, saves, and goes on when it is started again
    orphans      n1   jobs that come to their time limit when their launching process is dead; none is allowed
    life         n1   jobs that end in every way while the launching process lives
    stopped      n1   jobs one after the other, none of which is to start after one that has failed
    cancelled    n1   jobs one after the other, all of which somebody cancels
    outlived     n1   a job whose launching process is killed
    preempted    n2   a job that gives way to another of a higher partition
    unqueued     n2   the same, of a job that may not be requeued
    node         n3   a job whose node dies
    cut_off      n4   a job whose node lives, but SLURM hears no more of it, and starts the job again on n5
    away         n1   jobs whose catalog goes away, behind a proxy
    disk         n1   jobs whose working folder and catalog are on a disk that is full in the end
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil
import pytest
from meddling_proxy import MeddlingProxy

MODEL = """\
import multiprocessing, os, signal, sys, time
from pathlib import Path

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")

def wait_for(file):
    while not Path(file).exists():
        time.sleep(0.1)

def fill(folder):
    with open(folder / "ballast", "wb", buffering=0) as ballast:
        size = 2**20
        while size:
            try:
                while ballast.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
            size //= 2

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(f"{event} {execution.restarts}")
    saved = execution.checkpoint_dir / "state.txt"

    @execution.on_preemption
    def save():
        saved.write_text("epoch 7")
        with open(f"saved-{event}", "a") as log:
            log.write("by one process\\n")

    restarts = execution.restarts
    with open(f"started-{event}", "a") as log:
        log.write(f"{restarts}\\n")
    match event:
        case "exception" | "stops_all": raise ValueError("no convergence")
        case "odd_exception": raise Odd(1, 2)
        case "exit_0": sys.exit(0)
        case "exit_3": sys.exit(3)
        case "keyboard_interrupt": raise KeyboardInterrupt
        case "os_exit": os._exit(7)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "sigterm": os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)
        case "out_of_memory": kept = b"x" * 2 * 10**9; time.sleep(600)
        case "time_out" | "time_out_twice" | "scancel" | "cancelled": time.sleep(600)
        case "node_lost" | "preempted_for_good": time.sleep(600)
        case "time_out_deaf": signal.signal(signal.SIGUSR2, signal.SIG_IGN); time.sleep(600)
        case "requeue" if restarts == 0: time.sleep(600)
        case "cut_off" if restarts == 0:
            for _ in range(1200):
                execution.asset_file_path("Execution_Asset", "cut_off.txt").write_text("of the older")
                time.sleep(0.5)
        case "preemption" | "time_out_once":
            if not saved.exists():
                context = multiprocessing.get_context("fork")  # as a loader of data has workers, which SLURM warns, too
                context.Process(target=time.sleep, args=(600,), daemon=True).start()
                time.sleep(600)
            Path(f"resumed-{event}").write_text(saved.read_text())
        case "outlives" | "catalog_away" | "catalog_gone": wait_for(f"go-{event}")
        case "disk_full": fill(execution.working_dir)
"""
COMMON = ["--multirun", "hydra/launcher=deriva_slurm", "hydra.launcher.signal_delay_s=20", "hydra.launcher.mem_gb=1"]
NODE = "+hydra.launcher.additional_parameters"
LONG, IN_TURN = "hydra.launcher.timeout_min=30", "hydra.launcher.array_parallelism=1"
SWEEPS = {
    "limits": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=1", "hydra.launcher.max_num_timeout=1"],
    "saved": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=1", "hydra.launcher.max_num_timeout=9"],
    "orphans": [f"{NODE}.nodelist=n1", "hydra.launcher.timeout_min=2"],
    "life": [f"{NODE}.nodelist=n1", LONG],
    "stopped": [f"{NODE}.nodelist=n1", LONG, IN_TURN, "hydra.callbacks.deriva_ml.on_failure=stop"],
    "cancelled": [f"{NODE}.nodelist=n1", LONG, IN_TURN],
    "outlived": [f"{NODE}.nodelist=n1", LONG],
    "preempted": [f"{NODE}.nodelist=n2", LONG],
    "unqueued": [f"{NODE}.nodelist=n2", LONG, f"{NODE}.no-requeue=true"],
    "node": [f"{NODE}.nodelist=n3", LONG, f"{NODE}.no-requeue=true"],
    "cut_off": [f"{NODE}.exclude='n1,n2,n3'", LONG],
    "away": [f"{NODE}.nodelist=n1", LONG],
    "disk": [f"{NODE}.nodelist=n1", LONG, IN_TURN],
}
LIMITED = ("limits", "saved", "orphans")
LEFT = ("orphans", "outlived")  # their launching process is killed
KILLED = "its process ended without recording an end"
EVENTS = {
    "life": {
        "well": ("Uploaded", ""),
        "exception": ("Failed", "ValueError: no convergence"),
        "odd_exception": ("Failed", "Odd: 1 2"),
        "exit_0": ("Failed", "SystemExit: 0"),
        "exit_3": ("Failed", "SystemExit: 3"),
        "keyboard_interrupt": ("Aborted", "KeyboardInterrupt"),
        "os_exit": ("Failed", KILLED),
        "sigkill": ("Failed", KILLED),
        "sigterm": ("Uploaded", ""),  # submitit ignores it: SLURM sends it before a preemption
        "out_of_memory": ("Failed", "out of memory"),
        "scancel": ("Aborted", "was cancelled"),
        "requeue": ("Uploaded", ""),
    },
    "limits": {"time_out_twice": ("Failed", "time-out")},
    "saved": {"time_out_once": ("Uploaded", "")},
    "orphans": {"time_out": ("Failed", "time-out"), "time_out_deaf": ("Failed", "time-out")},
    "stopped": {
        "stops_all": ("Failed", "ValueError: no convergence"),
        "no_turn": ("Aborted", "an earlier job of the sweep has failed"),
    },
    "cancelled": {"cancelled": ("Aborted", "was cancelled"), "cancelled_before": ("Aborted", "was cancelled")},
    "outlived": {"outlives": ("Uploaded", "")},
    "preempted": {"preemption": ("Uploaded", "")},
    "unqueued": {"preempted_for_good": ("Aborted", "was preempted and not requeued")},
    "node": {"node_lost": ("Failed", "lost its node")},
    "cut_off": {"cut_off": ("Uploaded", "")},
    "away": {"catalog_away": ("Uploaded", ""), "catalog_gone": ("Pending_Upload", "does not answer")},
    "disk": {"well_on_disk": ("Uploaded", ""), "disk_full": ("Failed", "")},
}
CELLS = {  # ours: what the matrix calls it, where it is another name
    "out_of_memory": "memory",
    "time_out": "timeout",
    "time_out_once": "timeout_restarts",
    "time_out_deaf": "timeout_deaf",
    "preempted_for_good": "preemption_no_requeue",
    "cut_off": "node_cut_off",
}
NEVER_RAN = {"no_turn", "cancelled_before"}
NO_CELLS = {"well", "well_on_disk", "time_out_twice", "outlives", "stops_all", "cancelled", *NEVER_RAN}
RECOVERED = {"time_out_deaf", "catalog_gone", "disk_full"}  # it took a later command
RESTARTED = {"time_out_once", "requeue", "preemption", "cut_off"}


@dataclass
class Ran:
    """The sweeps, when all is over."""

    made: object
    on_disk: object | None = None
    parents: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def served(self, sweep):
        if sweep == "disk" and self.on_disk is None:
            pytest.skip("this machine lets nobody mount")
        return self.on_disk if sweep == "disk" else self.made

    def tree(self, sweep):
        return self.served(sweep).tree(self.parents[sweep])


@pytest.fixture(scope="module")
def ran(module_project, served_on_disk, wait_until):
    made = module_project(MODEL)
    with ExitStack() as stack:
        proxy = stack.enter_context(MeddlingProxy(*_address(made.url)))
        result = Ran(made, served_on_disk(made))
        processes = {}
        stack.callback(_end, processes)

        def start(sweep):
            served = {"away": made.through(proxy.url), "disk": result.on_disk}.get(sweep, made)
            if served is not None:
                events = f"model_config.event={','.join(EVENTS[sweep])}"
                processes[sweep] = served.start(*COMMON, *SWEEPS[sweep], events, f"description={sweep}")

        _run(Running(made, processes, wait_until), proxy, start)
        for sweep in processes.keys() - LEFT:
            _, result.errors[sweep] = processes[sweep].communicate(timeout=600)
            result.codes[sweep] = processes[sweep].returncode
        rows = [*made.rows("Execution"), *(_recovered(result.on_disk) if result.on_disk else ())]
        result.parents = {row["Description"]: row["RID"] for row in rows}
        for sweep in LEFT:
            watched = made.run("watch", result.parents[sweep], command="deriva-ml-executions")
            result.codes[sweep], result.errors[sweep] = watched.returncode, watched.stdout + watched.stderr
        recovered = made.recover()
        assert recovered.returncode == 0, recovered.stderr
        yield result


def _address(url):
    return urlsplit(url).hostname, urlsplit(url).port


def _recovered(served):
    """The disk has room again; what could not be told is told."""
    for ballast in served.working_dir.glob("deriva-ml/execution/*/ballast"):
        ballast.unlink()
    done = served.recover()
    assert done.returncode == 0, done.stderr
    return served.rows("Execution")


def _end(processes):
    for process in processes.values():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


@dataclass
class Running:
    """The sweeps while they run."""

    made: object
    processes: dict
    wait_until: object

    def started(self, event):
        """Wait until the model runs."""
        log = self.made.project.root / f"started-{event}"
        (sweep,) = (self.processes[name] for name in self.processes if event in EVENTS[name])
        self.wait_until(lambda: log.exists() or sweep.poll() is not None)
        assert log.exists(), sweep.communicate()[1]

    def go(self, event):
        (self.made.project.root / f"go-{event}").touch()

    def row(self, event):
        (found,) = (one for one in self.made.rows("Execution") if f"model_config.event={event}]" in one["Description"])
        return found

    def owner(self, event):
        self.started(event)
        return self.made.journal(self.row(event)["RID"])["owner"]

    def job(self, event):
        slurm = self.owner(event)["slurm"]
        return f"{slurm['array_job_id']}_{slurm['array_task_id']}" if "array_job_id" in slurm else slurm["job_id"]

    def kill_launcher(self, sweep):
        for event in EVENTS[sweep]:
            self.started(event)
        os.killpg(self.processes[sweep].pid, signal.SIGKILL)
        self.processes[sweep].communicate()


def _run(running, proxy, start):
    """Start the sweeps; then what other people, SLURM and fate do to the jobs, as soon as they run."""
    cluster = running.made.cluster
    cluster.ask("scontrol", "update", "NodeName=n5", "State=DRAIN", "Reason=later")
    for sweep in LIMITED:
        start(sweep)
    running.kill_launcher("orphans")
    for event in ("time_out_twice", "time_out_once"):
        running.started(event)
    for sweep in SWEEPS:
        if sweep not in LIMITED:
            start(sweep)

    running.started("catalog_away")
    running.started("catalog_gone")
    proxy.away()
    older = running.owner("cut_off")
    with _silent_node(cluster, "n4"):
        cluster.ask("scontrol", "update", "NodeName=n5", "State=RESUME")
        cluster.ask("scancel", running.job("scancel"))
        cluster.ask("scancel", running.job("cancelled").partition("_")[0])
        cluster.ask("scontrol", "requeue", running.job("requeue"))
        running.started("preemption")
        running.started("preempted_for_good")
        cluster.ask("sbatch", "-p", "high", "-w", "n2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
        _kill_node(cluster, "n3", running.owner("node_lost"))
        proxy.back()
        running.go("catalog_away")
        running.kill_launcher("outlived")
        running.go("outlives")
        running.wait_until(lambda: running.row("catalog_away")["Status"] == "Uploaded")
        proxy.away()
        running.go("catalog_gone")
        running.wait_until(lambda: not psutil.pid_exists(older["pid"]))


@contextmanager
def _silent_node(cluster, name):
    """SLURM hears nothing of a node, whose jobs go on: as when the network breaks between them."""
    slurmd = int((cluster.folder / f"slurmd-{name}.pid").read_text())
    os.kill(slurmd, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(slurmd, signal.SIGCONT)


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
    for event in expected.keys() - NO_CELLS:
        status, detail = found[event]
        shown = "" if event == "disk_full" else detail  # what it could still say before the disk was full is chance
        slurm_cell(CELLS.get(event, event), status, shown, recovered=event in RECOVERED)
    if sweep == "outlived":
        slurm_cell("launcher_sigkill", "Uploaded", "the jobs run on, and a later command ends the parent")
    bad = [status for status, _ in expected.values() if status != "Uploaded"]
    assert (parent["Status"], ran.codes[sweep]) == (("Failed", 1) if bad else ("Uploaded", 0)), ran.errors[sweep]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_outputs_are_in_the_catalog_or_wait_on_disk(ran, sweep):
    """Those of jobs that ended well, each once, also of those that were restarted; the others' are not lost."""
    _, children = ran.tree(sweep)
    served = ran.served(sweep)

    stored = [row["Filename"] for row in served.rows("Execution_Asset")]
    for event, child in zip(EVENTS[sweep], children, strict=True):
        kept = [path.name for path in served.folder(child["RID"]).glob(f"assets/Execution_Asset/{event}.txt")]
        made = [] if event in NEVER_RAN else [f"{event}.txt"]
        well = child["Status"] == "Uploaded"
        assert (stored.count(f"{event}.txt"), kept) == ((1, []) if well else (0, made)), event


def test_all_failures_are_told_with_their_own_tracebacks(ran):
    """Those that left one; of the others, what SLURM says."""
    told = ran.errors["life"]

    _, children = ran.tree("life")
    for child in children:
        failed = child["Status"] != "Uploaded"
        assert (
            f"job {child['Sequence']}: {child['RID']} {child['Status']} ({child['Status_Detail']})" in told
        ) is failed
    for last in ("ValueError: no convergence", "Odd: 1 2", "SystemExit: 3", "KeyboardInterrupt"):
        assert re.search(
            rf"Traceback \(most recent call last\):\n *File [^\n]*src/models/model.py.*?{last}\n", told, re.DOTALL
        )


def test_a_restarted_job_goes_on_under_its_execution(ran):
    """The model is called again, finds what it saved, and the record counts the restarts."""
    restarts = {}
    for sweep, events in EVENTS.items():
        if sweep == "disk":  # which there may not be
            continue
        _, children = ran.tree(sweep)
        for event, child in zip(events, children, strict=True):
            if event not in NEVER_RAN:
                restarts[event] = ran.made.journal(child["RID"])["restarts"]

    assert {event for event, count in restarts.items() if count} - {"time_out_twice"} == RESTARTED
    for event in ("preemption", "time_out_once"):
        assert (ran.made.project.root / f"resumed-{event}").read_text() == "epoch 7"
        assert (ran.made.project.root / f"saved-{event}").read_text() == "by one process\n"


def test_a_process_that_slurm_only_took_for_lost_has_no_part_in_the_outputs(ran):
    """It staged into the same folder until it noticed. The catalog has what the newer one made; its own is kept."""
    _, (child,) = ran.tree("cut_off")
    (stored,) = (row for row in ran.made.rows("Execution_Asset") if row["Filename"] == "cut_off.txt")

    assert stored["MD5"] == hashlib.md5(b"cut_off 1").hexdigest()
    (kept,) = ran.made.folder(child["RID"]).glob("attempts/1/assets/Execution_Asset/cut_off.txt")
    assert kept.read_text() == "of the older"
    job = ran.made.journal(child["RID"])["slurm"]["job_id"]
    (log,) = ran.made.project.home.glob(f".deriva-ml/local/demo/hydra-sweep/*/slurm/{job}/{job}_0_log.out")
    assert f"execution {child['RID']} has been taken over by" in log.read_text()


def test_the_record_names_job_node_and_partition(ran):
    """In the journal, in `show`, and in the environment snapshot of the catalog, one for each start."""
    _, (child,) = ran.tree("preempted")

    slurm = ran.made.journal(child["RID"])["slurm"]
    shown = ran.made.run("show", child["RID"], command="deriva-ml-executions").stdout
    facts = {name: slurm.get(name) for name in ("partition", "node", "nodes", "restarts", "job_name", "cluster")}
    assert list(facts.values()) == ["debug", "n2", "n2", "1", "deriva_model", "lab"]
    assert f"SLURM job: {slurm['job_id']}, partition debug, node n2" in shown
    assert "Restarts:  1" in shown
    rows = [row for row in ran.made.rows("Execution_Metadata") if row["Filename"].startswith("environment_snapshot")]
    snapshots = [json.loads(ran.made.stored(row)) for row in rows]
    ours = [one["scheduler"] for one in snapshots if one["execution"] == child["RID"]]
    assert [one.get("restarts") for one in ours] == [None, "1"]
    assert ours[1] == {"kind": "slurm", **slurm}


def test_the_record_names_the_place_in_the_array(ran):
    """By which sacct and scancel know the job."""
    _, children = ran.tree("life")

    slurm = [ran.made.journal(child["RID"])["slurm"] for child in children]
    assert [one["array_task_id"] for one in slurm] == [str(number) for number in range(len(children))]
    assert len({one["array_job_id"] for one in slurm}) == 1

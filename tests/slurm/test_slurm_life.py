"""
The crash matrix under SLURM: whatever ends or interrupts a job, its node, or the launching process, the record is true.

The fixture `ran` lets it all happen, once (tests/fixtures/slurm_life_fixture.py).
"""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from slurm_life_fixture import CELLS, EVENTS, NEVER_RAN, NO_CELLS, RECOVERED, RESTARTED, SWEEPS


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

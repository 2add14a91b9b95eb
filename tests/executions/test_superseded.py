"""One process writes an execution's record: one that was only taken for dead stops, and neither writes nor commits."""

import json
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from deriva_ml_core.executions.beginning import begin
from deriva_ml_core.executions.heart import Heart
from deriva_ml_core.executions.journal import Journal, JournalEntry, read_entry
from deriva_ml_core.executions.owner import this_process
from deriva_ml_core.executions.signals import Superseded
from deriva_ml_core.executions.states import Status

ANOTHER = replace(this_process(), host="n2", slurm={"job_id": "7", "restarts": "1", "launcher": "slurm"})


def test_the_heart_beats_until_it_is_stopped(tmp_path):
    """A beat is a new time in the file; after stop, the file is left alone."""
    journal = Journal.start(tmp_path / "1-A", JournalEntry(rid="1-A"))
    before = read_entry(tmp_path / "1-A").heartbeat
    heart = Heart(journal, every_s=0.005)
    while read_entry(tmp_path / "1-A").heartbeat == before:  # ends when it beats; the suite's time-out when it does not
        pass
    heart.stop()

    after = (tmp_path / "1-A" / "journal.json").stat().st_mtime_ns
    journal_threads = [thread.name for thread in threading.enumerate()]
    assert "deriva-ml-heartbeat" not in journal_threads
    assert after == (tmp_path / "1-A" / "journal.json").stat().st_mtime_ns


def test_a_journal_that_another_process_has_taken_over_is_not_written(tmp_path):
    """Whatever the older one has to say; it hears who has the record now."""
    ours = Journal.start(tmp_path / "1-A", JournalEntry(rid="1-A"))
    ours.update(detail="ours")
    Journal.start(tmp_path / "1-A", replace(ours.entry, owner=ANOTHER, detail="theirs"))

    for say in (
        lambda: ours.change_status(Status.failed),
        lambda: ours.update(detail="ours"),
        lambda: ours.told("status"),
        ours.beat,
    ):
        with pytest.raises(Superseded, match=f"process {ANOTHER.pid} on n2, SLURM job 7, restart 1"):
            say()
    assert (read_entry(tmp_path / "1-A").detail, read_entry(tmp_path / "1-A").owner) == ("theirs", ANOTHER)


def test_an_older_start_of_a_slurm_job_does_not_begin_after_the_newer(tmp_path, monkeypatch):
    """It was slow, on a node that SLURM took for lost."""
    monkeypatch.setattr("deriva_ml_core.executions.beginning.GONE_AFTER_S", 0.0)
    folder = tmp_path / "1-A"
    Journal.start(folder, JournalEntry(rid="1-A", owner=ANOTHER, slurm=ANOTHER.slurm))

    for restarts in ("0", "1", "2"):
        entry = JournalEntry(rid="1-A", slurm={"job_id": "7", "restarts": restarts})
        if restarts == "0":
            with pytest.raises(Superseded):
                begin(None, folder, entry)
            assert read_entry(folder).owner == ANOTHER
        else:
            assert begin(None, folder, entry).entry.restarts == int(restarts)


LIVING = """
import sys
from pathlib import Path
from deriva_ml_core.executions.journal import Journal, JournalEntry
Journal.start(Path(sys.argv[1]), JournalEntry(rid="1-A", detail="older"))
(Path(sys.argv[1]) / "assets").mkdir()
print("here", flush=True)
sys.stdin.read()
"""


def test_a_newer_start_waits_for_a_process_that_lives_before_it_stages(tmp_path):
    """The record is its own at once; what the older one wrote until it ended is put aside, and nothing is mixed."""
    folder = tmp_path / "1-A"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LIVING, str(folder)], **pipes) as older:
        older.stdout.readline()
        newer = threading.Thread(target=begin, args=(None, folder, JournalEntry(rid="1-A")))
        newer.start()
        while read_entry(folder).owner != this_process():  # ends when it has it; the suite's time-out when not
            pass
        assert not (folder / "attempts").exists()
        (folder / "assets" / "last.txt").write_text("of the older")
        older.stdin.close()
        older.wait()
        newer.join()

    assert (folder / "attempts/1/assets/last.txt").read_text() == "of the older"
    assert not (folder / "assets").exists()
    assert read_entry(folder / "attempts/1").detail == "older"
    assert read_entry(folder).restarts == 1


def test_a_process_whose_heart_is_silent_is_not_waited_for(tmp_path):
    """Nobody knows of a process elsewhere; SLURM has kept the job waiting for longer than it takes to notice."""
    folder = tmp_path / "1-A"
    Journal.start(folder, JournalEntry(rid="1-A", owner=replace(ANOTHER, slurm={})))
    file = folder / "journal.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "heartbeat": "2026-01-01T00:00:00+00:00"}))

    assert begin(None, folder, JournalEntry(rid="1-A")).entry.restarts == 1


def test_an_execution_that_was_taken_over_commits_nothing(ml, workflow):
    """No status, no output, no file of the record: all of them are the newer process's."""
    execution = ml.create_execution(workflow=workflow)
    with execution.execute():
        execution.asset_file_path("Execution_Asset", "old.txt").write_text("of the older")
    Journal.start(execution.working_dir, replace(execution.journal_entry, owner=ANOTHER))
    before = execution.execution_record.status

    with pytest.raises(Superseded):
        execution.commit_output_assets()

    assert read_entry(execution.working_dir).status is Status.stopped
    assert execution.execution_record.status is before
    assert ml.session.get_json("/entity/deriva-ml:Execution_Asset") == []
    execution.leave()


def test_the_model_of_an_execution_that_was_taken_over_is_interrupted(ml, workflow, monkeypatch):
    """Within a heartbeat, and what it then wants to record is not recorded."""
    monkeypatch.setattr("deriva_ml_core.executions.heart.HEARTBEAT_S", 0.05)
    execution = ml.create_execution(workflow=workflow)

    def run():
        with execution.execute():
            Journal.start(execution.working_dir, replace(execution.journal_entry, owner=ANOTHER))
            threading.Event().wait(60)

    with pytest.raises(Superseded):
        run()

    entry = read_entry(execution.working_dir)
    assert (entry.owner, entry.status) == (ANOTHER, Status.running)
    assert execution.execution_record.status is Status.running
    execution.leave()


DEAF = """
import signal, sys, threading
from dataclasses import replace
from pathlib import Path
from deriva_ml_core.executions.heart import Heart
from deriva_ml_core.executions.journal import Journal, JournalEntry
signal.signal(signal.SIGINT, signal.SIG_IGN)
journal = Journal.start(Path(sys.argv[1]), JournalEntry(rid="1-A"))
Heart(journal, every_s=0.05)
Journal.start(journal.folder, replace(journal.entry, owner=replace(journal.entry.owner, host="n2")))
threading.Event().wait(60)
"""


def test_a_process_that_does_not_hear_is_ended(tmp_path):
    """A model deep in a library of C's would go on writing checkpoints."""
    done = subprocess.run([sys.executable, "-c", DEAF, str(tmp_path / "1-A")], timeout=120, check=False)

    assert done.returncode == 1
    assert read_entry(tmp_path / "1-A").owner.host == "n2"

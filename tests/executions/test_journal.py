"""The journal of an execution on disk."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.errors import WorkingFolderError
from deriva_ml_core.executions.journal import (
    Change,
    Journal,
    JournalEntry,
    check_writable,
    executions_folder,
    read_entry,
    read_journals,
)
from deriva_ml_core.executions.owner import Owner, this_process
from deriva_ml_core.executions.states import Status

TIMES = st.datetimes(timezones=st.just(UTC))
TEXT = st.text(max_size=20)
STATUS = st.sampled_from(list(Status))
ENTRIES = st.builds(
    JournalEntry,
    rid=st.from_regex(r"[A-Z0-9]{1,4}-[A-Z0-9]{4}", fullmatch=True),
    hostname=TEXT,
    catalog_id=TEXT,
    owner=st.none() | st.builds(Owner, TEXT, TEXT, TEXT, st.integers(1, 99999), TEXT, st.dictionaries(TEXT, TEXT)),
    heartbeat=st.none() | TIMES,
    status=STATUS,
    detail=st.none() | TEXT,
    changes=st.lists(st.builds(Change, STATUS, TIMES, st.none() | TEXT), max_size=4).map(tuple),
    description=TEXT,
    configuration=st.dictionaries(TEXT, TEXT),
    start_time=st.none() | TIMES,
    durations=st.dictionaries(TEXT, st.floats(0, 1e6)),
    pending=st.frozensets(TEXT),
    sequence=st.none() | st.integers(0, 999),
)


@given(ENTRIES)
def test_what_is_written_comes_back(entry):
    """Recovery sees what the dead process knew."""
    document = json.loads(json.dumps(entry.to_json(), default=lambda value: value.isoformat()))

    assert entry == JournalEntry.from_json(document)


@given(st.binary(max_size=200))
def test_a_damaged_file_still_says_which_execution_it_was(tmp_path_factory, content):
    """Another host's disk trouble must not hide that an execution exists, nor stop the others from being listed."""
    folder = tmp_path_factory.mktemp("folder") / "1-ABCD"
    folder.mkdir()
    (folder / "journal.json").write_bytes(content)

    entry = read_entry(folder)

    assert (entry.rid, entry.damaged) == ("1-ABCD", True)


def test_a_journal_cut_short_is_damaged_at_every_length(tmp_path):
    """Half a document never passes for a whole one."""
    folder = tmp_path / "1-ABCD"
    whole = Journal.start(folder, JournalEntry(rid="1-ABCD")).folder / "journal.json"
    text = whole.read_bytes()

    for length in range(len(text) - 1):
        whole.write_bytes(text[:length])
        assert read_entry(folder).damaged, text[:length]


def test_status_reaches_the_disk_before_anybody_else_is_told(tmp_path):
    """The change is on disk and marked as not yet told when the call returns."""
    journal = Journal.start(tmp_path / "1-A", JournalEntry(rid="1-A"))
    journal.change_status(Status.running, mark=["uploads"])

    on_disk = read_entry(tmp_path / "1-A")
    assert (Status.running, {"status", "uploads"}) == (on_disk.status, on_disk.pending)

    journal.told("status")
    assert {"uploads"} == read_entry(tmp_path / "1-A").pending


def test_it_names_the_process_that_owns_it(tmp_path, monkeypatch):
    """Recovery tells the living from the dead by pid, start time, host, boot and SLURM job."""
    for name, value in {"SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    Journal.start(tmp_path / "1-A", JournalEntry(rid="1-A"))

    owner = read_entry(tmp_path / "1-A").owner
    assert (os.getpid(), "70_7", True) == (owner.pid, owner.slurm_job_id, owner.is_alive)


def test_a_process_that_has_ended_is_not_alive(tmp_path):
    """The pid alone does not say so: it may belong to another process by now."""
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from deriva_ml_core.executions.owner import *; print(process_start(this_process().pid))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    me = this_process()

    assert replace(me, process_start=child.stdout.strip()).is_alive is False
    assert replace(me, pid=2**22 + 1).is_alive is False
    assert replace(me, boot_id="an earlier boot").is_alive is False


def test_what_this_host_cannot_know_is_not_guessed():
    """A process of another host or container may be alive: None is neither yes nor no."""
    me = this_process()

    assert replace(me, host="elsewhere").is_alive is None
    assert replace(me, pid_namespace="pid:[1]").is_alive is None


def test_a_killed_process_is_gone_though_its_parent_has_not_collected_it(tmp_path):
    """A zombie still has a pid; its run is over."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    owner = replace(this_process(), pid=child.pid)
    from deriva_ml_core.executions.owner import process_start

    owner = replace(owner, process_start=process_start(child.pid))
    assert owner.is_alive is True

    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_alive is False
    child.wait()


def test_taking_over_keeps_what_was_known(tmp_path):
    """Whoever records the end of a dead execution owns it then; that is no restart, and its SLURM job stays known."""
    folder = tmp_path / "1-A"
    journal = Journal.start(folder, JournalEntry(rid="1-A", restarts=1, slurm={"job_id": "7"}))
    journal.update(owner=replace(this_process(), process_start="0"))

    entry = Journal.take_over(folder).entry
    assert entry.owner == this_process()
    assert (entry.restarts, entry.slurm) == (1, {"job_id": "7"})


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from deriva_ml_core.executions.journal import Journal, JournalEntry
from deriva_ml_core.executions.states import Status
journal = Journal.start(Path(sys.argv[1]), JournalEntry(rid="1-A", description="x" * 20_000))
print("ready", flush=True)
while True:
    journal.change_status(Status.running)
    journal.update(changes=())
"""


def test_kill_nine_in_the_middle_of_writing_leaves_a_whole_journal(tmp_path):
    """Written beside and renamed: whenever the process dies, a reader sees one whole state."""
    for _ in range(3):
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "1-A")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline().strip() == "ready"
            for _ in range(50):
                assert not read_entry(tmp_path / "1-A").damaged
            process.kill()

        assert not read_entry(tmp_path / "1-A").damaged


def test_executions_of_a_working_folder_are_found_whatever_else_is_there(tmp_path):
    """Files, damaged journals and folders without one lie beside the good ones."""
    folder = executions_folder(tmp_path)
    Journal.start(folder / "1-A", JournalEntry(rid="1-A"))
    (folder / "1-B").mkdir()
    (folder / "notes.txt").write_text("mine")

    assert [(entry.rid, entry.damaged) for _, entry in read_journals(tmp_path)] == [("1-A", False), ("1-B", True)]
    assert list(read_journals(tmp_path / "nowhere")) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """In one line that names it, before anything is written to a catalog."""
    (tmp_path / "deriva-ml").write_text("not a folder")

    with pytest.raises(WorkingFolderError, match="can't be written"):
        check_writable(tmp_path)


def test_checking_leaves_nothing_behind(tmp_path):
    """The probe is removed again."""
    check_writable(tmp_path)

    assert list(executions_folder(tmp_path).iterdir()) == []


def test_a_newer_release_may_add_names(tmp_path):
    """An older release on another node reads what it knows."""
    document = json.loads(json.dumps(JournalEntry(rid="1-A").to_json(), default=str))

    assert JournalEntry.from_json({**document, "invented_later": 1}).rid == "1-A"


def test_times_have_a_zone():
    """Hosts of one sweep may be in different zones."""
    entry = JournalEntry(rid="1-A").changed_to(Status.running)

    assert entry.changes[-1].at.tzinfo is not None
    assert isinstance(entry.changes[-1].at, datetime)

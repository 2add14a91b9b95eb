"""deriva-ml-storage: sizes and states, and deleting that never loses what is nowhere else unless told twice."""

import json

import pytest

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.specs import AssetSpec
from deriva_ml_core.cli import storage


@pytest.fixture
def command(new_ml, capsys):
    def run(*arguments):
        code = storage.main(["--working-dir", str(new_ml.working_dir), *arguments])
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


@pytest.fixture
def uploaded(new_ml, workflow):
    """An execution that is wholly in the catalog, with its files still here."""
    execution = new_ml.create_execution(workflow=workflow, description="x")
    with execution:
        execution.asset_file_path("Execution_Asset", "w.txt").write_text("w" * 5000)
    execution.upload_execution_outputs(clean_folder=False)
    return execution


@pytest.fixture
def waiting(new_ml, workflow):
    """One that failed and has an output that is nowhere else."""
    execution = new_ml.create_execution(workflow=workflow, description="x")

    def model():
        execution.asset_file_path("Execution_Asset", "only.txt").write_text("o" * 3000)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), execution:
        model()
    return execution


def states(listing):
    return {item["rid"]: item["state"] for item in json.loads(listing)["items"]}


def test_states_and_sizes_are_told(command, uploaded, waiting, new_ml, workflow):
    """Each execution's folder with what of it is not in the catalog; and what is cached."""
    running = new_ml.create_execution(workflow=workflow)
    rid = uploaded.uploaded_assets["deriva-ml/Execution_Asset"][0].asset_rid
    new_ml.create_execution(workflow=workflow, assets=[AssetSpec(rid, cache=True)])
    code, out, _ = command("--json")
    document = json.loads(out)

    assert code == 0
    found = states(out)
    assert found[uploaded.execution_rid] == "kept"
    assert found[waiting.execution_rid] == "waiting (1 file)"
    assert found[running.execution_rid] == "running"
    assert found[""] == "cached (1 file)"
    assert document["summary"]["waiting_files"] == 1
    sizes = [item["size_bytes"] for item in json.loads(command("--json", "--sort", "size")[1])["items"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "1 file not in the catalog" in command()[1]
    assert all(
        item["type"] == "execution" for item in json.loads(command("--json", "--list", "executions")[1])["items"]
    )


def test_what_is_nowhere_else_is_not_deleted_unless_told_twice(command, waiting):
    """--yes alone is not enough: outputs are lost only where --discard-outputs says so too."""
    folder = waiting.working_dir
    code, _, err = command("--delete", waiting.execution_rid, "--yes")

    assert code != 0
    assert "not in the catalog" in err
    assert (folder / "assets/Execution_Asset/only.txt").exists()
    assert command("--delete", waiting.execution_rid, "--yes", "--discard-outputs")[0] == 0
    assert not folder.exists()


def test_files_that_nobody_named_are_not_deleted_unless_told_twice(command, uploaded):
    """No upload brings them, so they are nowhere else: the listing has them, and cleaning leaves them."""
    (uploaded.working_dir / "assets/Execution_Asset/beside.txt").write_text("only here")
    _, listing, _ = command("--json")
    cleaned = command("--clean", "--yes")
    code, _, err = command("--delete", uploaded.execution_rid, "--yes")

    assert states(listing)[uploaded.execution_rid] == "unnamed (1 file)"
    assert (cleaned[0], uploaded.working_dir.exists()) == (0, True)
    assert (code, "1 file(s) in" in err, "--discard-outputs loses them" in err) == (1, True, True)
    assert command("--delete", uploaded.execution_rid, "--yes", "--discard-outputs")[0] == 0
    assert not uploaded.working_dir.exists()


def test_nothing_is_deleted_where_one_can_not_be(command, uploaded, waiting):
    """All are looked at first."""
    assert command("--delete", uploaded.execution_rid, waiting.execution_rid, "--yes")[0] != 0
    assert uploaded.working_dir.exists()


def test_a_running_execution_is_never_deleted(command, new_ml, workflow):
    """Whatever is said."""
    execution = new_ml.create_execution(workflow=workflow)
    code, _, err = command("--delete", execution.execution_rid, "--yes", "--discard-outputs")

    assert code != 0
    assert "may be running" in err
    assert execution.working_dir.exists()


def test_deleting_asks(command, uploaded, monkeypatch):
    """No terminal and no --yes: refused; and a person who says no has deleted nothing."""
    code, _, err = command("--delete", uploaded.execution_rid)
    assert code == 2
    assert "--yes" in err

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert command("--delete", uploaded.execution_rid)[0] == 1
    assert uploaded.working_dir.exists()
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    assert command("--delete", uploaded.execution_rid)[0] == 0
    assert not uploaded.working_dir.exists()


def test_cleaning_leaves_what_is_nowhere_else(command, uploaded, waiting):
    """--clean takes what is wholly in the catalog."""
    assert command("--clean", "--yes", "--older-than", "1")[0] == 0
    assert uploaded.working_dir.exists()
    assert command("--clean", "--yes")[0] == 0
    assert not uploaded.working_dir.exists()
    assert waiting.working_dir.exists()


def test_the_cache_is_cleared(command, new_ml, workflow, uploaded):
    """What is cached comes again."""
    rid = uploaded.uploaded_assets["deriva-ml/Execution_Asset"][0].asset_rid
    new_ml.create_execution(workflow=workflow, assets=[AssetSpec(rid, cache=True)])
    assert new_ml.get_cache_size()["file_count"] >= 1
    assert command("--clear-cache", "--yes")[0] == 0
    assert list(ObjectCache(new_ml.cache_dir).folder.glob("objects/*/*")) == []


def test_unknown_names_get_the_nearest(command, uploaded):
    """One line, exit code 2."""
    code, _, err = command("--delete", uploaded.execution_rid + "Z", "--yes")

    assert code == 2
    assert "holds nothing of" in err


def test_the_same_from_python(new_ml, uploaded, waiting):
    """Names of the 1.2 generation: what waits is never touched."""
    summary = new_ml.get_storage_summary()
    listed = {one["execution_rid"]: one["status"] for one in new_ml.list_execution_dirs()}
    (pending,) = new_ml.pending_summary()

    assert (summary["execution_dir_count"], summary["waiting_files"]) == (2, 1)
    assert listed == {uploaded.execution_rid: "Uploaded", waiting.execution_rid: "Failed"}
    assert (pending.rid, pending.files, str(pending)) == (
        waiting.execution_rid,
        1,
        f"{waiting.execution_rid} (Failed): 1 of deriva-ml/Execution_Asset",
    )
    assert new_ml.commit_pending_executions().total_uploaded == 0
    assert new_ml.gc_executions(status="Failed", delete_working_dir=True) == 0
    assert new_ml.gc_executions(older_than=1) == 0
    assert new_ml.gc_executions(delete_working_dir=True) == 1
    assert new_ml.commit_pending_executions([waiting.execution_rid]).total_uploaded == 1
    assert new_ml.clean_execution_dirs(exclude_rids=[waiting.execution_rid])["dirs_removed"] == 0
    assert new_ml.clean_execution_dirs()["dirs_removed"] == 1

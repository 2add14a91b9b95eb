"""deriva-ml-executions: what ran, how it ended, and finishing what waits."""

import json
from datetime import datetime

import pytest

from deriva_ml_core.cli.executions import main
from deriva_ml_core.workflows import Workflow
from deriva_ml_core.workflows.provenance import CodeReference


@pytest.fixture
def place(new_ml):
    return ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]


@pytest.fixture
def done(new_ml, workflow):
    with new_ml.create_execution(workflow=workflow, description="# Nightly\n\n| a | b |") as execution:
        execution.asset_file_path("Execution_Asset", "weights.txt").write_text("w" * 2000)
    execution.upload_execution_outputs()
    return execution


def test_the_newest_come_first_with_status_and_reason(new_ml, workflow, done, place, capsys):
    """Within the width of the terminal."""
    failed = new_ml.create_execution(workflow=workflow, description="broken")
    failed.update_status("Running")
    failed.update_status("Failed", error="ValueError: no convergence")

    assert main(["list", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [failed.execution_rid, done.execution_rid] == [line.split()[0] for line in lines[1:]]
    assert "no convergence" in lines[1]
    assert "Nightly" in lines[2]
    assert max(map(len, lines)) <= 120


def test_a_long_reason_gives_way_to_the_rest(new_ml, workflow, place, capsys, monkeypatch):
    """However narrow the terminal and long the text: RID, status, date are whole, one line for each execution."""
    monkeypatch.setenv("COLUMNS", "90")
    failed = new_ml.create_execution(workflow=workflow, description="broken")
    failed.update_status("Failed", error=f"OSError: can't write in {'/a/long/path' * 20}")

    assert main(["list", *place]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == [failed.execution_rid, "Failed"]
    assert f"  {datetime.now().astimezone():%Y-}" in line
    assert "  Digits  " in line
    assert line.rstrip().endswith("…")


def test_a_catalog_without_executions_is_told_from_a_list_that_finds_none(new_ml, place, capsys):
    """However many are to be shown, and in which order."""
    assert main(["list", "--all", "--sort", "status", *place]) == 0
    assert "there are no executions in catalog" in capsys.readouterr().out
    assert main(["list", "--no-jobs", *place]) == 0
    assert "no such execution in catalog" in capsys.readouterr().out


def test_list_filters_and_counts(new_ml, done, place, capsys):
    """--status, --limit; none found is said in a line; --json is a document."""
    assert main(["list", "--status", "Failed", *place]) == 0
    assert "no such execution" in capsys.readouterr().out
    assert main(["list", "--json", "--limit", "1", *place]) == 0
    (document,) = json.loads(capsys.readouterr().out)

    assert (done.execution_rid, "Uploaded", "Digits") == (document["rid"], document["status"], document["workflow"])


def test_show_tells_all_of_it(done, place, capsys):
    """Workflow, code, times, outputs, metadata, folder."""
    assert main(["show", done.execution_rid, *place]) == 0
    text = capsys.readouterr().out

    for part in (
        "Uploaded",
        "| a | b |",
        "Digits (Training)",
        "Started:",
        "weights.txt  (2.0 kB)",
        "configuration.json",
    ):
        assert part in text, part


def test_show_tells_the_code_of_this_run(new_ml, place, capsys):
    """Runs of one source file share a workflow, which has the commit and version of the first of them."""
    found = []
    for version in ("0.1.0", "0.2.0"):
        code = CodeReference(url=f"https://example.org/model.py@{version}", checksum="5" * 40, version=version)
        described = Workflow(name="Digits", workflow_type="Training")
        execution = new_ml.create_execution(workflow=described, description="A run", code=code)
        assert main(["show", execution.execution_rid, *place]) == 0
        lines = capsys.readouterr().out.splitlines()
        found.append([execution.workflow_rid, *(line for line in lines if line.startswith(("Code:", "Version:")))])

    (first, *_), (second, *_) = found
    assert first == second
    assert [lines for _, *lines in found] == [
        ["Code:      https://example.org/model.py@0.1.0", "Version:   0.1.0"],
        ["Code:      https://example.org/model.py@0.2.0", "Version:   0.2.0"],
    ]


def test_show_says_how_to_get_the_files(done, new_ml, place, capsys):
    """No page shows an embedded catalog's rows: a command, as it must be typed, stands in for a link."""
    main(["show", done.execution_rid, *place])
    text = capsys.readouterr().out
    main(["show", done.execution_rid, "--json", *place])

    assert "Link:" not in text
    assert f"deriva-ml-executions download {done.execution_rid} --host local --catalog {new_ml.catalog_id}" in text
    assert json.loads(capsys.readouterr().out)["url"] is None


def test_download_brings_the_outputs(done, place, capsys, tmp_path):
    """By table, verified; the paths are printed, so that a script can go on with them."""
    assert main(["download", done.execution_rid, *place, "--to", str(tmp_path / "got")]) == 0
    paths = capsys.readouterr().out.split()

    assert str(tmp_path / "got" / "Execution_Asset" / "weights.txt") in paths
    assert (tmp_path / "got" / "Execution_Asset" / "weights.txt").read_text() == "w" * 2000
    assert (tmp_path / "got" / "Execution_Metadata" / "configuration.json").is_file()


def test_download_of_some_files(done, place, capsys, tmp_path, monkeypatch):
    """By name; without --to in a folder of results, which is no uncommitted code."""
    monkeypatch.chdir(tmp_path)

    assert main(["download", done.execution_rid, "weights.txt", *place]) == 0
    assert capsys.readouterr().out.split() == [f"outputs/{done.execution_rid}/Execution_Asset/weights.txt"]


def test_download_keeps_outputs_of_one_name_apart(new_ml, workflow, place, capsys, tmp_path):
    """Two folders of outputs may hold files of the same name."""
    with new_ml.create_execution(workflow=workflow) as execution:
        for part in ("a", "b"):
            execution.asset_file_path("Execution_Asset", f"{part}/same.txt").write_text(part)
    execution.upload_execution_outputs()

    assert main(["download", execution.execution_rid, "same.txt", *place, "--to", str(tmp_path / "got")]) == 0
    assert sorted(path.read_text() for path in (tmp_path / "got").rglob("same.txt")) == ["a", "b"]


def test_download_overwrites_nothing(done, place, capsys, tmp_path):
    """A folder with files in it is refused, and so is a name that no output has; nothing is made."""
    (tmp_path / "mine").write_text("")

    assert main(["download", done.execution_rid, *place, "--to", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["download", done.execution_rid, "weigths.txt", *place, "--to", str(tmp_path / "got")]) == 2
    assert "did you mean 'weights.txt'" in capsys.readouterr().err
    assert not (tmp_path / "got").exists()


def test_show_knows_the_times_without_the_journal(done, place, capsys, tmp_path):
    """On another machine the catalog alone says when it ran."""
    assert main(["show", done.execution_rid, "--json", *place[:4], "--working-dir", str(tmp_path / "elsewhere")]) == 0
    document = json.loads(capsys.readouterr().out)

    assert (done.start_time.isoformat(), None) == (document["start_time"], document["folder"])
    assert {"weights.txt"} < {asset["file"] for asset in document["outputs"]}


def test_show_has_the_inputs_and_the_family(new_ml, workflow, done, place, capsys):
    """What it used, what it is part of."""
    asset = done.uploaded_assets["deriva-ml/Execution_Asset"][0].asset_rid
    child = new_ml.create_execution(workflow=workflow, assets=[asset])
    done.add_nested_execution(child, sequence=0)

    assert main(["show", child.execution_rid, "--json", *place]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [asset] == [one["rid"] for one in document["inputs"]["assets"]]
    assert [done.execution_rid] == [one["rid"] for one in document["parents"]]
    assert main(["show", done.execution_rid, *place]) == 0
    assert f"0: {child.execution_rid}  Created" in capsys.readouterr().out


def test_a_rid_that_is_no_execution_is_one_line_and_exit_code_2(done, place, capsys):
    """It says what the RID is instead."""
    assert main(["show", done.workflow_rid, *place]) == 2
    error = capsys.readouterr().err

    assert "it is a row of Workflow" in error
    assert len(error.splitlines()) == 1


def test_upload_finishes_what_waits(new_ml, workflow, place, capsys):
    """All that wait, or those that are named; afterwards nothing waits."""
    execution = new_ml.create_execution(workflow=workflow)
    with execution:
        execution.asset_file_path("Execution_Asset", "late.txt").write_text("late")
    journal = execution._opened.recorder.journal
    journal.update(pending=journal.entry.pending | {"uploads"})

    assert main(["upload", *place]) == 0
    assert f"{execution.execution_rid}: uploaded 1 file" in capsys.readouterr().out
    assert new_ml.lookup_execution(execution.execution_rid).status.value == "Uploaded"
    assert main(["upload", *place]) == 0
    assert "nothing waits" in capsys.readouterr().out


def test_upload_of_what_is_not_there(place, capsys):
    """One line for each, and the exit code says so."""
    assert main(["upload", "1-ZZZZ", *place]) == 2
    assert "has no execution 1-ZZZZ" in capsys.readouterr().err


def test_nothing_says_which_catalog(tmp_path, monkeypatch, capsys):
    """The line says how to say it."""
    monkeypatch.chdir(tmp_path)

    assert main(["list"]) == 2
    assert "Give --host and --catalog" in capsys.readouterr().err


def test_the_folders_context_says_which_catalog(done, place, tmp_path, monkeypatch, capsys):
    """And options go over it."""
    context = {"hostname": "local", "catalog_id": place[3], "working_dir": place[5]}
    (tmp_path / ".deriva-context.json").write_text(json.dumps(context))
    monkeypatch.chdir(tmp_path)

    assert main(["list", "--json"]) == 0
    assert [done.execution_rid] == [one["rid"] for one in json.loads(capsys.readouterr().out)]
    assert main(["list", "--catalog", "nowhere"]) == 2
    assert "no catalog 'nowhere'" in capsys.readouterr().err


def test_a_project_says_which_catalog_by_its_default_connection(demo_project):
    """What a user expects who types it in the project's folder after a run."""
    project = demo_project()
    run = project.run()
    assert run.returncode == 0, run.stderr
    listed = project.run("list", "--json", command="deriva-ml-executions")
    assert listed.returncode == 0, listed.stderr

    (document,) = json.loads(listed.stdout)
    assert document["status"] == "Uploaded"
    shown = project.run("show", document["rid"], command="deriva-ml-executions")
    assert "Hydra" not in shown.stderr
    assert "hydra-" in shown.stdout

"""load_folder and deriva-ml-load-dataset: a folder of files with a CSV of labels becomes a dataset."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deriva_ml_core.assets.names import shown
from deriva_ml_core.cli.load_dataset import main
from deriva_ml_core.connection.loading import load_folder
from deriva_ml_core.datasets.labelled_files import read_labelled_files
from deriva_ml_core.errors import (
    DerivaMLConfigurationError,
    DerivaMLDatasetNotFound,
    DerivaMLInvalidTerm,
    DerivaMLValidationError,
)

SPECIES = ("cat", "dog", "bird")


def write_files(folder: Path, count: int = 6) -> Path:
    """Files in two folders, and beside the folder a CSV that names them by path; contents are this test's own."""
    rows = []
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"image {number} of {folder}")
        rows.append((path.relative_to(folder).as_posix(), SPECIES[number % 3], number / 2, number))
    return write_csv(folder.parent / "labels.csv", rows)


def write_csv(path: Path, rows, head=("file", "Species", "Weight", "Age")) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


@pytest.fixture
def pictures(tmp_path):
    """The folder and the CSV."""
    folder = tmp_path / "pictures"
    return folder, write_files(folder)


def test_a_folder_becomes_a_dataset(new_ml, pictures):
    """Files are assets with their labels as typed columns, members of a dataset, made by an execution."""
    folder, labels = pictures
    made = load_folder(new_ml, folder, labels, features="Species", dataset_types=["Labeled"])

    assert (made.files, made.new_files, made.table) == (6, 6, "Image")
    assert made.columns == {"Species": "text", "Weight": "float8", "Age": "int8"}
    dataset = new_ml.lookup_dataset(made.dataset_rid)
    rows = {row["Filename"]: row for row in dataset.list_dataset_members()["Image"]}
    assert {name: (row["Species"], row["Weight"], row["Age"]) for name, row in rows.items()} == {
        f"{n}.png": (SPECIES[n % 3], n / 2, n) for n in range(6)
    }
    assert dataset.dataset_types == ["Labeled"]
    values = {one.target_rid: one.Species for one in new_ml.list_feature_values("Image", "Species")}
    assert values == {row["RID"]: row["Species"] for row in rows.values()}
    assert str(new_ml.lookup_execution(made.execution_rid).status) == "Uploaded"
    bag = dataset.download_dataset_bag(made.version)
    assert all(Path(row["Filename"]).is_file() for row in bag.get_table_as_dict("Image"))


def test_the_same_again_writes_nothing(new_ml, pictures):
    """What the catalog has, by name and content, is not sent again: no execution, no version."""
    folder, labels = pictures
    first = load_folder(new_ml, folder, labels, features="Species")
    again = load_folder(new_ml, folder, labels, features="Species")

    assert (again.dataset_rid, again.version) == (first.dataset_rid, first.version)
    assert (again.new_files, again.execution_rid) == (0, None)


def test_new_files_join_the_dataset(new_ml, pictures):
    """Only they are sent; the dataset gets a new minor version."""
    folder, _ = pictures
    first = load_folder(new_ml, folder, write_files(folder))
    second = load_folder(new_ml, folder, write_files(folder, 8))

    assert (second.dataset_rid, first.version, second.version) == (first.dataset_rid, "0.2.0", "0.3.0")
    assert (second.new_files, second.files) == (2, 8)


def test_other_labels_of_files_that_are_there_are_refused_unless_wanted(new_ml, pictures):
    """A CSV of yesterday must not undo what somebody has corrected; with update_labels there is a new version."""
    folder, labels = pictures
    load_folder(new_ml, folder, labels)
    write_csv(labels, [(f"{'ab'[n % 2]}/{n}.png", "fish", n / 2, n) for n in range(6)])
    with pytest.raises(DerivaMLValidationError, match=r"a/0\.png .*'cat', now 'fish'"):
        load_folder(new_ml, folder, labels)
    changed = load_folder(new_ml, folder, labels, update_labels=True)

    assert (changed.changed_labels, changed.version) == (6, "0.2.1")
    assert {row["Species"] for row in new_ml.get_table_as_dict("Image")} == {"fish"}


def test_folders_can_be_labels(new_ml, pictures):
    """As training frameworks keep their classes; no CSV is needed."""
    folder, _ = pictures
    load_folder(new_ml, folder, folder_label="Class")

    assert {(row["Filename"], row["Class"]) for row in new_ml.get_table_as_dict("Image")} == {
        (f"{n}.png", "ab"[n % 2]) for n in range(6)
    }


def test_all_that_is_wrong_is_told_together_and_nothing_is_written(new_ml, pictures, server_log):
    """A missing file, a file without a row, a second row, an impossible name: each with its line or file."""
    folder, labels = pictures
    (folder / "con\ttrol.png").write_text("x")
    (folder / "extra.png").write_text("x")
    with labels.open("a") as file:
        file.write("ghost.png,cat,1,1\na/0.png,cat,1,1\n")
    with pytest.raises(DerivaMLValidationError) as caught:
        load_folder(new_ml, folder, labels)

    assert [problem.replace(str(labels), "CSV") for problem in caught.value.problems] == [
        "CSV, line 8: no file 'ghost.png' in the folder",
        "CSV, line 9: 'a/0.png' has a row already, line 2",
        "'con\\ttrol.png' can't be the name of an asset's file: it has a control character",
        "'con\\ttrol.png' has no row in CSV",
        "'extra.png' has no row in CSV",
    ]
    assert not [path for method, path in server_log if method != "GET"]
    made = load_folder(new_ml, folder, labels, skip_problems=True)
    assert made.new_files == 6


def test_links_that_lead_out_of_the_folder_are_refused_unless_wanted(new_ml, pictures, tmp_path, server_log):
    """A folder from elsewhere must not bring a file of this machine; what is left out is named, never missed."""
    folder, _ = pictures
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    other = tmp_path / "other"
    other.mkdir()
    (other / "9.png").write_text("nine")
    (folder / "stranger.png").symlink_to(secret)
    (folder / "more").symlink_to(other)
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "again.png").symlink_to("a/0.png")
    told = [
        "'broken.png' is a link to nothing ('nowhere.png')",
        f"'more' is a link to a folder, which is not followed ({shown(str(other))})",
        f"'stranger.png' leads out of the folder, to {shown(str(secret))}: --follow-links (follow_links=True) takes it",
    ]
    with pytest.raises(DerivaMLValidationError) as caught:
        load_folder(new_ml, folder)
    assert list(caught.value.problems) == told
    with pytest.raises(DerivaMLValidationError) as caught:
        load_folder(new_ml, folder, follow_links=True)
    assert list(caught.value.problems) == told[:2]
    with pytest.raises(DerivaMLValidationError):
        load_folder(new_ml, folder, pattern="stranger*", skip_problems=True)
    assert not [path for method, path in server_log if method != "GET"]

    made = load_folder(new_ml, folder, skip_problems=True)
    assert list(made.skipped) == told
    assert sorted(row["Filename"] for row in new_ml.get_table_as_dict("Image")) == [
        *(f"{n}.png" for n in range(6)),
        "again.png",
    ]
    assert load_folder(new_ml, folder, skip_problems=True, follow_links=True).new_files == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"file_column": "fil"}, DerivaMLValidationError, "no column 'fil'; did you mean 'file'"),
        ({"features": "Specie"}, DerivaMLValidationError, "no label column Specie"),
        ({"dataset_types": "Labelled"}, DerivaMLInvalidTerm, "Labeled"),
        ({"dataset": "9-ZZZZ"}, DerivaMLDatasetNotFound, "9-ZZZZ"),
        ({"pattern": "*.jpg"}, DerivaMLValidationError, r"no files .*jpg"),
        ({"table": "Execution_Metadata"}, DerivaMLValidationError, "no column Species"),
        ({"table": "Pic/.."}, DerivaMLConfigurationError, "'Pic/..' can't be the name of a table"),
        ({"table": "Species", "features": "Species"}, DerivaMLValidationError, "there is a table of that name"),
    ],
)
def test_a_wrong_option_costs_nothing(new_ml, pictures, server_log, options, error, words):
    """It is told with what there is instead, before anything is written; a dry run tells it, too."""
    for dry_run in (True, False):
        with pytest.raises(error, match=words):
            load_folder(new_ml, *pictures, **options, dry_run=dry_run)

    assert not [path for method, path in server_log if method != "GET"]


def test_labels_that_do_not_fit_an_existing_table_are_told(new_ml, pictures):
    """The type of a column that is there counts: file and column are named, and no execution is made."""
    folder, labels = pictures
    load_folder(new_ml, folder, labels)
    before = len(list(new_ml.find_executions()))
    write_csv(labels, [(f"{'ab'[n % 2]}/{n}.png", "cat", n / 2, "old" if n == 3 else n) for n in range(6)])
    with pytest.raises(DerivaMLValidationError, match=r"b/3\.png: column Age"):
        load_folder(new_ml, folder, labels)

    assert len(list(new_ml.find_executions())) == before


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["1", "", "-3"], "int8", [1, None, -3]),
        (["1", "2.5", "NaN"], "float8", [1.0, 2.5, None]),
        (["007", "010", "1"], "text", ["007", "010", "1"]),
        (["TRUE", "false", "n/a"], "boolean", [True, False, None]),
        (["1e3", "x", ""], "text", ["1e3", "x", None]),
        (["None", "a", "b"], "text", ["None", "a", "b"]),
    ],
)
def test_a_column_has_the_type_of_all_its_values(tmp_path, values, kind, read):
    """Codes with leading zeros stay what they are; empty cells say nothing."""
    for number in range(3):
        (tmp_path / "files" / f"{number}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / "files" / f"{number}.txt").write_text(str(number))
    labels = write_csv(tmp_path / "labels.csv", [(str(n), value) for n, value in enumerate(values)], ("id", "Value"))
    found = read_labelled_files(tmp_path / "files", labels)

    assert found.problems == ()
    assert found.columns == {"Value": kind}
    assert [file.labels.get("Value") for file in found.files] == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("file,Label\n", "empty"),
        ("file,Label\n0.txt,1,2\n", "line 2"),
        ("file,Label,Label\n0.txt,1,2\n", "same name"),
        ("file,Label\n0.txt,\xff\n", "UTF-8"),
    ],
)
def test_a_csv_that_is_none_is_told(tmp_path, text, words):
    """With its line where there is one."""
    (tmp_path / "0.txt").write_text("0")
    labels = tmp_path / "labels.csv"
    labels.write_bytes(text.encode("latin-1"))
    with pytest.raises(DerivaMLValidationError, match=words):
        read_labelled_files(tmp_path, labels)


def test_files_are_found_by_path_name_or_stem(tmp_path):
    """Whichever names one file only; an ambiguous name is told. Copies are one asset; hidden files are none."""
    for name in ("a/x.png", "b/x.png", "b/y.png", ".hidden/z.png", "b/copy/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name if "copy" not in name else "b/y.png")
    labels = tmp_path / "labels.tsv"
    labels.write_text("path\tLabel\nx.png\t1\nb/x.png\t2\nb/y.png\t3\nb/copy/y.png\t3\n")
    found = read_labelled_files(tmp_path, labels)

    assert [file.relative for file in found.files] == ["b/copy/y.png", "b/x.png"]
    assert found.duplicates == 1
    assert "names 2 files" in found.problems[0]
    assert "'a/x.png' has no row" in found.problems[1]


def test_the_command_loads_and_says_what(new_ml, pictures, capsys):
    """One command; a dry run first shows what it would do."""
    where = ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]
    arguments = [*map(str, pictures), *where, "--feature", "Species"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "6 of them would be new" in capsys.readouterr().out
    assert list(new_ml.find_datasets()) == []
    assert main([*arguments, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert (made["files"], made["new_files"], made["version"]) == (6, 6, "0.2.0")
    assert main([*arguments, "--file-column", "x"]) == 2
    assert "no column 'x'" in capsys.readouterr().err
    assert main([*arguments, "--workflow-type", "Ingestion", "--dry-run"]) == 2
    assert "did you mean 'Ingest'" in capsys.readouterr().err


def test_a_killed_load_is_finished_by_the_same_command(new_ml, tmp_path):
    """Kill -9 in the middle: the second time the rest is sent, and each file is one row."""
    folder = tmp_path / "many"
    arguments = [str(folder), str(write_files(folder, 300)), "--host", "local", "--catalog", new_ml.catalog_id]
    command = [sys.executable, "-m", "deriva_ml_core.cli.load_dataset", *arguments]
    command += ["--working-dir", str(tmp_path / "loading")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    objects = Path(os.environ["DERIVA_ML_LOCAL_ROOT"]) / "objects"
    before = sum(1 for _ in objects.glob("*/*"))
    while process.poll() is None and sum(1 for _ in objects.glob("*/*")) < before + 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # until some files have been sent
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    new_ml.session.forget_model()  # another process made the table
    members = new_ml.lookup_dataset(made["dataset_rid"]).list_dataset_members()["Image"]
    assert sorted(row["Filename"] for row in members) == sorted(f"{n}.png" for n in range(300))

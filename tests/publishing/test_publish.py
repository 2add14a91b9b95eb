"""`deriva-ml-executions publish`: from one catalog into another, once, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from recorded_runs import Run, record_runs

from deriva_ml_core.catalog import rows
from deriva_ml_core.cli.executions import main
from deriva_ml_core.datasets.features import create_feature, find_features
from deriva_ml_core.executions.record import lookup_execution
from deriva_ml_core.executions.states import Status
from deriva_ml_core.publishing.mapping import RidMapping
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.install import install_schema
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema, create_vocabulary

COUNTED = ("Execution", "Workflow", "Execution_Asset", "Execution_Metadata", "Dataset", "Dataset_Version")


@pytest.fixture
def target(connect, new_catalog):
    session = connect(new_catalog())
    install_schema(session)
    return session


@pytest.fixture
def arguments(new_ml, target):
    place = ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]
    return ["--to", f"local/{target.catalog_id}", *place]


@pytest.fixture
def published(arguments, capsys):
    """Call it with RIDs and options for the JSON document of the command."""

    def call(*given):
        assert main(["publish", *given, "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def used_dataset(new_ml, workflow):
    """An execution that used version 0.2.0 of a dataset of two images, which has three by now; and the dataset."""
    create_domain_schema(new_ml.session, "demo")
    create_asset_table(new_ml.session, "demo", "Image", columns=[ColumnDef("Label", "text", True)], comment="Images")
    new_ml.session.forget_model()
    new_ml.add_dataset_element_type("Image")
    with new_ml.create_execution(workflow=workflow, description="load") as load:
        for name in "abc":
            load.asset_file_path("Image", f"{name}.png", Label=name).write_text(name)
    images = [path.asset_rid for path in load.upload_execution_outputs()["demo/Image"]]
    dataset = load.create_dataset(dataset_types=["Complete"], description="images")
    dataset.add_dataset_members(images[:2])
    version = str(new_ml.lookup_dataset(dataset.dataset_rid).current_version)
    with new_ml.create_execution(
        workflow=workflow, description="train", datasets=[f"{dataset.dataset_rid}@{version}"]
    ) as train:
        train.asset_file_path("Execution_Asset", "weights.bin").write_text("w")
    train.upload_execution_outputs()
    dataset.add_dataset_members(images[2:])
    return train.execution_rid, dataset.dataset_rid, version


def _count(session):
    return {name: len(list(rows.select(session, session.model.ml_table(name)))) for name in COUNTED}


def test_a_sweep_arrives_with_its_children_files_and_workflow(new_ml, target, published, tmp_path):
    """Order of the children, statuses, checksums; the RIDs are the target's own, and the file knows them."""
    runs = [Run({"model_config": "a"}, {"rate": n}, {"m": n}, outputs={"w.bin": bytes([n]) * 9}) for n in range(3)]
    runs.append(Run(status="Failed", detail="ValueError: no"))
    parent, children = record_runs(new_ml.session, tmp_path / "files", runs, parent=True)
    done = published(parent)
    there = done["executions"]

    links = list(rows.select(target, "deriva-ml:Execution_Execution", {"Execution": there[parent]}))
    assert {link["Nested_Execution"]: link["Sequence"] for link in links} == {
        there[rid]: number for number, rid in enumerate(children)
    }
    found = rows.select_by_rids(target, "deriva-ml:Execution", there.values())
    assert [found[there[rid]]["Status"] for rid in children] == ["Uploaded"] * 3 + ["Failed"]
    assert found[there[children[3]]]["Status_Detail"] == "ValueError: no"
    assert found[there[parent]]["Execution_Duration"] == "0.0H 0.0min 0.5sec"
    stored = {row["MD5"]: row for row in rows.select(target, "deriva-ml:Execution_Asset")}
    assert len(stored) == 3
    mapping = RidMapping(Path(done["mapping"]))
    assert {rid: mapping[rid] for rid in there} == there


def test_repeating_it_changes_nothing(new_ml, target, published, tmp_path):
    """Not one row, and no snapshot of the catalog."""
    parent, _ = record_runs(new_ml.session, tmp_path / "files", [Run(outputs={"w": b"w"})], parent=True)
    first = published(parent)
    before = target.latest_snaptime()
    again = published(parent)

    assert again["executions"] == first["executions"]
    assert (again["new_rows"], again["files"]) == ({}, 0)
    assert target.latest_snaptime() == before


def test_a_dataset_arrives_in_the_version_that_was_used(new_ml, target, published, used_dataset):
    """Its members there are those of that version, and those of the present version in its own."""
    rid, _, version = used_dataset
    there = published(rid, "--create-tables")["executions"][rid]
    target.forget_model()

    (use,) = rows.select(target, "deriva-ml:Dataset_Execution", {"Execution": there})
    used = rows.select_by_rids(target, "deriva-ml:Dataset_Version", [use["Dataset_Version"]])[use["Dataset_Version"]]
    assert used["Version"] == version
    link = target.model.association(target.model.ml_table("Dataset"), target.model.table("demo:Image")).table
    then = list(rows.select(target.at(used["Snapshot"]), link, {"Dataset": use["Dataset"]}))
    now = list(rows.select(target, link, {"Dataset": use["Dataset"]}))
    assert (len(then), len(now)) == (2, 3)
    assert {row["Label"] for row in rows.select(target, "demo:Image")} == {"a", "b", "c"}


def test_tables_that_the_target_lacks_are_refused_before_anything_is_written(
    new_ml, target, arguments, used_dataset, capsys
):
    """All in one line, with the option that makes them."""
    before = _count(target)
    assert main(["publish", used_dataset[0], *arguments]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "demo:Image" in line
    assert "--create-tables" in line
    assert _count(target) == before


def test_it_is_killed_at_random_moments_and_leaves_nothing_twice(new_ml, target, arguments, used_dataset, tmp_path):
    """SIGKILL between any two steps; in the end there is what one undisturbed run makes."""
    runs = [Run({}, {"rate": n}, {"m": n}, outputs={f"{k}.bin": bytes([n, k]) for k in range(4)}) for n in range(6)]
    parent, _ = record_runs(new_ml.session, tmp_path / "files", runs, parent=True)
    command = [sys.executable, "-m", "deriva_ml_core.cli.executions", "publish", parent, used_dataset[0]]
    command += ["--create-tables", *arguments]
    chance = random.Random(int(os.environ.get("DERIVA_ML_TEST_SEED", "7")))
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.6, 3.0))  # somewhere between its start and its end
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    target.forget_model()

    assert len(list(rows.select(target, "deriva-ml:Execution_Execution"))) == 6
    descriptions = [row["Description"] for row in rows.select(target, "deriva-ml:Execution")]
    assert sorted(d for d in descriptions if d.startswith("Run")) == sorted(["Run 0", *(f"Run {n}" for n in range(6))])
    assert len(list(rows.select(target, "deriva-ml:Execution_Asset"))) == 24 + 1
    assert len(list(rows.select(target, "deriva-ml:Dataset"))) == 1
    assert len(list(rows.select(target, "demo:Image"))) == 3


def test_whoever_repeats_it_elsewhere_makes_nothing_twice(new_ml, target, published, used_dataset, tmp_path):
    """The target knows what came to it: the file in the working folder is lost, or somebody else's."""
    parent, _ = record_runs(new_ml.session, tmp_path / "files", [Run(outputs={"w": b"w"})], parent=True)
    first = published(parent, used_dataset[0], "--create-tables")
    target.forget_model()
    before = target.latest_snaptime()
    Path(first["mapping"]).unlink()
    again = published(parent, used_dataset[0])

    assert (again["executions"], again["new_rows"], again["files"]) == (first["executions"], {}, 0)
    assert target.latest_snaptime() == before


def test_published_back_it_is_what_it_was(new_ml, target, published, tmp_path, used_dataset, capsys):
    """The rows are known where they came from."""
    parent, _ = record_runs(new_ml.session, tmp_path / "files", [Run(outputs={"w": b"w"})], parent=True)
    there = published(parent, used_dataset[0], "--create-tables")["executions"]
    before = _count(new_ml.session)
    place = ["--host", "local", "--catalog", target.catalog_id, "--working-dir", str(tmp_path / "other")]
    assert main(["publish", *there.values(), "--json", "--to", f"local/{new_ml.catalog_id}", *place]) == 0

    back = json.loads(capsys.readouterr().out)["executions"]
    assert back == {other: rid for rid, other in there.items()}
    assert _count(new_ml.session) == before


@pytest.mark.parametrize(
    ("rid", "to", "said"),
    [
        ("9-ZZZZ", None, "9-ZZZZ is not an execution"),
        ("RUNNING", None, "have not ended"),
        ("DONE", "here", "write HOST/CATALOG"),
        ("DONE", "SELF", "where they are already"),
    ],
)
def test_what_can_not_be_published_is_said(new_ml, workflow, arguments, target, capsys, rid, to, said):
    """In a line, exit code 2."""
    running = new_ml.create_execution(workflow=workflow, description="x")
    running.execution_start()
    with new_ml.create_execution(workflow=workflow, description="y") as done:
        pass
    done.upload_execution_outputs()
    named = {"RUNNING": running.execution_rid, "DONE": done.execution_rid}.get(rid, rid)
    rest = arguments if to is None else ["--to", f"local/{new_ml.catalog_id}" if to == "SELF" else to, *arguments[2:]]
    assert main(["publish", named, *rest]) == 2

    assert said in capsys.readouterr().err


def test_half_a_line_of_the_mapping_is_passed_over(tmp_path):
    """As a process leaves it that is killed while it writes."""
    path = tmp_path / "m.jsonl"
    RidMapping(path).add("t", {"1-AAAA": "2-BBBB"})
    with path.open("a") as file:
        file.write('{"table": "t", "sou')
    mapping = RidMapping(path)
    mapping.add("t", {"1-CCCC": "2-DDDD"})

    again = RidMapping(path)
    assert (again["1-AAAA"], again["1-CCCC"]) == ("2-BBBB", "2-DDDD")


def _label(ml, workflow, images, name="Quality", *, terms=("Good",)):
    """An execution that says of images how good they are, and leaves the score empty."""
    with ml.create_execution(workflow=workflow, description=f"label {name}") as execution:
        record = ml.feature_record_class("Image", name)
        execution.add_features([record(Image=rid, Grade=term) for rid, term in zip(images, terms * 9, strict=False)])
    execution.upload_execution_outputs()
    return execution.execution_rid


@pytest.fixture
def labelled(new_ml, workflow, used_dataset):
    """`used_dataset`, whose images have been labelled by somebody, and by an execution whose RID is returned."""
    create_vocabulary(new_ml.session, "demo", "Grade", comment="How good", curie_prefix="demo")
    new_ml.session.forget_model()
    new_ml.add_term("Grade", "Good", "Fit for use", synonyms=["Fine"])
    create_feature(new_ml.session, "Image", "Quality", terms=["Grade"], metadata=[ColumnDef("score", "float8", True)])
    new_ml.session.forget_model()
    images = [row["RID"] for row in rows.select(new_ml.session, "demo:Image")]
    return _label(new_ml, workflow, images)


def test_values_of_features_go_along(new_ml, target, published, labelled):
    """With the rows that they are about, the vocabulary and its terms; once, however often it is repeated."""
    there = published(labelled, "--create-tables")["executions"][labelled]
    again = published(labelled)
    target.forget_model()

    (feature,) = find_features(target)
    values = list(rows.select(target, feature.feature_table))
    images = {row["RID"]: row["Label"] for row in rows.select(target, "demo:Image")}
    assert {(value["Execution"], images[value["Image"]], value["Grade"]) for value in values} == {
        (there, label, "Good") for label in "abc"
    }
    assert again["new_rows"] == {}
    assert target.vocabularies.lookup("Grade", "Fine").description == "Fit for use"


def test_labels_of_a_dataset_go_along_and_say_whose_they_are(new_ml, target, published, labelled, used_dataset):
    """The labelling execution comes as a row, without its files; published itself later, it is the same one."""
    dataset = new_ml.lookup_dataset(used_dataset[1])
    dataset.increment_dataset_version("minor", "labelled")
    published(used_dataset[0], "--create-tables")
    target.forget_model()
    (feature,) = find_features(target)
    values = list(rows.select(target, feature.feature_table))

    assert len(values) == 3
    (by,) = {value["Execution"] for value in values}
    assert rows.select_by_rids(target, "deriva-ml:Execution", [by])[by]["Description"] == "label Quality"
    assert published(labelled)["executions"] == {labelled: by}


@pytest.mark.parametrize("generations", [("1.54", "1.24"), ("1.24", "1.54")], ids="-".join)
def test_it_speaks_both_generations_of_the_schema(generations, generation_session, open_ml, workflow, tmp_path, capsys):
    """Statuses, durations and terms in the words of each."""
    source, target = (generation_session(name) for name in generations)
    ml = open_ml(source.catalog_id)
    with ml.create_execution(workflow=workflow, description="train") as run:
        run.asset_file_path("Execution_Asset", "weights.bin").write_text("w")
        with run.metrics_file().open("w") as file:
            file.write('{"loss": 1}\n')
    run.upload_execution_outputs()
    place = ["--host", "local", "--catalog", source.catalog_id, "--working-dir", str(tmp_path / "work")]
    for _ in range(2):
        assert main(["publish", run.execution_rid, "--json", "--to", f"local/{target.catalog_id}", *place]) == 0
        done = json.loads(capsys.readouterr().out)

    there = lookup_execution(target, done["executions"][run.execution_rid])
    assert there.status == Status.uploaded
    assert there.durations["execution"] is not None
    assert done["new_rows"] == {}
    assert {row["Filename"] for row in rows.select(target, "deriva-ml:Execution_Asset")} == {"weights.bin"}

"""split_dataset and its command: new datasets, made by an execution whose input is the source."""

import json
import re
from collections import Counter

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.cli.split import main
from deriva_ml_core.connection.splitting import split_dataset
from deriva_ml_core.errors import DerivaMLDatasetNotFound, DerivaMLInvalidTerm, DerivaMLValidationError
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_tables


@pytest.fixture
def source(new_ml):
    """Twenty cells, of which twelve are round and eight are flat; two have no shape."""
    new_ml.create_domain_schema("demo")
    create_tables(new_ml.session, "demo", [TableDef("Cell", (ColumnDef("Shape"), ColumnDef("Size", "int4")))])
    shapes = ["round"] * 12 + ["flat"] * 8
    cells = rows.insert(new_ml.session, "Cell", ({"Shape": shape, "Size": n} for n, shape in enumerate(shapes)))
    new_ml.add_dataset_element_type("Cell")
    dataset = new_ml.create_dataset(dataset_types=["Complete"])
    dataset.add_dataset_members({"Cell": [row["RID"] for row in cells]})
    return dataset


def cells(ml, rid):
    return {row["RID"]: row["Shape"] for row in ml.lookup_dataset(rid).list_dataset_members()["Cell"]}


def test_a_split_makes_datasets(new_ml, source):
    """A parent and its parts, typed, disjoint, made by an execution that had the source as its input."""
    made = split_dataset(new_ml, source.dataset_rid, test_size=0.2, val_size=0.1, seed=7, training_types=["Labeled"])

    assert made.counts == {"training": 14, "validation": 2, "testing": 4}
    parts = [set(cells(new_ml, made[part])) for part in ("training", "validation", "testing")]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert set.union(*parts) == set(cells(new_ml, source.dataset_rid))
    parent = new_ml.lookup_dataset(made["split"])
    assert parent.dataset_types == ["Split"]
    assert {child.dataset_rid for child in parent.list_dataset_children()} == {
        made[part] for part in ("training", "validation", "testing")
    }
    assert new_ml.lookup_dataset(made["training"]).dataset_types == ["Labeled", "Training"]
    assert f"Split of {source.dataset_rid}@0.2.0: random, seed 7" in parent.description
    execution = new_ml.lookup_execution(parent.dataset_history()[0].execution_rid)
    assert str(execution.status) == "Uploaded"
    assert [dataset.dataset_rid for dataset in execution.list_input_datasets()] == [source.dataset_rid]


def test_the_same_seed_gives_the_same_split(new_ml, source, workflow):
    """Also inside an execution of the caller's, which is the one that is recorded."""
    one = split_dataset(new_ml, source.dataset_rid, test_size=5, train_size=10)
    with new_ml.create_execution(workflow=workflow) as execution:
        two = split_dataset(new_ml, source.dataset_rid, execution, test_size=5, train_size=10)

    assert one.counts == {"training": 10, "testing": 5}
    assert [cells(new_ml, one[part]) for part in one.counts] == [cells(new_ml, two[part]) for part in two.counts]
    history = new_ml.lookup_dataset(two["testing"]).dataset_history()
    assert {entry.execution_rid for entry in history[:1]} == {execution.execution_rid}


def test_the_members_are_those_of_the_version_that_is_recorded(new_ml, source, workflow):
    """What the catalog says since then takes no part, or the split could not be made again."""
    rid = source.dataset_rid
    first = set(cells(new_ml, rid))
    late = rows.insert_one(new_ml.session, "Cell", Shape="flat", Size=20)["RID"]
    rows.insert_one(new_ml.session, "Dataset_Cell", Dataset=rid, Cell=late)  # as another tool might, without a version

    def divided(made):
        return set(cells(new_ml, made["training"])) | set(cells(new_ml, made["testing"]))

    assert divided(split_dataset(new_ml, rid)) == first
    source.increment_dataset_version("minor")
    assert divided(split_dataset(new_ml, rid)) == first | {late}
    old = split_dataset(new_ml, f"{rid}@0.2.0", stratify_by_column="Cell.Shape")
    assert divided(old) == first
    assert f"Split of {rid}@0.2.0" in new_ml.lookup_dataset(old["split"]).description
    with new_ml.create_execution(workflow=workflow, datasets=[f"{rid}@0.2.0"]) as execution:
        assert divided(split_dataset(new_ml, rid, execution)) == first


def test_what_cannot_be_divided_any_more_is_told_before_anything_is_written(new_ml, source, caplog):
    """Members whose rows are gone since, versions that are not there, and changes that no version has."""
    rid = source.dataset_rid
    gone = next(iter(cells(new_ml, rid)))
    rows.insert_one(new_ml.session, "deriva-ml:Dataset_Version", Dataset=rid, Version="0.2.0.post1.dev1")
    split_dataset(new_ml, rid, dry_run=True)
    assert f"{rid} has changes since 0.2.0 (0.2.0.post1.dev1)" in caplog.text
    source.delete_dataset_members({"Cell": [gone]})
    rows.delete(new_ml.session, "Cell", [gone])
    before = len(list(new_ml.find_executions()))

    for named, kind, told in (
        (f"{rid}@0.2.0", DerivaMLValidationError, f"no row of Cell: {gone}"),
        (f"{rid}@7.0.0", DerivaMLDatasetNotFound, "no version 7.0.0; its versions: 0.1.0, 0.2.0, 0.3.0"),
        (f"{rid}@latest", DerivaMLValidationError, "not a dataset version"),
    ):
        with pytest.raises(kind, match=re.escape(told)):
            split_dataset(new_ml, named)
    assert len(list(new_ml.find_executions())) == before


def test_stratified_parts_have_the_proportions_of_the_whole(new_ml, source):
    """Twelve round and eight flat make three and two in a quarter."""
    made = split_dataset(new_ml, source.dataset_rid, test_size=0.25, stratify_by_column="Cell_Shape")

    assert Counter(cells(new_ml, made["testing"]).values()) == {"round": 3, "flat": 2}


def test_members_without_a_value_are_not_guessed(new_ml, source):
    """They are an error until the user says what to do with them."""
    some = list(cells(new_ml, source.dataset_rid))[:2]
    rows.update(new_ml.session, "Cell", [{"RID": rid, "Shape": None} for rid in some])
    source.increment_dataset_version("patch")
    options = {"stratify_by_column": "Cell.Shape", "dry_run": True}

    with pytest.raises(DerivaMLValidationError, match=r"2 members have no Cell\.Shape"):
        split_dataset(new_ml, source.dataset_rid, **options)
    assert sum(split_dataset(new_ml, source.dataset_rid, stratify_missing="drop", **options).counts.values()) == 18
    assert sum(split_dataset(new_ml, source.dataset_rid, stratify_missing="include", **options).counts.values()) == 20


def test_a_function_of_the_users_divides(new_ml, source):
    """It sees the joined tables, one row a member."""

    def large_ones(df, train_size, test_size, seed):
        order = df["Cell.Size"].argsort().to_numpy()
        return order[:train_size], order[-test_size:]

    made = split_dataset(new_ml, source.dataset_rid, test_size=8, selection_fn=large_ones)

    assert set(cells(new_ml, made["testing"]).values()) == {"flat"}
    assert "by large_ones" in new_ml.lookup_dataset(made["split"]).description


def test_wrong_splits_write_nothing(new_ml, source):
    """Each is told before the first row is written."""
    before = len(list(new_ml.find_executions()))
    for options, kind, told in (
        ({"test_size": 20}, DerivaMLValidationError, "can't be divided"),
        ({"training_types": ["Labelled"]}, DerivaMLInvalidTerm, "did you mean 'Labeled'"),
        ({"workflow_type": "Dataset_Splat"}, DerivaMLInvalidTerm, "'Dataset_Splat' is not a term"),
        ({"element_table": "Image"}, DerivaMLValidationError, "it has members of Cell"),
        ({"stratify_by_column": "Cell.Shap"}, DerivaMLValidationError, "'Cell.Shape'"),
        ({"stratify_by_column": "Plate.Row"}, DerivaMLValidationError, "include_tables joins others"),
        ({"stratify_by_column": "Cell.Size"}, DerivaMLValidationError, "only one member"),
        ({"stratify_by_column": "x", "selection_fn": max}, DerivaMLValidationError, "not both"),
        ({"stratify_missing": "keep"}, DerivaMLValidationError, "one of error, drop, include"),
    ):
        with pytest.raises(kind, match=told):
            split_dataset(new_ml, source.dataset_rid, **options)
    with pytest.raises(DerivaMLDatasetNotFound):
        split_dataset(new_ml, "9-ZZZZ")
    with pytest.raises(DerivaMLValidationError, match="no members"):
        split_dataset(new_ml, new_ml.create_dataset().dataset_rid)

    assert len(list(new_ml.find_executions())) == before
    assert len(list(new_ml.find_datasets())) == 2
    assert "Dataset_Splat" not in {term.name for term in new_ml.list_vocabulary_terms("Workflow_Type")}


def test_the_command_splits(new_ml, source, capsys):
    """The options are those of the function; a dry run writes nothing; what is wrong is one line and code 2."""
    place = ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]

    assert main([source.dataset_rid, "--dry-run", "--test-size", "5", *place]) == 0
    assert "training 15, testing 5" in capsys.readouterr().out
    assert len(list(new_ml.find_datasets())) == 1
    old = ["--hostname", "local", "--catalog-id", new_ml.catalog_id, "--dataset-rid", source.dataset_rid]
    options = ["--stratify-by-column", "Cell.Shape", "--include-tables", "Cell", "--val-size", "0.2", "--json"]
    assert main([*old, *options, "--working-dir", str(new_ml.working_dir), "--testing-types", "Labeled,Complete"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["counts"] == {"training": 12, "validation": 4, "testing": 4}
    testing = new_ml.lookup_dataset(document["datasets"]["testing"])
    assert testing.dataset_types == ["Complete", "Labeled", "Testing"]
    assert main([source.dataset_rid, "--test-size", "1.5", *place]) == 2
    assert "test_size=1.5" in capsys.readouterr().err
    assert main([source.dataset_rid, "--test-size", "many", *place]) == 2
    assert "'many' is neither a fraction (0.2) nor a number" in capsys.readouterr().err

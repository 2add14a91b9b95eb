"""A released version is that moment for ever: values, rows and model, whatever happens to the catalog afterwards."""

import csv

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset
from deriva_ml_core.datasets.feature_values import add_features
from deriva_ml_core.datasets.features import create_feature
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_tables, create_vocabulary


@pytest.fixture
def study(image_session, images, tmp_path):
    """
    Version 1.0.0 of a dataset of two subjects.

    Each lives in a town and has two visits; images have a grade.
    """
    session = image_session
    towns = TableDef("Town", (ColumnDef("Name"),))
    subject = TableDef(
        "Subject",
        (ColumnDef("Name"), ColumnDef("Age", "int4"), ColumnDef("Town")),
        foreign_keys=(patterns.foreign_key("Subject", "Town", "demo", "Town"),),
    )
    visit = TableDef(
        "Visit",
        (ColumnDef("Subject"), ColumnDef("Note")),
        foreign_keys=(patterns.foreign_key("Visit", "Subject", "demo", "Subject"),),
    )
    create_tables(session, "demo", [towns, subject, visit])
    create_vocabulary(session, "demo", "Grade")
    for term in ("Good", "Bad"):
        session.vocabularies.add("Grade", term, term)
    add_element_type(session, "Subject")
    town = rows.insert_one(session, "Town", Name="Ghent")["RID"]
    people = rows.insert(session, "Subject", [{"Name": name, "Age": 40, "Town": town} for name in ("Cy", "Di")])
    subjects = [row["RID"] for row in people]
    rows.insert(session, "Visit", [{"Subject": rid, "Note": note} for rid in subjects for note in ("one", "two")])
    execution = rows.insert_one(session, "deriva-ml:Execution", Status="Running")["RID"]
    record = create_feature(session, "Image", "Quality", terms=["Grade"]).feature_record_class()
    add_features(session, [record(Image=rid, Grade="Good") for rid in images[:2]], execution)
    dataset = create_dataset(session, cache_dir=tmp_path / "cache")
    dataset.add_dataset_members({"Subject": subjects, "Image": images[:2]})
    dataset.increment_dataset_version("major")
    return dataset, subjects, town


def tables(session, dataset, folder) -> dict[str, list[dict[str, str]]]:
    """Every row of the version's bag, exported anew, as text."""
    bag = fetch_bag(session, DatasetSpec(rid=dataset.dataset_rid, version="1.0.0", materialize=False), folder)
    found = {}
    for path in sorted(bag.path.glob("data/*/*.csv")):
        with path.open(newline="") as file:
            found[path.name] = list(csv.DictReader(file))
    return found


def test_values_of_every_row_that_is_reached_are_those_of_the_version(image_session, study, images, tmp_path):
    """Of members, and of what they lead to: in both directions, and labels."""
    dataset, subjects, town = study
    then = tables(image_session, dataset, tmp_path / "then")
    assert [row["Note"] for row in then["Visit.csv"]] == ["one", "two"] * 2
    assert {row["Grade"] for row in then["Execution_Image_Quality.csv"]} == {"Good"}

    rows.update(image_session, "Subject", [{"RID": subjects[0], "Age": 41}])
    rows.update(image_session, "Town", [{"RID": town, "Name": "Bruges"}])
    visits = list(rows.select(image_session, "Visit", {"Subject": subjects[0]}))
    rows.update(image_session, "Visit", [{"RID": visits[0]["RID"], "Note": "changed"}])
    values = list(rows.select(image_session, "Execution_Image_Quality"))
    rows.update(image_session, "Execution_Image_Quality", [{"RID": values[0]["RID"], "Grade": "Bad"}])
    rows.insert_one(image_session, "Visit", Subject=subjects[1], Note="three")
    rows.update(image_session, "deriva-ml:Dataset", [{"RID": dataset.dataset_rid, "Description": "another"}])

    assert tables(image_session, dataset, tmp_path / "now") == then


def test_rows_that_were_deleted_are_in_the_versions_that_had_them(image_session, study, tmp_path):
    """Members too, with what hangs on them."""
    dataset, subjects, _ = study
    then = tables(image_session, dataset, tmp_path / "then")

    for table, column in (("Visit", "Subject"), ("Dataset_Subject", "Subject"), ("Subject", "RID")):
        rows.delete_where(image_session, f"demo:{table}", {column: subjects[0]})
    rows.delete_where(image_session, "demo:Execution_Image_Quality", {"Grade": "Good"})

    assert len(dataset.list_dataset_members()["Subject"]) == 1
    assert len(dataset.list_dataset_members(version="1.0.0")["Subject"]) == 2
    assert tables(image_session, dataset, tmp_path / "now") == then


def test_a_model_that_has_changed_does_not_change_a_version(image_session, study, tmp_path):
    """Columns and tables that came and went since: the bag has those of the version."""
    dataset, subjects, _ = study
    then = tables(image_session, dataset, tmp_path / "then")

    text = {"typename": "text"}
    image_session.post_json("/schema/demo/table/Subject/column", {"name": "Weight", "type": text, "nullok": True})
    image_session.delete("/schema/demo/table/Subject/column/Age")
    image_session.delete("/schema/demo/table/Visit")
    image_session.forget_model()
    create_tables(image_session, "demo", [TableDef("Later", (ColumnDef("Subject"),), foreign_keys=(
        patterns.foreign_key("Later", "Subject", "demo", "Subject"),
    ))])  # fmt: skip
    rows.insert_one(image_session, "Later", Subject=subjects[0])
    now = dataset.increment_dataset_version("major")

    assert tables(image_session, dataset, tmp_path / "now") == then
    members = dataset.list_dataset_members(version="1.0.0")["Subject"]
    assert [(row["Age"], "Weight" in row) for row in members] == [(40, False)] * 2
    bag = dataset.download_dataset_bag(now)
    assert "Visit" not in bag.list_tables()
    assert len(list(bag.get_table_as_dict("Later"))) == 1


def test_nested_datasets_are_those_of_the_version(image_session, dataset, images, tmp_path):
    """Whatever happens to a child later: members, files, and its own version in its parent's bag."""
    parent, other = create_dataset(image_session, cache_dir=tmp_path / "cache"), create_dataset(image_session)
    parent.add_dataset_members([dataset.dataset_rid])
    dataset.add_dataset_members(images[4:])
    dataset.delete_dataset_members(images[:1])
    parent.add_dataset_members([other.dataset_rid])
    parent.delete_dataset_members([dataset.dataset_rid])

    def members(version):
        return [row["RID"] for row in parent.list_dataset_members(recurse=True, version=version)["Image"]]

    history = [str(entry.dataset_version) for entry in parent.dataset_history()]
    assert history == ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0"]
    then, later, last = sorted(images[:4]), sorted(images), []
    assert [members(version) for version in ("0.1.0", "0.2.0", "0.3.0", "0.6.0")] == [[], then, later, last]
    assert parent.list_dataset_children(version="0.2.0") == [dataset]
    bag = parent.download_dataset_bag("0.2.0")
    (child,) = bag.list_dataset_children()
    assert (str(child.current_version), child.description) == ("1.0.0", "digits")
    assert [row["RID"] for row in child.list_dataset_members()["Image"]] == then

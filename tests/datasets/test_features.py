"""Features: defined, given by executions in bulk, read from the catalog and from bags."""

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset
from deriva_ml_core.datasets.feature_records import FeatureRecord
from deriva_ml_core.datasets.feature_values import add_features, list_feature_values
from deriva_ml_core.datasets.features import create_feature, delete_feature, find_features, lookup_feature
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.errors import (
    DerivaMLNotFoundError,
    DerivaMLTableNotFound,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
)
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_domain_schema, create_vocabulary


@pytest.fixture
def diagnosis(image_session):
    """A feature of images: one term, a number, and a note that may be left out."""
    create_vocabulary(image_session, "demo", "Grade")
    for term in ("Good", "Bad"):
        image_session.vocabularies.add("Grade", term, term, synonyms=[term.lower()])
    return create_feature(
        image_session,
        "Image",
        "Quality",
        terms=["Grade"],
        metadata=[ColumnDef("Score", "float8", False), {"name": "Note", "type": {"typename": "text"}}],
        optional=["Note"],
        comment="How good it is",
    )


@pytest.fixture
def executions(image_session):
    return [
        rows.insert_one(image_session, "deriva-ml:Execution", Description=text, Status="Running")["RID"]
        for text in ("one", "two")
    ]


def test_a_feature_is_a_table(image_session, diagnosis):
    """Called as existing projects expect, with a column for each thing that is said."""
    assert str(diagnosis.feature_table) == "demo:Execution_Image_Quality"
    assert (diagnosis.target_table.name, diagnosis.feature_name) == ("Image", "Quality")
    assert [column.name for column in diagnosis.term_columns] == ["Grade"]
    assert [column.name for column in diagnosis.value_columns] == ["Score", "Note"]
    assert diagnosis.asset_columns == ()
    assert image_session.vocabularies.lookup("Feature_Name", "Quality").description == "How good it is"
    assert find_features(image_session) == find_features(image_session, "Image") == [diagnosis]
    assert find_features(image_session, "Execution_Asset") == []


def test_values_come_back_as_they_were_given(image_session, diagnosis, images, executions):
    """With the execution that said them; a synonym is stored as its term; the same twice is stored once."""
    record = diagnosis.feature_record_class()
    said = [
        record(Image=images[0], Grade="Good", Score=0.5),
        record(Image=images[1], Grade="bad", Score=1, Note="blurred"),
    ]

    assert [add_features(image_session, said, executions[0]) for _ in range(2)] == [2, 0]

    stored = sorted(list_feature_values(image_session, "Image", "Quality"), key=lambda one: one.Image)
    assert [(one.Image, one.Grade, one.Score, one.Note) for one in stored] == [
        (images[0], "Good", 0.5, None),
        (images[1], "Bad", 1.0, "blurred"),
    ]
    assert {one.Execution for one in stored} == {executions[0]}
    assert all(one.RID and one.RCT and one.Feature_Name == "Quality" for one in stored)


def test_one_of_several_values_is_selected(image_session, diagnosis, images, executions):
    """Several executions may say different things; a selector makes it one for each row."""
    record = diagnosis.feature_record_class()
    for execution, grade in zip(executions, ("Good", "Bad"), strict=True):
        add_features(image_session, [record(Image=images[0], Grade=grade, Score=0)], execution)

    def chosen(selector):
        return [one.Grade for one in list_feature_values(image_session, "Image", "Quality", selector)]

    assert sorted(chosen(None)) == ["Bad", "Good"]
    assert chosen(FeatureRecord.select_newest) == chosen(FeatureRecord.select_latest) == ["Bad"]
    assert chosen(FeatureRecord.select_first) == ["Good"]
    assert chosen(FeatureRecord.select_by_execution(executions[0])) == ["Good"]
    add_features(image_session, [record(Image=images[0], Grade="Bad", Score=1)], executions[0])
    assert chosen(FeatureRecord.select_majority_vote("Grade")) == ["Bad"]
    with pytest.raises(DerivaMLValidationError, match="from execution 1-ZZZZ"):
        chosen(FeatureRecord.select_by_execution("1-ZZZZ"))


def test_wrong_values_are_refused_all_at_once(image_session, diagnosis, images, executions):
    """Each is named, and nothing is stored."""
    record = diagnosis.feature_record_class()
    wrong = [
        record(Image=images[0], Grade="Good", Score=1),
        record(Image="9-ZZZZ", Grade="Gud", Score=float("inf")),
    ]

    with pytest.raises(DerivaMLValidationError) as caught:
        add_features(image_session, wrong, executions[0])

    text = str(caught.value)
    assert "no row of Image: 9-ZZZZ" in text
    assert "'Gud' is not a term of Grade" in text
    assert "Score: inf is not of type float8" in text
    assert list(list_feature_values(image_session, "Image", "Quality")) == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"Image": "1-A", "Grade": "Good"}, "Score: Field required"),
        ({"Image": "1-A", "Grade": "Good", "Score": 1, "Scor": 2}, "did you mean 'Score'"),
        ({"Image": "1-A", "Grade": "Good", "Score": "high"}, "Score: Input should be a valid number"),
    ],
)
def test_a_wrong_record_is_refused_when_it_is_made(diagnosis, values, told):
    """A missing, unknown or ill-typed field is told where the model makes the record."""
    with pytest.raises(DerivaMLValidationError, match=told):
        diagnosis.feature_record_class()(**values)


def test_wrong_definitions_are_refused(image_session, diagnosis):
    """Nothing is made, the name of the feature neither."""
    for options, kind, told in (
        ({"terms": ["Image"]}, DerivaMLTableTypeError, "not a vocabulary"),
        ({"assets": ["Grade"]}, DerivaMLTableTypeError, "not an asset table"),
        ({"terms": ["Grad"]}, DerivaMLTableNotFound, "Grade"),
        ({}, DerivaMLValidationError, "no value"),
        ({"terms": ["Grade", "Grade"]}, DerivaMLValidationError, "Grade twice"),
        ({"terms": ["Grade"], "optional": ["Score"]}, DerivaMLValidationError, "no column 'Score'"),
    ):
        with pytest.raises(kind, match=told):
            create_feature(image_session, "Image", "Other", **options)
    with pytest.raises(DerivaMLTableTypeError, match="has a feature 'Quality' already"):
        create_feature(image_session, "Image", "Quality", terms=["Grade"])

    assert "Other" not in image_session.vocabularies.terms("Feature_Name")


def test_a_deleted_feature_is_gone(image_session, diagnosis):
    """With its table; an unknown name is answered with those there are."""
    with pytest.raises(DerivaMLNotFoundError, match="'Quality'"):
        lookup_feature(image_session, "Image", "Qualty")
    assert [delete_feature(image_session, "Image", "Quality") for _ in range(2)] == [True, False]
    assert find_features(image_session) == []
    with pytest.raises(DerivaMLTableNotFound):
        delete_feature(image_session, "Imagee", "Quality")


def test_a_feature_may_hold_files(image_session, diagnosis, images, executions):
    """An asset is given by its RID; a file that is no asset yet is refused with what to do."""
    mask = create_feature(image_session, "Image", "Twin", assets=["Execution_Asset"], metadata=["Grade"])
    record = mask.feature_record_class()

    assert [column.name for column in mask.asset_columns] == ["Execution_Asset"]
    with pytest.raises(DerivaMLValidationError, match="no row of Execution_Asset: " + images[1]):
        add_features(image_session, [record(Image=images[0], Execution_Asset=images[1], Grade="Good")], executions[0])


def test_a_bag_has_features_of_its_version(image_session, diagnosis, dataset, images, executions, tmp_path):
    """Values that came later are not in it."""
    record = diagnosis.feature_record_class()
    add_features(image_session, [record(Image=images[0], Grade="Good", Score=0.5)], executions[0])
    version = dataset.increment_dataset_version("minor")
    add_features(image_session, [record(Image=images[1], Grade="Bad", Score=1)], executions[1])

    bag = fetch_bag(image_session, DatasetSpec(rid=dataset.dataset_rid, version=version), tmp_path / "cache")

    (feature,) = bag.find_features("Image")
    assert bag.find_features() == [feature]
    assert str(feature.feature_table) == str(diagnosis.feature_table)
    assert [column.name for column in feature.term_columns] == ["Grade"]
    assert dataset.find_features("Image") == [diagnosis]
    (value,) = bag.list_feature_values("Image", "Quality", FeatureRecord.select_newest)
    assert (value.Image, value.Grade, value.Score, value.Execution) == (images[0], "Good", 0.5, executions[0])
    with pytest.raises(DerivaMLTableNotFound):
        bag.find_features("Imagee")
    with pytest.raises(DerivaMLNotFoundError, match="Quality"):
        bag.list_feature_values("Image", "Qualty")


def test_an_execution_gives_features(ml, workflow):
    """Through the user's handle, on both generations of the schema; a dry run only checks."""
    create_domain_schema(ml.session, "demo")
    ml.create_vocabulary("Grade")
    ml.add_term("Grade", "Good", "good")
    ml.create_asset("Image")
    record = ml.create_feature("Image", "Quality", terms=["Grade"])
    with ml.create_execution(ExecutionConfiguration(workflow=workflow)) as execution:
        execution.asset_file_path("Image", "a.png").write_bytes(b"a")
    (path,) = execution.upload_execution_outputs()["demo/Image"]

    assert execution.add_features([record(Image=path.asset_rid, Grade="Good")]) == 1

    assert [one.Execution for one in ml.list_feature_values("Image", "Quality")] == [execution.execution_rid]
    assert ml.feature_record_class("Image", "Quality").__name__ == "ImageFeatureQuality"
    dry = ml.create_execution(ExecutionConfiguration(workflow=workflow), dry_run=True)
    assert dry.add_features([record(Image=path.asset_rid, Grade="Good")]) == 0
    with pytest.raises(DerivaMLValidationError, match="no row of Image"):
        dry.add_features([record(Image="9-ZZZZ", Grade="Good")])
    assert ml.delete_feature("Image", "Quality")


def test_ten_thousand_values_cost_few_requests(new_ml, workflow, server_log):
    """At most 20 requests for 10,000 members, and 20 for 10,000 values: users sit far from their server."""
    session = new_ml.session
    new_ml.create_domain_schema("demo")
    new_ml.create_table({"table_name": "Cell", **_plain_table()}, schema="demo")
    record = new_ml.create_feature("Cell", "Size", metadata=[ColumnDef("Pixels", "int4")])
    cells = [row["RID"] for row in rows.insert(session, "Cell", ({"Name": str(n)} for n in range(10_000)))]
    execution = rows.insert_one(session, "deriva-ml:Execution", Description="load", Status="Running")["RID"]
    add_element_type(session, "Cell")
    dataset = create_dataset(session)
    session.model  # noqa: B018  # read before we count: a process reads it once
    server_log.clear()

    dataset.add_dataset_members({"Cell": cells})
    of_members = len(server_log)
    assert add_features(session, [record(Cell=rid, Pixels=4) for rid in cells], execution) == 10_000

    assert of_members <= 20
    assert len(server_log) - of_members <= 20


def _plain_table():
    from deriva_ml_core.schema.elements import TableDef

    document = TableDef("Cell", (ColumnDef("Name", "text", True),)).document("demo")
    return {name: value for name, value in document.items() if name != "table_name"}

"""The light view of a catalog's model, read from the document that the definition itself makes."""

import json

import pytest

from deriva_ml_core.catalog.model import CatalogModel
from deriva_ml_core.errors import DerivaMLSchemaError, DerivaMLTableNotFound, DerivaMLTableTypeError
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.definition import SchemaDef, ml_schema
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.generations import GENERATION_1_54


def document(*schemas):
    content = {schema.name: schema.document() for schema in schemas}
    return json.loads(json.dumps({"snaptime": "2-A", "annotations": {}, "rights": {}, "schemas": content}))


DEMO = SchemaDef(
    "demo",
    "",
    (
        patterns.asset_table("Image", "Pictures", schema="demo", columns=[ColumnDef("Label", nullok=False)]),
        patterns.asset_type_link("Image", schema="demo"),
        patterns.asset_execution_link("Image", schema="demo"),
        patterns.vocabulary("Digit", "Ten of them", curie_prefix="demo"),
        TableDef("Subject", (ColumnDef("Name"),)),
        TableDef("Workflow", (ColumnDef("Mine"),)),
    ),
)


@pytest.fixture(scope="module")
def model():
    return CatalogModel.from_document(document(ml_schema(), DEMO))


@pytest.mark.parametrize("name", ["Image", "demo:Image", ("demo", "Image")])
def test_tables_are_found_by_any_of_their_names(model, name):
    """Users write Image, demo:Image or a pair; all mean the same table."""
    assert str(model.table(name)) == "demo:Image"


def test_a_bare_name_means_the_projects_table_first(model):
    """A project may have a table that is called like one of ours; its own name wins, ours needs the schema."""
    assert model.table("Workflow").schema == "demo"
    assert model.table("deriva-ml:Workflow").schema == "deriva-ml"
    assert model.ml_table("Workflow").schema == "deriva-ml"


def test_an_unknown_table_is_answered_with_the_nearest(model):
    """A typing error costs one look at the message."""
    with pytest.raises(DerivaMLTableNotFound, match=r"no table 'Imag'; did you mean 'Image'"):
        model.table("Imag")


def test_an_unknown_asset_table_is_answered_with_those_there_are(model):
    """Whoever names a table for outputs sees which ones would do."""
    with pytest.raises(DerivaMLTableNotFound, match="asset tables here: Image, Execution_Asset"):
        model.asset_table("Picture")
    with pytest.raises(DerivaMLTableTypeError, match="demo:Subject is not an asset table"):
        model.asset_table("Subject")


def test_kinds_of_tables_are_told_by_their_columns(model):
    """Asset tables and vocabularies of any project are recognised, whoever made them."""
    assert [table.name for table in model.asset_tables()] == ["Image", "Execution_Asset", "Execution_Metadata", "File"]
    assert "Digit" in [table.name for table in model.vocabularies()]
    assert not model.is_vocabulary("Subject")


def test_required_columns_are_those_without_which_a_row_is_refused(model):
    """Only columns that may not be empty and have no default must be given."""
    assert [c.name for c in model.table("Image").columns.values() if c.is_required] == ["URL", "Length", "MD5", "Label"]
    assert not model.table("Digit").column("ID").is_required


def test_the_links_of_an_asset_table_are_found_by_structure(model):
    """Types and executions of an asset are found through foreign keys, not by composing names."""
    execution = model.execution_link("Image")
    types = model.type_link("Image")

    assert (str(execution.table), execution.near_column, execution.far_column) == (
        "demo:Image_Execution",
        "Image",
        "Execution",
    )
    assert execution.other_columns == ("Asset_Role",)
    assert (types.table.name, types.far_column) == ("Image_Asset_Type", "Asset_Type")


def test_a_table_linked_with_itself_has_a_near_and_a_far_end(model):
    """Parents and children of executions are both reached, each by its own column."""
    ends = {(a.near_column, a.far_column) for a in model.associations("Execution", "Execution")}

    assert ends == {("Execution", "Nested_Execution"), ("Nested_Execution", "Execution")}


def test_tables_that_nothing_links_are_said_to_be_so(model):
    """An association that is not there is an error that names both tables."""
    with pytest.raises(DerivaMLTableNotFound, match="links demo:Subject with demo:Image"):
        model.association("Subject", "Image")


def test_the_only_domain_schema_is_the_default():
    """A project with one schema need not name it; with two it must, or none is chosen."""
    other = SchemaDef("other", "", ())

    assert CatalogModel.from_document(document(ml_schema(), DEMO)).default_schema == "demo"
    assert CatalogModel.from_document(document(ml_schema(), DEMO, other)).default_schema is None
    assert CatalogModel.from_document(document(ml_schema(), DEMO, other), default_schema="other").default_schema == (
        "other"
    )


def test_a_schema_that_is_not_there_is_refused():
    """A wrong schema in the configuration is found on connecting, with the names there are."""
    with pytest.raises(DerivaMLSchemaError, match=r"no schema 'demp'; did you mean 'demo'"):
        CatalogModel.from_document(document(ml_schema(), DEMO), default_schema="demp")


def test_the_generation_is_that_of_the_tables(model):
    """The model knows which words its catalog takes; a catalog without our schema says what to type."""
    assert model.generation is GENERATION_1_54
    with pytest.raises(DerivaMLSchemaError, match="deriva-ml-catalog schema install"):
        CatalogModel.from_document(document(DEMO)).generation  # noqa: B018 - asking is the test


def test_columns_are_found_whatever_their_case(model):
    """Keyword arguments are often written in lower case; only what is ambiguous or unknown is refused."""
    assert model.table("Image").column("label").name == "Label"
    with pytest.raises(DerivaMLTableTypeError, match=r"no column 'Labell'; did you mean 'Label'"):
        model.table("Image").column("Labell")

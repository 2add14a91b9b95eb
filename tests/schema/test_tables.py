"""Tables that a project adds."""

import pytest

from deriva_ml_core.catalog import rows, vocabulary
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLTableTypeError
from deriva_ml_core.schema import tables
from deriva_ml_core.schema.check import check_schema
from deriva_ml_core.schema.elements import ColumnDef, TableDef


@pytest.fixture
def session(ml_catalog):
    tables.create_domain_schema(ml_catalog, "demo", comment="A project")
    return ml_catalog


def test_an_asset_table_comes_with_its_links_and_its_term(session):
    """Runs upload to it at once: types, executions and roles are linked as with our own asset tables."""
    tables.create_asset_table(session, "demo", "Image", columns=[ColumnDef("Label")], comment="Pictures")

    image = session.model.table("Image")
    assert image.is_asset
    assert session.model.execution_link(image).other_columns == ("Asset_Role",)
    assert session.model.type_link(image).far_column == "Asset_Type"
    assert vocabulary.lookup(session, "Asset_Type", "Image").description


def test_rows_of_an_asset_table_are_linked_with_executions(session):
    """The tables fit together: an asset, its type, the execution that made it."""
    tables.create_asset_table(session, "demo", "Image")
    asset = rows.insert_one(session, "Image", URL="/hatrac/Image/1", Length=1, MD5="0" * 32)["RID"]
    execution = rows.insert_one(session, "Execution", Description="test")["RID"]

    rows.insert_one(session, "Image_Asset_Type", Image=asset, Asset_Type="Image")
    rows.insert_one(session, "Image_Execution", Image=asset, Execution=execution, Asset_Role="Output")
    rows.delete(session, "Image", [asset])

    assert list(rows.select(session, "Image_Execution")) == []


def test_an_asset_may_refer_to_other_tables(session):
    """A picture belongs to a subject: one column, one foreign key, called like the table."""
    tables.create_tables(session, "demo", [TableDef("Subject", (ColumnDef("Name"),))])
    tables.create_asset_table(session, "demo", "Image", references=[("demo", "Subject")])
    subject = rows.insert_one(session, "Subject", Name="S1")["RID"]

    rows.insert_one(session, "Image", URL="/hatrac/Image/1", Length=1, MD5="0" * 32, Subject=subject)

    assert [key.table for key in session.model.table("Image").foreign_keys] == ["Subject"]


def test_an_asset_refers_to_terms_by_name(session):
    """As all that holds terms does: a row reads `Stain: HE`, and outputs are checked against the terms."""
    tables.create_vocabulary(session, "demo", "Stain")
    tables.create_asset_table(session, "demo", "Slide", references=[("demo", "Stain")])

    (key,) = session.model.table("Slide").foreign_keys
    assert (key.columns, key.table, key.referenced_columns) == (("Stain",), "Stain", ("Name",))


def test_a_reference_to_no_table_is_refused(session):
    """With the nearest table; nothing is made."""
    tables.create_vocabulary(session, "demo", "Stain")
    with pytest.raises(DerivaMLConfigurationError, match=r"Slide can't refer to demo:Stan.*did you mean 'Stain'"):
        tables.create_asset_table(session, "demo", "Slide", references=[("demo", "Stan")])

    assert "Slide" not in session.get_json("/schema")["schemas"]["demo"]["tables"]


def test_a_vocabulary_takes_terms(session):
    """The new vocabulary behaves as ours do, with IDs of the project."""
    tables.create_vocabulary(session, "demo", "Digit", comment="Ten of them", curie_prefix="demo")

    term = vocabulary.add_term(session, "Digit", "Seven", "Six and one", synonyms=["7"])

    assert term.id == f"demo:{term.rid}"
    assert vocabulary.lookup(session, "Digit", "7") == term


def test_an_association_links_two_tables(session):
    """Dataset elements and features are linked through such tables."""
    tables.create_tables(session, "demo", [TableDef("Subject", (ColumnDef("Name"),))])
    tables.create_association(session, "demo", [("deriva-ml", "Dataset"), ("demo", "Subject")])

    link = session.model.association("Dataset", "Subject")
    assert (link.table.name, link.near_column, link.far_column) == ("Dataset_Subject", "Dataset", "Subject")


def test_tables_of_a_project_leave_the_schema_valid(session):
    """What a project adds is none of the check's business, as long as ours is whole."""
    tables.create_asset_table(session, "demo", "Image")

    assert check_schema(session).is_valid


def test_a_table_that_is_there_is_not_made_again(session):
    """The second creation is refused with its name, and the first stays as it was."""
    tables.create_asset_table(session, "demo", "Image", columns=[ColumnDef("Label")])

    with pytest.raises(DerivaMLTableTypeError, match="has a table 'Image' already"):
        tables.create_asset_table(session, "demo", "Image")

    assert "Label" in session.model.table("Image").columns


def test_a_schema_that_is_there_stays(session):
    """Making a domain schema twice is harmless."""
    tables.create_vocabulary(session, "demo", "Digit")

    tables.create_domain_schema(session, "demo")

    assert session.model.has_table("demo:Digit")


def test_a_missing_schema_is_named(session):
    """The message lists the schemas there are."""
    with pytest.raises(DerivaMLConfigurationError, match=r"no schema 'nope'; it has: .*demo"):
        tables.create_vocabulary(session, "nope", "Digit")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "1st", "x" * 64, "a:b", ".hidden", "tab\tname"])
def test_names_that_are_no_folder_and_no_url_are_refused(name):
    """Table names become folders and parts of URLs; nothing may be hidden in them."""
    with pytest.raises(DerivaMLConfigurationError, match="table"):
        tables.require_name("table", name)


def test_columns_that_every_asset_table_has_can_not_be_redefined(session):
    """A second Filename would make rows ambiguous."""
    with pytest.raises(DerivaMLConfigurationError, match="column filename twice"):
        tables.create_asset_table(session, "demo", "Image", columns=[ColumnDef("filename")])

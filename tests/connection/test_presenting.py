"""What a catalog is called, where it comes from, and the pages that people see of it in Chaise."""

from __future__ import annotations

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLTableTypeError
from deriva_ml_core.schema.annotations import CHAISE_CONFIG
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_domain_schema, create_tables


def test_a_catalog_says_where_it_comes_from(new_ml):
    """As the server says now: its number and whose it is; a catalog that was not cloned has no source."""
    found = new_ml.catalog_provenance

    assert (found.hostname, found.catalog_id, found.generation) == ("local", new_ml.catalog_id, "1.54")
    assert found.clone_source is None
    assert found.snapshot


def test_annotations_give_a_catalog_its_names_and_the_projects_tables_in_menus(new_ml):
    """By kind; tables that only link others are in none."""
    create_domain_schema(new_ml.session, "lab")
    new_ml.session.forget_model()
    new_ml.create_vocabulary("Stain")
    new_ml.create_asset("Slide")
    create_tables(new_ml.session, "lab", [TableDef("Patient", (ColumnDef("Name"),))])

    new_ml.apply_catalog_annotations("Pathology", "Pathology lab")

    config = new_ml.session.get_json("/schema")["annotations"][CHAISE_CONFIG]
    menus = {menu["name"]: [entry["name"] for entry in menu["children"]] for menu in config["navbarMenu"]["children"]}
    assert (config["navbarBrandText"], config["headTitle"]) == ("Pathology", "Pathology lab")
    assert (menus["Tables"], menus["Assets"], menus["Vocabularies"][0]) == (["Patient"], ["Slide"], "Stain")
    assert "Execution" in menus["Pathology"]


def test_a_page_is_added_once_and_replaced_by_its_title(new_ml):
    """The schema that holds pages is none of the project's: the default schema stays what it was."""
    create_domain_schema(new_ml.session, "lab")
    new_ml.session.forget_model()

    first = new_ml.add_page("Read me", "# One")
    second = new_ml.add_page("Read me", "# Two, & more")

    assert first == second
    assert [row["Content"] for row in rows.select(new_ml.session, "www:Page")] == ["# Two, & more"]
    assert new_ml.default_schema == "lab"


def test_a_table_for_something_else_is_left_alone(new_ml):
    """A catalog whose www:Page is a site's own must not be written to."""
    create_domain_schema(new_ml.session, "www")
    create_tables(new_ml.session, "www", [TableDef("Page", (ColumnDef("Body"),))])

    with pytest.raises(DerivaMLTableTypeError, match="no column Content and no Title"):
        new_ml.add_page("Read me", "# One")

"""Which rows a bag has: the boundary rule, on models of catalogs."""

import pytest

from deriva_ml_core.catalog.model import CatalogModel
from deriva_ml_core.datasets import reach as reach_module
from deriva_ml_core.datasets.reach import element_types, find_reach
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.definition import ml_schema
from deriva_ml_core.schema.elements import ColumnDef, ForeignKeyDef, TableDef

ML = "deriva-ml"


def refers(table: str, *targets: str) -> TableDef:
    """A plain table with a column for each table that it refers to."""
    keys = tuple(
        ForeignKeyDef(f"{table}_{target}_fkey", (target,), *(target.split(":") if ":" in target else ("demo", target)))
        for target in targets
    )
    return TableDef(table, tuple(ColumnDef(target) for target in targets), foreign_keys=keys)


def association(one: str, two: str) -> TableDef:
    table = refers(f"{one.rsplit(':', maxsplit=1)[-1]}_{two.rsplit(':', maxsplit=1)[-1]}", one, two)
    keys = tuple(ForeignKeyDef(k.name, (k.table,), k.schema, k.table, k.referenced_columns) for k in table.foreign_keys)
    columns = tuple(ColumnDef(k.table) for k in table.foreign_keys)
    return TableDef(table.name, columns, keys=((keys[0].columns[0], keys[1].columns[0]),), foreign_keys=keys)


def model(*tables: TableDef) -> CatalogModel:
    demo = {table.name: table.document("demo") for table in tables}
    return CatalogModel.from_document(
        {"schemas": {ML: ml_schema().document(), "demo": {"schema_name": "demo", "tables": demo}}}
    )


def image_tables() -> list[TableDef]:
    """Image refers to Subject and to a vocabulary; Visit and the feature Grade refer to what they are about."""
    image = patterns.asset_table("Image", "", schema="demo", columns=(ColumnDef("Subject"), ColumnDef("Kind")))
    keys = (
        ForeignKeyDef("Image_Subject_fkey", ("Subject",), "demo", "Subject"),
        ForeignKeyDef("Image_Kind_fkey", ("Kind",), "demo", "Kind", ("Name",)),
    )
    grade = refers("Grade", "Image", f"{ML}:Execution")
    return [
        TableDef("Image", image.columns, keys=image.keys, foreign_keys=keys),
        patterns.asset_type_link("Image", schema="demo", ml_schema=ML),
        patterns.asset_execution_link("Image", schema="demo", ml_schema=ML),
        patterns.vocabulary("Kind", "", curie_prefix="t"),
        refers("Subject"),
        refers("Visit", "Subject"),
        grade,
        association(f"{ML}:Dataset", "Image"),
    ]


def names(found) -> set[str]:
    return {name for _, name in found}


def test_members_bring_what_is_around_them():
    """References are followed in both directions: subjects, what is said of them, features, types, executions."""
    found = find_reach(model(*image_tables()), {("demo", "Image")}, ())

    assert {
        "Image", "Subject", "Visit", "Grade", "Image_Asset_Type", "Image_Execution", "Dataset", "Dataset_Image",
        "Dataset_Version", "Dataset_Dataset_Type", "Dataset_Execution", "Directory_Dataset",
    } == names(found.paths)  # fmt: skip
    assert names(found.vocabularies) == {"Kind", "Asset_Type", "Asset_Role", "Dataset_Type", "Execution_Status"}
    assert {key.table for _, key in found.references} == {"Execution", "Workflow", "Dataset", "Dataset_Version"}


def test_a_path_never_comes_back():
    """Other images of a member's subject are not in the bag: the only way to images is membership."""
    found = find_reach(model(*image_tables()), {("demo", "Image")}, ())
    (path,) = found.paths["demo", "Image"]

    assert [join.table.name for join in path.joins] == ["Dataset_Image", "Image"]


def test_an_element_type_without_members_is_not_crossed():
    """Subjects of the images come along, but not their visits: Subject is an element type without members here."""
    found = find_reach(model(*image_tables(), association(f"{ML}:Dataset", "Subject")), {("demo", "Image")}, ())

    assert ("demo", "Subject") in found.paths
    assert ("demo", "Visit") not in found.paths
    assert ("demo", "Dataset_Subject") not in found.paths


def test_an_element_type_without_members_is_not_entered_from_behind():
    """A dataset of subjects does not bring the images that refer to them, where images could be members themselves."""
    tables = [*image_tables(), association(f"{ML}:Dataset", "Subject")]
    found = find_reach(model(*tables), {("demo", "Subject")}, ())

    assert {"Subject", "Visit"} <= names(found.paths)
    assert not {"Image", "Grade"} & names(found.paths)


def test_element_types_with_members_are_crossed():
    """With members of both kinds, images come by membership and through their subjects."""
    tables = [*image_tables(), association(f"{ML}:Dataset", "Subject")]
    found = find_reach(model(*tables), {("demo", "Image"), ("demo", "Subject")}, ())

    assert len(found.paths["demo", "Image"]) == 2
    assert len(found.paths["demo", "Visit"]) == 2


def test_excluded_tables_and_what_only_they_lead_to_stay_out():
    """Leaving out Subject leaves out its visits."""
    found = find_reach(model(*image_tables()), {("demo", "Image")}, {("demo", "Subject")})

    assert not {"Subject", "Visit"} & names(found.paths)


def test_every_path_is_a_query_of_explicit_joins():
    """The query names both sides of each join, so that a second reference between two tables can't confuse it."""
    found = find_reach(model(*image_tables()), {("demo", "Image")}, ())
    (path,) = found.paths["demo", "Grade"]

    assert path.url(["1-A", "1-B"]) == (
        "/entity/deriva-ml:Dataset/RID=any(1-A,1-B)/(RID)=(demo:Dataset_Image:Dataset)/(Image)=(demo:Image:RID)"
        "/(RID)=(demo:Grade:Image)"
    )


def test_the_same_model_gives_the_same_paths():
    """The order of the /schema document does not matter: bags are deterministic."""
    tables = image_tables()
    one = find_reach(model(*tables), {("demo", "Image")}, ())
    two = find_reach(model(*reversed(tables)), {("demo", "Image")}, ())

    assert [(key, [p.url(["X"]) for p in paths]) for key, paths in one.paths.items()] == [
        (key, [p.url(["X"]) for p in paths]) for key, paths in two.paths.items()
    ]


def test_element_types_are_not_about_datasets():
    """Terms, versions and executions are linked with datasets, but are no members."""
    assert names(element_types(model(*image_tables()))) == {"Dataset", "File", "Image"}


def test_too_many_ways_are_refused_with_advice(monkeypatch):
    """A model in which ways multiply is refused before it is asked a thousand queries, and the advice is given."""
    monkeypatch.setattr(reach_module, "MAX_PATHS", 5)
    with pytest.raises(DerivaMLException, match="exclude_tables"):
        find_reach(model(*image_tables()), {("demo", "Image")}, ())

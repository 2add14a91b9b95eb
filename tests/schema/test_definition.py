"""Our definition against the facts of live catalogs, one by one."""

import json
from pathlib import Path

import pytest

from deriva_ml_core.schema import terms
from deriva_ml_core.schema.check import compare_tables, expected_tables, expected_terms
from deriva_ml_core.schema.definition import ml_schema
from deriva_ml_core.schema.elements import constraint_name, type_document
from deriva_ml_core.schema.generations import GENERATION_1_24, GENERATION_1_54, detect_generation

FACTS = json.loads((Path(__file__).parent.parent / "fixtures" / "deriva-ml-schema.json").read_text())["generations"]
GENERATIONS = {"1.54": GENERATION_1_54, "1.24": GENERATION_1_24}


def facts_of(table):
    """A definition in the form of the facts file, for comparison."""
    columns = {}
    for column in table.columns:
        columns[column.name] = {"type": column.type, "nullok": column.nullok}
        if column.default is not None:
            columns[column.name]["default"] = column.default
    return {
        "columns": columns,
        "keys": {frozenset(key) for key in table.keys},
        "foreign_keys": {
            key.name: (key.columns, f"{key.schema}:{key.table}", key.referenced_columns, key.on_delete, key.on_update)
            for key in table.foreign_keys
        },
    }


def facts_from_file(fact):
    return {
        "columns": fact["columns"],
        "keys": {frozenset(key) for key in fact["keys"]},
        "foreign_keys": {
            key["name"][1]: (
                tuple(key["columns"]),
                key["references"],
                tuple(key["referenced_columns"]),
                key["on_delete"],
                key["on_update"],
            )
            for key in fact["foreign_keys"]
        },
    }


@pytest.mark.parametrize("table", FACTS["1.54"]["tables"])
def test_every_fact_of_a_table_is_defined(table):
    """Columns, types, nullability, defaults, keys, foreign keys, their names and rules are those of live catalogs."""
    ours = {definition.name: definition for definition in ml_schema(curie_prefix="ml-test").tables}

    assert facts_of(ours[table]) == facts_from_file(FACTS["1.54"]["tables"][table])


def test_no_table_is_invented():
    """The definition has the tables of live catalogs and no other."""
    assert {table.name for table in ml_schema().tables} == set(FACTS["1.54"]["tables"])


@pytest.mark.parametrize("table", FACTS["1.54"]["tables"])
def test_tables_carry_the_annotations_of_live_catalogs(table):
    """Chaise finds an annotation on every table that has one in live catalogs."""
    ours = {definition.name: definition for definition in ml_schema().tables}

    assert set(FACTS["1.54"]["tables"][table]["annotation_tags"]) <= set(ours[table].annotations)


@pytest.mark.parametrize("table", FACTS["1.24"]["tables"])
def test_the_former_generation_is_derived_without_a_difference(table):
    """What we say of generation 1.24 is what its live catalogs have, so that checking them is not guessing."""
    ours = {definition.name: definition for definition in expected_tables(GENERATION_1_24)}
    definition = facts_of(ours[table])
    fact = facts_from_file(FACTS["1.24"]["tables"][table])
    for facts in (definition, fact):
        facts["columns"].get("ID", {}).pop("default", None)

    assert definition == fact


@pytest.mark.parametrize("generation", GENERATIONS)
def test_terms_are_those_of_live_catalogs(generation):
    """Each vocabulary starts with the terms of live catalogs of its generation."""
    ours = {name: set(names) for name, names in expected_terms(GENERATIONS[generation]).items()}

    assert ours == {name: set(names) for name, names in FACTS[generation]["vocabulary_terms"].items()}


def test_every_term_is_described():
    """A term without a description can't be stored, and helps nobody."""
    for vocabulary in terms.VOCABULARY_TERMS.values():
        assert all(len(term.description) > 10 for term in vocabulary)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_generation_is_told_by_the_columns(generation):
    """A catalog's generation is read off its tables; no version number is stored anywhere."""
    columns = {name: list(table["columns"]) for name, table in FACTS[generation]["tables"].items()}

    assert detect_generation(columns) is GENERATIONS[generation]


def test_other_tables_are_no_generation():
    """A schema of the same name with other tables is not taken for ours."""
    assert detect_generation({"Execution": ["Name"]}) is None
    assert detect_generation({}) is None


@pytest.mark.parametrize("status", ["Created", "Running", "Stopped", "Failed", "Pending_Upload", "Uploaded", "Aborted"])
def test_former_catalogs_are_told_their_own_words(status):
    """An older catalog stores only words of its own; a newer one stores ours unchanged."""
    former = {"Created", "Running", "Pending", "Completed", "Failed", "Aborted"}

    assert GENERATION_1_24.status_word(status) in former
    assert GENERATION_1_54.status_word(status) == status


@pytest.mark.parametrize(
    ("word", "status"),
    [("Completed", "Uploaded"), ("Pending", "Pending_Upload"), ("Initializing", "Created"), (None, "Created")],
)
def test_former_words_are_read_as_ours(word, status):
    """Rows that older releases wrote are understood."""
    assert GENERATION_1_24.read_status(word) == status


def test_array_and_domain_types_are_spelled_out():
    """ERMrest wants to be told what an array is of and what a domain restricts."""
    assert type_document("text[]") == {"typename": "text[]", "is_array": True, "base_type": {"typename": "text"}}
    assert type_document("markdown") == {
        "typename": "markdown",
        "is_domain": True,
        "base_type": {"typename": "text"},
    }


def test_long_constraint_names_are_cut_to_what_the_server_takes():
    """ERMrest refuses names of more than 63 bytes, also where the letters take two bytes each."""
    assert len(constraint_name("Ä" * 60 + "_fkey").encode()) <= 63
    assert constraint_name("short_fkey") == "short_fkey"


def altered(**changes):
    """The document of the newer schema's tables, as a catalog would give it, with something changed."""
    tables = json.loads(json.dumps({table.name: table.document("deriva-ml") for table in ml_schema().tables}))
    for path, value in changes.items():
        name, _, column = path.partition("__")
        if value is None and not column:
            del tables[name]
        else:
            _alter_column(tables[name], column, value)
    return tables


def _alter_column(table, column, value):
    definitions = table["column_definitions"]
    if value is None:
        table["column_definitions"] = [one for one in definitions if one["name"] != column]
    else:
        next(one for one in definitions if one["name"] == column).update(value)


@pytest.mark.parametrize(
    ("tables", "finding"),
    [
        (altered(Workflow=None), "Workflow: the table is missing"),
        (altered(Workflow__URL=None), "Workflow.URL: the column is missing"),
        (altered(Workflow__RMT=None), "Workflow.RMT: the system column is missing"),
        (altered(File__Length={"type": {"typename": "text"}}), "File.Length: has type text instead of int8"),
        (altered(File__MD5={"nullok": True}), "File.MD5: may be empty, but may not by the definition"),
        (
            altered(Dataset_Version__Version={"default": "1.0"}),
            "Dataset_Version.Version: has default '1.0' instead of '0.1.0'",
        ),
    ],
)
def test_each_difference_is_found_and_named(tables, finding):
    """A check names the table, the column and what is there instead."""
    assert [str(one) for one in compare_tables(ml_schema().tables, tables) if one.serious] == [finding]


def test_missing_keys_and_references_are_found():
    """Without its keys and foreign keys a table takes rows that no run should write."""
    tables = altered()
    tables["File"]["keys"] = [key for key in tables["File"]["keys"] if key["unique_columns"] == ["RID"]]
    tables["Execution"]["foreign_keys"] = []

    found = {str(one) for one in compare_tables(ml_schema().tables, tables)}

    assert found == {
        "File: no key on (URL)",
        "Execution: no foreign key (Workflow) -> deriva-ml:Workflow (RID)",
        "Execution: no foreign key (Status) -> deriva-ml:Execution_Status (Name)",
    }


def test_wrong_rules_are_found():
    """A reference that does not cascade leaves links behind that block deletion."""
    tables = altered()
    for key in tables["File_Execution"]["foreign_keys"]:
        key["on_delete"] = "NO ACTION"

    found = [one for one in compare_tables(ml_schema().tables, tables) if "on_delete" in one.what]

    assert len(found) == 3


def test_additions_are_notes():
    """A project may add tables and columns; they are told, and are no fault."""
    tables = altered()
    tables["Mine"] = tables["File"]
    tables["Workflow"]["column_definitions"].append({"name": "Mood", "type": {"typename": "text"}, "nullok": True})

    found = list(compare_tables(ml_schema().tables, tables))

    assert {one.where for one in found} == {"Mine", "Workflow.Mood"}
    assert not any(one.serious for one in found)

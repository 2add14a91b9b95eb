"""Installing the schema into a real catalog, and checking it there."""

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLSchemaError
from deriva_ml_core.schema import terms
from deriva_ml_core.schema.check import check_schema
from deriva_ml_core.schema.install import install_schema


def test_an_installed_schema_checks_without_a_finding(ml_session):
    """What the definition says is what the catalog then has: tables, columns, keys, references, rules, terms."""
    report = check_schema(ml_session)

    assert report.is_valid
    assert [str(finding) for finding in report.findings] == []


def test_both_generations_are_recognised_and_valid(ml_catalog):
    """A catalog of either generation passes the check of its own generation."""
    report = check_schema(ml_catalog)

    assert [str(finding) for finding in report.errors] == []
    assert report.generation is ml_catalog.model.generation


def test_installing_twice_changes_nothing(ml_session):
    """Repeating the command is safe: no term, no sentinel twice."""
    before = rows_of(ml_session)

    again = install_schema(ml_session)

    assert (again.created, again.terms_added) == (False, 0)
    assert rows_of(ml_session) == before


def rows_of(session):
    names = (*terms.VOCABULARY_TERMS, "Workflow", "File", "Execution")
    return {name: sorted(row["RID"] for row in rows.select(session, f"deriva-ml:{name}")) for name in names}


def test_a_missing_term_is_found_and_put_back(ml_session):
    """Somebody deleted a term: the check names it, installing again restores it."""
    rows.delete_where(ml_session, "Dataset_Type", {"Name": "Split"})
    assert [str(one) for one in check_schema(ml_session).errors] == ["Dataset_Type: the term Split is missing"]

    assert install_schema(ml_session).terms_added == 1

    assert check_schema(ml_session).is_valid


def test_terms_have_ids_of_the_project(catalog_session):
    """The ID of a term is a CURIE with the project's name, made by the server."""
    install_schema(catalog_session, curie_prefix="demo")

    row = next(rows.select(catalog_session, "Asset_Role", {"Name": "Input"}))

    assert row["ID"] == f"demo:{row['RID']}"
    assert row["URI"].endswith(f"/id/{row['RID']}")
    assert row["Synonyms"] == []


def test_sentinels_stand_for_the_unrecorded(ml_session):
    """An asset made without input has something to point to."""
    workflow = next(rows.select(ml_session, "Workflow", {"URL": terms.UNKNOWN_WORKFLOW_URL}))
    execution = next(rows.select(ml_session, "Execution", {"Workflow": workflow["RID"]}))

    assert (execution["Status"], execution["Description"]) == ("Aborted", terms.UNKNOWN_EXECUTION_DESCRIPTION)
    assert next(rows.select(ml_session, "File", {"URL": terms.UNKNOWN_FILE_URL}))["Length"] == 0


def test_a_catalog_without_the_schema_is_said_to_be_so(catalog_session):
    """The check of an empty catalog is one clear finding."""
    report = check_schema(catalog_session)

    assert not report.is_valid
    assert [str(finding) for finding in report.findings] == ["deriva-ml: the catalog has no such schema"]


def test_an_older_schema_is_left_alone(former_session):
    """Installing never alters the tables of a catalog that is in use with the former generation."""
    before = former_session.latest_snaptime()

    with pytest.raises(DerivaMLSchemaError, match=r"an older one \(1\.24\)"):
        install_schema(former_session)

    assert former_session.latest_snaptime() == before


def test_installing_takes_few_requests(catalog_session):
    """The server may be 100 ms away: one request makes all tables, one each vocabulary's terms."""
    before = catalog_session.client.requests_sent

    install_schema(catalog_session)

    assert catalog_session.client.requests_sent - before <= 14

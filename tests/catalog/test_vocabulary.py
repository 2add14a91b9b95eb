"""Terms, in a real catalog of either generation."""

import pytest

from deriva_ml_core.catalog import rows, vocabulary
from deriva_ml_core.errors import DerivaMLInvalidTerm, DerivaMLTableTypeError, DerivaMLValidationError


def test_terms_are_read_once(ml_catalog):
    """A run asks for many terms of few vocabularies: one request each."""
    vocabulary.lookup(ml_catalog, "Asset_Type", "Model_File")
    before = ml_catalog.client.requests_sent

    assert vocabulary.lookup(ml_catalog, "Asset_Type", "Input_File").name == "Input_File"
    assert "Output_File" in vocabulary.terms(ml_catalog, "Asset_Type")
    assert ml_catalog.client.requests_sent == before


def test_an_unknown_term_is_answered_with_the_nearest(ml_catalog):
    """One line: what is wrong, what is near, what there is."""
    with pytest.raises(
        DerivaMLInvalidTerm, match=r"'Trainning' is not a term of Workflow_Type; did you mean 'Training'"
    ):
        vocabulary.lookup(ml_catalog, "Workflow_Type", "Trainning")


def test_a_term_of_the_newer_generation_means_the_nearest_of_an_older_catalog(ml_catalog, caplog):
    """One model runs against catalogs of both generations; the console says what was recorded instead."""
    expected = {"1.54": ("Metrics_File", 0), "1.24": ("Execution_Metadata", 1)}[ml_catalog.model.generation.name]

    term = vocabulary.lookup(ml_catalog, "Asset_Type", "Metrics_File")

    assert (term.name, len(caplog.records)) == expected
    assert vocabulary.add_term(ml_catalog, "Asset_Type", "Metrics_File", "Numbers").name == "Metrics_File"
    assert vocabulary.lookup(ml_catalog, "Asset_Type", "Metrics_File").name == "Metrics_File"


def test_all_unknown_terms_are_told_at_once(ml_catalog):
    """Nobody corrects a configuration three times for three words."""
    with pytest.raises(DerivaMLValidationError) as caught:
        ml_catalog.vocabularies.lookup_all("Workflow_Type", ["Training", "Nope", "Neither"])

    assert len(caught.value.problems) == 2


def test_a_table_that_is_no_vocabulary_is_said_to_be_so(ml_catalog):
    """The message lists the vocabularies."""
    with pytest.raises(DerivaMLTableTypeError, match=r"Workflow is not a vocabulary.*Asset_Type"):
        vocabulary.terms(ml_catalog, "Workflow")


def test_a_new_term_is_found_by_name_and_synonym(ml_catalog):
    """Added once, known at once; adding it again gives the same term."""
    term = vocabulary.add_term(ml_catalog, "Workflow_Type", "Simulation", "Makes data up", synonyms=["Synthesis"])

    assert vocabulary.lookup(ml_catalog, "Workflow_Type", "Synthesis") == term
    assert vocabulary.add_term(ml_catalog, "Workflow_Type", "Simulation", "Something else") == term
    assert term.id.endswith(f":{term.rid}")
    with pytest.raises(DerivaMLInvalidTerm, match="has a term 'Simulation' already"):
        vocabulary.add_term(ml_catalog, "Workflow_Type", "Simulation", "again", exists_ok=False)


def test_a_term_that_somebody_else_added_meanwhile_is_taken(ml_session, connect):
    """Two people add the same term: both have it, and it is there once."""
    other = connect(ml_session.catalog_id)
    vocabulary.terms(ml_session, "Workflow_Type")
    theirs = vocabulary.add_term(other, "Workflow_Type", "Simulation", "Makes data up")

    assert vocabulary.add_term(ml_session, "Workflow_Type", "Simulation", "Ours") == theirs


def test_a_term_in_use_is_not_deleted(ml_session):
    """References cascade: deleting the term would delete links of other people's rows."""
    workflow = rows.insert_one(ml_session, "Workflow", Name="w")["RID"]
    rows.insert_one(ml_session, "Workflow_Workflow_Type", Workflow=workflow, Workflow_Type="Training")

    with pytest.raises(DerivaMLValidationError, match="is used by deriva-ml:Workflow_Workflow_Type"):
        vocabulary.delete_term(ml_session, "Workflow_Type", "Training")
    vocabulary.delete_term(ml_session, "Workflow_Type", "Testing")

    assert "Testing" not in vocabulary.terms(ml_session, "Workflow_Type")
    assert "Training" in vocabulary.terms(ml_session, "Workflow_Type")

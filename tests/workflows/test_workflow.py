"""What a workflow is, in a configuration and in the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra_zen import builds, instantiate
from pydantic import ValidationError

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLInvalidTerm, DerivaMLNotFoundError, DerivaMLWorkflowError
from deriva_ml_core.workflows import CodeReference, Workflow, registry

CODE = CodeReference(url="https://h.org/r/blob/c/m.py", checksum="a" * 40, version="1.0", git_root=Path("/x"))


def workflow(name: str = "Digits", **fields) -> Workflow:
    return Workflow(name=name, workflow_type="Training", **fields)


def test_a_configuration_builds_it():
    """The guide's `builds(Workflow, ..., populate_full_signature=True)`, with one type or several."""
    one = builds(Workflow, name="default", workflow_type="Training", populate_full_signature=True)
    several = builds(Workflow, name="x", workflow_type=["Training", "Testing"], populate_full_signature=True)

    assert instantiate(one).workflow_type == ["Training"]
    assert instantiate(several, description="d").types == ["Training", "Testing"]


def test_unknown_fields_are_refused():
    """A misspelt field must not vanish."""
    with pytest.raises(ValidationError):
        workflow(descripton="x")


def test_filling_takes_only_what_is_empty():
    """What the user says about the code wins over what git says."""
    filled = workflow(url="https://mine").filled(CODE)

    assert (filled.url, filled.checksum, filled.version) == ("https://mine", "a" * 40, "1.0")
    assert workflow(workflow_rid="1-A").filled(CODE).checksum is None


def test_the_former_names_still_answer():
    """Scripts of the former generation call these."""
    url, checksum = Workflow.get_url_and_checksum(__file__)

    assert url
    assert len(checksum) == 40
    assert workflow().setup_url_checksum().checksum == checksum
    assert Workflow.get_dynamic_version(Path(__file__).parent)


def test_registered_once_found_again(ml_catalog):
    """The same code is the same row, in catalogs of either generation; its types are linked."""
    first = registry.register(ml_catalog, workflow(description="d").filled(CODE))
    second = registry.register(ml_catalog, workflow().filled(CODE))

    found = registry.lookup(ml_catalog, first)
    assert second == first
    assert (found.name, found.types, found.description) == ("Digits", ["Training"], "d")
    assert (found.url, found.checksum, found.version) == (CODE.url, CODE.checksum, "1.0")


def test_changed_code_is_a_new_workflow(ml_session):
    """Another checksum under the same link is other code."""
    first = registry.register(ml_session, workflow(url="https://x", checksum="a" * 40))
    second = registry.register(ml_session, workflow(url="https://x", checksum="b" * 40))

    assert first != second


def test_of_several_rows_the_one_of_the_same_name_is_taken(ml_session):
    """Catalogs hold doubles from former releases."""
    code = {"URL": "https://x", "Checksum": "a" * 40}
    rows.insert(ml_session, "Workflow", [{"Name": "Other", **code}])
    mine = rows.insert_one(ml_session, "Workflow", Name="Digits", **code)["RID"]

    assert registry.register(ml_session, workflow(checksum="a" * 40)) == mine


def test_the_same_code_under_another_name_is_the_same_workflow(ml_session, caplog):
    """As existing catalogs have it; the reader is told."""
    first = registry.register(ml_session, workflow("One").filled(CODE))

    assert registry.register(ml_session, workflow("Two").filled(CODE)) == first
    assert "same code" in caplog.text


def test_found_by_url_where_there_is_no_checksum(ml_session):
    """A container or a hand-written link has no checksum."""
    first = registry.register(ml_session, workflow(url="image@sha256:1"))

    assert registry.register(ml_session, workflow(url="image@sha256:1")) == first
    assert registry.lookup_by_url(ml_session, "image@sha256:1").workflow_rid == first


def test_an_unknown_type_writes_nothing(ml_session):
    """The message offers what is near."""
    with pytest.raises(DerivaMLInvalidTerm, match="did you mean 'Training'"):
        registry.register(ml_session, Workflow(name="x", workflow_type=["Trainig"], checksum="a"))

    assert "x" not in [found.name for found in registry.find_all(ml_session)]


def test_what_was_looked_up_writes_through(ml_session):
    """Setting description or types of a looked-up workflow changes the catalog."""
    rid = registry.register(ml_session, workflow().filled(CODE))
    found = registry.lookup(ml_session, rid)

    found.description = "new words"
    found.workflow_type = ["Testing", "Prediction"]

    again = registry.lookup(ml_session, rid)
    assert (again.description, sorted(again.types)) == ("new words", ["Prediction", "Testing"])


def test_a_refused_change_changes_nothing(ml_session):
    """Object and catalog agree, whatever was refused."""
    found = registry.lookup(ml_session, registry.register(ml_session, workflow().filled(CODE)))

    with pytest.raises(DerivaMLInvalidTerm):
        found.workflow_type = "Nonsense"
    with pytest.raises(DerivaMLWorkflowError):
        found.workflow_type = []

    assert found.types == ["Training"]


def test_no_such_workflow(ml_session):
    """RID, URL: named in the message."""
    with pytest.raises(DerivaMLNotFoundError, match="9-ZZZZ"):
        registry.lookup(ml_session, "9-ZZZZ")
    with pytest.raises(DerivaMLNotFoundError, match="https://nowhere"):
        registry.lookup_by_url(ml_session, "https://nowhere")
    with pytest.raises(DerivaMLNotFoundError):
        registry.register(ml_session, workflow(workflow_rid="9-ZZZZ"))

"""Rows that a model writes as CSV are in the catalog once, whatever is wrong, killed or repeated."""

from __future__ import annotations

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLTableTypeError, DerivaMLUploadError
from deriva_ml_core.executions import table_rows
from deriva_ml_core.executions.pending import finish, waiting
from deriva_ml_core.executions.states import Status
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_domain_schema, create_tables


@pytest.fixture
def lab(new_ml):
    create_domain_schema(new_ml.session, "lab")
    columns = (
        ColumnDef("Name", "text", False),
        ColumnDef("Age", "int4"),
        ColumnDef("Alive", "boolean", default=True),
    )
    create_tables(new_ml.session, "lab", [TableDef("Patient", columns)])
    return new_ml


def patients(ml):
    found = rows.select(ml.session, "Patient", sort=["Name"])
    return [(row["Name"], row["Age"], row["Alive"]) for row in found]


def run(ml, workflow, text):
    with ml.create_execution(workflow=workflow) as execution:
        execution.table_path("Patient").write_text(text)
    return execution


def test_rows_are_stored_with_the_outputs(lab, workflow):
    """Types are those of the columns; an empty cell is no value; a second upload adds nothing."""
    execution = run(lab, workflow, 'Name,Age,Alive\nAda,36,false\n"Bob, B.",,\n')
    assert patients(lab) == []

    execution.upload_execution_outputs(clean_folder=False)
    execution.upload_execution_outputs()

    assert patients(lab) == [("Ada", 36, False), ("Bob, B.", None, True)]
    assert execution.status is Status.uploaded
    assert waiting(lab.working_dir) == []


def test_rows_that_are_written_later_are_added(lab, workflow):
    """The file is the model's again after each upload."""
    execution = run(lab, workflow, "Name\nAda\n")
    execution.upload_execution_outputs(clean_folder=False)

    execution.table_path("Patient").write_text("Name\nBob\n")
    execution.upload_execution_outputs()

    assert [name for name, *_ in patients(lab)] == ["Ada", "Bob"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Nam\nAda\n", "it has no column 'Nam'; did you mean 'Name'"),
        ("Age\n3\n", "the column 'Name' is required"),
        ("Name,Age\nAda,old\n", "line 2: Age: 'old' is not of type int4"),
        ("Name,Age\n,3\n", "line 2: Name: a value is required"),
        ("Name,Age\nAda\n", "line 2: it has not as many values as there are columns"),
        ("RID,Name\n1-AAAA,Ada\n", "line 2: RID: the catalog gives it"),
    ],
)
def test_rows_that_a_table_does_not_take_are_kept_and_named(lab, workflow, text, words):
    """By line; nothing of the file was stored, and a mended file is stored by a later command."""
    execution = run(lab, workflow, text)

    with pytest.raises(DerivaMLUploadError, match="finish with: deriva-ml-executions upload") as caught:
        execution.upload_execution_outputs()

    assert words in str(caught.value)
    assert patients(lab) == []
    (left,) = waiting(lab.working_dir)
    assert left.tables == {"the rows for lab/Patient": 1}
    execution.table_path("Patient").write_text("Name\nAda\n")
    finish(lab, execution.execution_rid)
    assert patients(lab) == [("Ada", None, True)]


@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_a_command_that_is_killed_after_it_has_sent_stores_no_row_twice(lab, workflow, monkeypatch, step):
    """The catalog has the rows, and the dead process could not say so on disk."""
    execution = run(lab, workflow, "Name\nAda\nBob\n")
    original = getattr(table_rows.Path, step)

    def killed(path, *more, **options):
        if path.name in ("Patient.taken.csv", "Patient.sending.json") and path.exists():
            raise KeyboardInterrupt
        return original(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(table_rows.Path, step, killed)
        with pytest.raises(KeyboardInterrupt):
            execution.upload_execution_outputs()
    assert [name for name, *_ in patients(lab)] == ["Ada", "Bob"]

    finish(lab, execution.execution_rid)

    assert [name for name, *_ in patients(lab)] == ["Ada", "Bob"]


def test_files_of_asset_tables_are_named_otherwise(lab, workflow):
    """A row of an asset table without its bytes would be a lie."""
    with (
        lab.create_execution(workflow=workflow) as execution,
        pytest.raises(DerivaMLTableTypeError, match="name its files with asset_file_path"),
    ):
        execution.table_path("Execution_Asset")


def test_a_connection_has_a_place_for_the_rows_of_a_table_too(lab):
    """Below the working folder; nothing reads it by itself."""
    assert lab.table_path("Patient", "lab") == lab.working_dir / "tables" / "lab" / "Patient.csv"
    assert lab.table_path("Patient").parent.is_dir()

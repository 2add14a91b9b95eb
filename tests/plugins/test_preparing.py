"""A plugin looks at outputs before they are stored."""

from __future__ import annotations

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLValidationError
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

COUNTING = """
@hookimpl
def deriva_claim_assets():
    return [Claim(tables=("Note",), fills=("Words",))]

@hookimpl
def deriva_prepare_output(output, folder):
    if output.table != "Note":
        return None
    text = output.path.read_text()
    if "draft" in text:
        return Prepared(refusal="it is a draft")
    if "broken" in text:
        raise OSError("can't be read")
    short = folder / "short.txt"
    short.write_text(text[:3])
    return Prepared(
        columns={"Words": len(text.split()), "Label": "counted"},
        asset_types=("Short",) if len(text) < 10 else (),
        further=[FurtherOutput(short, "Note", f"short-{output.file_name}", columns={"Words": 1})],
    )
"""


@pytest.fixture
def notes(ml_session, install):
    """A catalog with an asset table whose column Words every row must have, and the plugin that fills it."""
    create_domain_schema(ml_session, "demo")
    columns = [ColumnDef("Words", "int4", False), ColumnDef("Label")]
    create_asset_table(ml_session, "demo", "Note", columns=columns)
    ml_session.post_json(
        "/entity/deriva-ml:Asset_Type?defaults=ID,URI", [{"Name": "Short", "Description": "A short one"}]
    )
    install("counting", COUNTING)
    return ml_session


@pytest.fixture
def staging(notes, tmp_path):
    return Staging(tmp_path / "run", notes)


def upload(session, staging):
    rid = rows.insert(session, session.model.ml_table("Execution"), [{"Status": "Running"}])[0]["RID"]
    return upload_staged(session, staging, rid)


def notes_in(session):
    return {row["Filename"]: row for row in rows.select(session, ("demo", "Note"))}


def test_hook_deriva_prepare_output(notes, staging):
    """Columns are filled, types added, and what the plugin made from the file is an output as well."""
    staging.register("Note", "one.txt").write_text("two words")

    report = upload(notes, staging)

    assert report.errors == []
    found = notes_in(notes)
    assert (found["one.txt"]["Words"], found["one.txt"]["Label"]) == (2, "counted")
    assert found["short-one.txt"]["Length"] == 3
    links = list(rows.select(notes, ("demo", "Note_Asset_Type")))
    assert ("Short", found["one.txt"]["RID"]) in {(link["Asset_Type"], link["Note"]) for link in links}


def test_what_the_model_gave_itself_stays(notes, staging):
    """It may know better."""
    staging.register("Note", "one.txt", metadata={"Label": "mine"}).write_text("two words")

    upload(notes, staging)

    assert (notes_in(notes)["one.txt"]["Label"], notes_in(notes)["one.txt"]["Words"]) == ("mine", 2)


def test_a_refused_output_is_not_stored_and_the_others_are(notes, staging):
    """The reason names the plugin."""
    staging.register("Note", "bad.txt").write_text("a draft")
    staging.register("Note", "good.txt").write_text("two words")

    report = upload(notes, staging)

    assert report.errors == ["Note/bad.txt: plugin counting refuses it: it is a draft"]
    assert set(notes_in(notes)) == {"good.txt", "short-good.txt"}


def test_a_plugin_that_fails_fails_the_file(notes, staging):
    """A column that must be filled is not: better no row than a wrong one."""
    staging.register("Note", "bad.txt").write_text("broken")

    assert upload(notes, staging).errors == [
        "Note/bad.txt: plugin counting, deriva_prepare_output: OSError: can't be read"
    ]


def test_a_repaired_output_is_prepared_again(notes, staging):
    """A later command finishes what was refused, and fills nothing from the former state of the file."""
    path = staging.register("Note", "one.txt")
    path.write_text("a draft of it")
    upload(notes, staging)
    path.write_text("a final one")

    report = upload(notes, staging)

    assert report.errors == []
    assert notes_in(notes)["one.txt"]["Words"] == 3


def test_files_of_a_registered_folder_are_prepared(notes, staging):
    """Each by itself; what is made from them lies beside them, so that names may repeat."""
    folder = staging.register("Note", "all/")
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "one.txt").write_text(f"{name} is it")

    report = upload(notes, staging)

    assert report.errors == []
    assert report.total_uploaded == 4


def test_nothing_is_prepared_twice(notes, staging, install):
    """A second upload has nothing to do, and asks no plugin."""
    staging.register("Note", "one.txt").write_text("two words")
    upload(notes, staging)

    assert upload(notes, staging).total_uploaded == 0


def test_a_required_column_that_no_plugin_fills_is_demanded_when_the_file_is_named(notes, staging):
    """Only what a plugin claims to fill may be missing."""
    create_asset_table(notes, "demo", "Other", columns=[ColumnDef("Words", "int4", False)])

    with pytest.raises(DerivaMLValidationError, match="no value for Words"):
        staging.register("Other", "one.txt")

"""Outputs are checked when they are named, and kept until they are uploaded."""

import datetime

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.errors import (
    DerivaMLInvalidTerm,
    DerivaMLTableNotFound,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
    WorkingFolderError,
)


def test_a_new_file_has_its_place(staging, tmp_path):
    """The place exists, the file does not: the model writes it; sub-folders are made."""
    path = staging.register("Image", "a/b.png", Label="3")

    assert path == tmp_path / "execution" / "assets" / "Image" / "a" / "b.png"
    assert path.parent.is_dir()
    assert not path.exists()
    assert (path.asset_table, path.file_name) == ("Image", "b.png")
    assert (path.metadata, path.asset_types, path.asset_rid) == ({"Label": "3"}, ("Image",), None)


def test_an_existing_file_is_linked_or_copied(staging, tmp_path):
    """A link sees later changes of the original, a copy does not; rename_file gives the name in the catalog."""
    original = tmp_path / "model.pt"
    original.write_text("one")
    linked = staging.register("Image", original)
    copied = staging.register("Image", str(original), copy_file=True, rename_file="copy.pt")
    original.write_text("two")

    assert linked.is_symlink()
    assert (linked.file_name, linked.read_text()) == ("model.pt", "two")
    assert (copied.file_name, copied.read_text()) == ("copy.pt", "one")


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ("Imag", DerivaMLTableNotFound, "Image"),
        ("Workflow", DerivaMLTableTypeError, "asset table"),
        ("nowhere:Image", DerivaMLTableNotFound, "Image"),
    ],
)
def test_a_wrong_table_is_refused(staging, table, error, words):
    """A name that is no asset table's is refused, with what there is."""
    with pytest.raises(error, match=words):
        staging.register(table, "a.png")


def test_types_are_terms(staging):
    """Omitted, the table's name; an empty list, none; anything else must be a term."""
    assert staging.register("Image", "a", asset_types=None).asset_types == ("Image",)
    assert staging.register("Image", "b", asset_types=[]).asset_types == ()
    assert staging.register("Image", "c", asset_types="Model_File").asset_types == ("Model_File",)
    with pytest.raises(DerivaMLInvalidTerm, match="Model_File"):
        staging.register("Image", "d", asset_types=["Model_Fille"])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "Patient"),
        ({"Patient": None}, "Patient"),
        ({"Patient": "p", "Levl": 1}, "Level"),
        ({"Patient": "p", "Level": "deep"}, "'deep' is not of type int2"),
        ({"Patient": "p", "Level": 40000}, "int2"),
        ({"Patient": "p", "Level": True}, "int2"),
        ({"Patient": "p", "Taken": "yesterday"}, "date"),
        ({"Patient": "p", "MD5": "0"}, "filled by deriva-ml"),
        ({"Patient": 3}, "text"),
        ({"Patient": "p", "Stain": "HEE"}, "'HE'"),
    ],
)
def test_columns_are_checked_at_once(slide_session, tmp_path, columns, words):
    """A missing, unknown, reserved or ill-typed column is refused when the output is named."""
    staging = Staging(tmp_path / "execution", slide_session)
    with pytest.raises(DerivaMLValidationError, match=words) as error:
        staging.register("Slide", "a.tif", **columns)

    assert "\n" not in str(error.value)
    assert list(staging.ledger) == []


def test_columns_of_terms_take_terms(slide_session, tmp_path):
    """A term of the vocabulary that the column refers to is taken, a synonym as its term: the row refers to names."""
    slide_session.vocabularies.add("Stain", "PAS", "periodic acid-Schiff", synonyms=["Schiff"])
    staging = Staging(tmp_path / "execution", slide_session)

    assert staging.register("Slide", "a.tif", Patient="p", Stain="HE").metadata == {"Patient": "p", "Stain": "HE"}
    assert staging.register("Slide", "b.tif", Patient="p", Stain="Schiff").metadata["Stain"] == "PAS"


def test_metadata_that_is_no_mapping_is_told(staging):
    """Metadata is a mapping, or an object that can be dumped as one (pydantic); anything else is refused."""

    class Model:
        def model_dump(self, **_options):
            return {"Label": "3"}

    assert staging.register("Image", "a", metadata=Model()).metadata == {"Label": "3"}
    with pytest.raises(DerivaMLValidationError, match="mapping"):
        staging.register("Image", "b", metadata=["Label"])


def test_a_copied_folder_is_a_copy(staging, tmp_path):
    """copy_file copies a folder too."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.png").write_text("a")
    staging.register("Image", tmp_path / "old", copy_file=True)
    (tmp_path / "old" / "a.png").write_text("changed")

    assert [file.path.read_text() for file in staging.pending()] == ["a"]


def test_metadata_and_keywords_are_columns(slide_session, tmp_path):
    """A mapping and keywords are joined; dates are dates."""
    staging = Staging(tmp_path / "execution", slide_session)
    path = staging.register("Slide", "a.tif", metadata={"Patient": "p"}, Taken=datetime.date(2024, 2, 29))
    assert path.metadata == {"Patient": "p", "Taken": "2024-02-29"}

    path.metadata = {"Patient": "q"}
    with pytest.raises(DerivaMLValidationError, match="Patient"):
        path.metadata = {}
    assert Staging(tmp_path / "execution").ledger.get("Slide/a.tif").columns == {"Patient": "q"}


@pytest.mark.parametrize("name", ["../x", "/no/such/file", "a/../../b", "a\nb", "x" * 300, "", "a\x00b"])
def test_a_hostile_name_is_refused(staging, tmp_path, name):
    """A new output stays in the execution's folder."""
    with pytest.raises(DerivaMLValidationError):
        staging.register("Image", name)
    assert not (tmp_path / "execution").exists()


@pytest.mark.parametrize("name", ["Größe 日本.png", "100% (1).png", "a b;c#d?.png"])
def test_unusual_names_are_kept(staging, name):
    """Unicode, blanks and characters that URLs reserve are ordinary."""
    path = staging.register("Image", name)
    path.write_text("x")

    assert [file.asset.file_name for file in staging.files()] == [name]


def test_the_same_name_again_is_the_same_output(staging):
    """A model that names its checkpoint each epoch has one output; the last registration's facts hold."""
    first = staging.register("Image", "a.png", Label="1")
    second = staging.register("Image", "a.png", Label="2")
    first.write_text("x")

    assert first == second
    assert [file.asset.columns for file in staging.pending()] == [{"Label": "2"}]


def test_two_files_under_one_name_are_refused(staging, tmp_path):
    """The second of two different files with one name would replace the first: it needs another name."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metrics.json").write_text(folder)
    staging.register("Image", tmp_path / "a" / "metrics.json")
    with pytest.raises(DerivaMLValidationError, match="rename_file"):
        staging.register("Image", tmp_path / "b" / "metrics.json")
    staging.register("Image", tmp_path / "b" / "metrics.json", rename_file="metrics-b.json")

    assert sorted(file.path.read_text() for file in staging.pending()) == ["a", "b"]


def test_folders_are_all_their_files(staging, tmp_path):
    """Every file of a registered folder is an output, also one that appears later; an existing folder is linked."""
    plots = staging.register("Image", "plots/")
    (plots / "late").mkdir()
    (plots / "late" / "a.png").write_text("a")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "b.png").write_text("b")
    staging.register("Image", tmp_path / "old")

    assert [file.asset.key for file in staging.pending()] == ["Image/plots/late/a.png", "Image/old/b.png"]


def test_a_new_output_may_become_a_folder(staging):
    """Many libraries save a model as a folder at the path that they are given: each of its files is an output."""
    model = staging.register("Image", "model", Label="m")
    model.mkdir()
    (model / "part").mkdir()
    (model / "part" / "weights.bin").write_text("w")
    (model / "config.json").write_text("c")

    assert [file.asset.key for file in staging.pending()] == ["Image/model/config.json", "Image/model/part/weights.bin"]
    assert [file.asset.columns for file in staging.pending()] == [{"Label": "m"}] * 2
    assert (staging.missing(), staging.unregistered()) == ([], [])


def test_what_is_staged_is_read_without_a_catalog(staging, tmp_path):
    """A later process finds the outputs of a dead one with the catalog away."""
    staging.register("Image", "a.png", description="d").write_text("x")
    staging.register("Image", "never.png")
    (tmp_path / "execution" / "assets" / "Image" / "stray.txt").write_text("x")
    other = Staging(tmp_path / "execution")

    assert [file.asset.description for file in other.pending()] == ["d"]
    assert [asset.key for asset in other.missing()] == ["Image/never.png"]
    assert [path.name for path in other.unregistered()] == ["stray.txt"]


def test_a_read_only_folder_is_told(image_session, tmp_path, read_only):
    """A folder that can't be written is one line."""
    read_only(tmp_path)
    with pytest.raises(WorkingFolderError, match="execution"):
        Staging(tmp_path / "execution", image_session).register("Image", "a.png")


def test_a_file_in_the_way_is_told(image_session, tmp_path):
    """A working folder that is a file is one line."""
    (tmp_path / "execution").write_text("")
    with pytest.raises(WorkingFolderError, match="execution"):
        Staging(tmp_path / "execution", image_session).register("Image", "a.png")

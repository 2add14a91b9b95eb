"""A bag as one joined table, as a tree of folders, and as what training frameworks take."""

import os
import pickle
import sys
from pathlib import Path

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets import adapters
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset
from deriva_ml_core.datasets.feature_records import FeatureRecord
from deriva_ml_core.datasets.feature_values import add_features
from deriva_ml_core.datasets.features import create_feature
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.errors import (
    DerivaMLDatasetNotFound,
    DerivaMLException,
    DerivaMLTableNotFound,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
)
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema, create_tables, create_vocabulary


@pytest.fixture
def clinic(ml_session, tmp_path):
    """
    Two subjects seen by two doctors each, five images of them; four have a grade, two of one execution, two of both.

    The dataset of all (Complete) has two nested ones: Training with the first three, Testing with the fourth.
    """
    session = ml_session
    create_domain_schema(session, "demo")
    doctor = TableDef("Doctor", (ColumnDef("Name", "text"),))
    keys = [patterns.foreign_key("Subject", name, "demo", "Doctor") for name in ("Treats", "Refers")]
    subject = TableDef(
        "Subject", (ColumnDef("Name", "text"), ColumnDef("Treats"), ColumnDef("Refers")), foreign_keys=tuple(keys)
    )
    create_tables(session, "demo", [doctor, subject])
    create_asset_table(session, "demo", "Image", columns=[ColumnDef("Eye")], references=[("demo", "Subject")])
    create_vocabulary(session, "demo", "Grade")
    for term in ("Good", "Bad"):
        session.vocabularies.add("Grade", term, term)
    add_element_type(session, "Image")
    add_element_type(session, "Subject")

    doctors = [row["RID"] for row in rows.insert(session, "Doctor", [{"Name": "Ada"}, {"Name": "Bob"}])]
    people = [{"Name": name, "Treats": doctors[0], "Refers": doctors[1]} for name in ("Cy", "Di")]
    subjects = [row["RID"] for row in rows.insert(session, "Subject", people)]
    executions = [
        rows.insert_one(session, "deriva-ml:Execution", Description=text, Status="Running")["RID"] for text in "ab"
    ]
    staging = Staging(tmp_path / "load", session)
    for number in range(5):
        path = staging.register(
            "Image", f"{number}.png", Eye="left" if number % 2 else None, Subject=subjects[number % 2]
        )
        path.write_bytes(b"image %d" % number)
    images = [path.asset_rid for path in upload_staged(session, staging, executions[0]).assets["demo/Image"]]
    feature = create_feature(session, "Image", "Quality", terms=["Grade"], metadata=[ColumnDef("Score", "int4")])
    record = feature.feature_record_class()
    add_features(session, [record(Image=rid, Grade="Good", Score=n) for n, rid in enumerate(images[:4])], executions[0])
    add_features(session, [record(Image=rid, Grade="Bad", Score=9) for rid in images[2:4]], executions[1])

    parts = []
    for kind, members in (("Training", images[:3]), ("Testing", images[3:4])):
        part = create_dataset(session, dataset_types=[kind])
        part.add_dataset_members({"Image": members})
        parts.append(part.dataset_rid)
    whole = create_dataset(session, dataset_types=["Complete"], cache_dir=tmp_path / "cache")
    whole.add_dataset_members({"Image": images, "Dataset": parts})
    return session, whole, images


@pytest.fixture
def bag(clinic, tmp_path):
    session, whole, _ = clinic
    return fetch_bag(session, DatasetSpec(rid=whole.dataset_rid), tmp_path / "cache")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_tables_are_joined_by_their_foreign_keys(bag, clinic):
    """Each image once, with its subject; columns say of which table they are."""
    images = clinic[2]

    frame = bag.denormalize_as_dataframe(["Image", "Subject"])

    assert list(frame["Image.RID"]) == sorted(images)
    assert dict(zip(frame["Image.RID"], frame["Subject.Name"], strict=True)) == dict(
        zip(images, ["Cy", "Di", "Cy", "Di", "Cy"], strict=True)
    )
    assert list(frame.columns)[:2] == ["Image.RID", "Image.URL"]
    assert "Subject.RCT" not in frame.columns
    assert all(Path(name).is_file() for name in frame["Image.Filename"])


def test_a_row_without_a_match_stays(bag, clinic):
    """Values of features come as rows; an image without one has None; the table between need not be named."""
    images = clinic[2]

    found = list(bag.denormalize_as_dict(["Image", "Grade"]))

    assert len(found) == 7
    assert {row["Grade.Name"] for row in found if row["Image.RID"] == images[4]} == {None}
    assert sorted(row["Grade.Name"] for row in found if row["Image.RID"] == images[3]) == ["Bad", "Good"]
    assert list(found[0]) == list(bag.denormalize_as_dataframe(["Image", "Grade"]).columns)


def test_a_nested_dataset_has_its_own_rows(bag, clinic):
    """The rows start at the members of the dataset that is asked, and of those nested in it."""
    images = clinic[2]
    (training,) = [child for child in bag.list_dataset_children() if child.dataset_types == ["Training"]]

    assert {row["Image.RID"] for row in training.denormalize_as_dict(["Image"])} == set(images[:3])
    assert [row["Subject.Name"] for row in training.denormalize_as_dict(["Subject"])] == ["Cy", "Di"]


def test_an_ambiguous_join_is_refused_with_the_choices(bag):
    """Nothing is guessed; a foreign key chooses."""
    with pytest.raises(DerivaMLValidationError, match=r"Subject\.Refers; Subject\.Treats") as caught:
        bag.denormalize_as_dict(["Subject", "Doctor"])

    assert "joins=" in str(caught.value)
    chosen = bag.denormalize_as_dict(["Subject", "Doctor"], joins=["Subject.Refers"])
    assert {row["Doctor.Name"] for row in chosen} == {"Bob"}
    assert {row["Doctor.Name"] for row in bag.denormalize_as_dict(["Image", "Doctor"], joins=["Subject.Treats"])} == {
        "Ada"
    }


def test_a_join_that_is_no_foreign_key_is_refused_with_the_nearest(bag):
    """A slip of the pen must not leave the choice to chance, where there happens to be one way."""
    with pytest.raises(DerivaMLValidationError, match=r"'Subject\.Refer' is no foreign key.*Subject\.Refers"):
        bag.denormalize_as_dict(["Image", "Subject"], joins=["Subject.Refer"])


def test_what_cannot_be_joined_is_refused(bag):
    """A table that is not there, nothing connected, no table, another version."""
    with pytest.raises(DerivaMLTableNotFound, match="'Subject'"):
        bag.denormalize_as_dict(["Image", "Subjekt"])
    with pytest.raises(DerivaMLValidationError, match="no foreign keys join Dataset_Version"):
        bag.denormalize_as_dict(["Image", "Dataset_Version"])
    with pytest.raises(DerivaMLValidationError, match="include_tables is empty"):
        bag.denormalize_as_dict([])
    with pytest.raises(DerivaMLDatasetNotFound):
        bag.denormalize_as_dict(["Image"], version="9.0.0")


def test_a_dataset_of_the_catalog_is_joined_too(clinic):
    """At its current version, without fetching files."""
    _, whole, images = clinic

    assert len(whole.denormalize_as_dataframe(["Image", "Subject"])) == len(images)
    assert {row["Subject.Name"] for row in whole.denormalize_as_dict(["Subject"], version="0.2.0")} == {"Cy", "Di"}


def test_files_are_put_into_folders(bag, tmp_path):
    """By type of the innermost dataset, then by column; what has no value is Unknown."""
    made = bag.restructure_assets(tmp_path / "out", group_by=["Eye"])

    assert made == tmp_path / "out"
    assert tree(made) == {
        "training/Unknown/0.png": b"image 0",
        "training/left/1.png": b"image 1",
        "training/Unknown/2.png": b"image 2",
        "testing/left/3.png": b"image 3",
        "complete/Unknown/4.png": b"image 4",
    }
    assert all(path.is_symlink() for path in made.rglob("*.png"))
    assert tree(bag.restructure_assets(tmp_path / "out", group_by=["Eye"])) == tree(made)


def test_files_of_the_same_name_stay_apart(clinic, tmp_path):
    """Each gets its RID before its name; nothing is overwritten."""
    session, whole, images = clinic
    rows.update(session, "Image", [{"RID": images[2], "Filename": "0.png"}])
    whole.increment_dataset_version("patch")
    bag = fetch_bag(session, DatasetSpec(rid=whole.dataset_rid), tmp_path / "cache")

    made = bag.restructure_assets(tmp_path / "out", "Image", ["Eye"])

    assert {path.name: path.read_bytes() for path in (made / "training" / "Unknown").iterdir()} == {
        f"{images[0]}_0.png": b"image 0",
        f"{images[2]}_0.png": b"image 2",
    }


def test_files_are_grouped_by_feature(bag, tmp_path):
    """Several values are never guessed: a selector chooses; copies are files of their own."""
    with pytest.raises(DerivaMLValidationError, match=r"several values of Quality: Good, Bad; .*value_selector"):
        bag.restructure_assets(tmp_path / "out", "Image", ["Quality"])
    assert not (tmp_path / "out").exists()

    made = bag.restructure_assets(
        tmp_path / "out",
        "Image",
        ["Quality"],
        use_symlinks=False,
        type_to_dir_map={"Training": "train", "Complete": "rest"},
        value_selector=FeatureRecord.select_newest,
    )

    assert sorted(tree(made)) == [
        "rest/Unknown/4.png",
        "testing/Bad/3.png",
        "train/Bad/2.png",
        "train/Good/0.png",
        "train/Good/1.png",
    ]
    assert not any(path.is_symlink() for path in made.rglob("*"))
    (made / "train/Good/0.png").write_bytes(b"mine")
    assert next(bag.get_table_as_dict("Image"))["Length"] == 7
    assert b"mine" not in {Path(row["Filename"]).read_bytes() for row in bag.get_table_as_dict("Image")}


def test_only_terms_are_folders_unless_told(bag, tmp_path):
    """The vocabulary check: a number makes a folder for each value only where that is wanted."""
    with pytest.raises(DerivaMLValidationError, match=r"Quality\.Score are no terms .* enforce_vocabulary=False"):
        bag.restructure_assets(tmp_path / "out", group_by=["Quality.Score"])
    with pytest.raises(DerivaMLValidationError, match=r"Quality\.Grade, Quality\.Score"):
        bag.restructure_assets(tmp_path / "out", group_by=["Quality"], enforce_vocabulary=False)

    made = bag.restructure_assets(
        tmp_path / "out",
        group_by=["Quality.Score"],
        enforce_vocabulary=False,
        value_selector=FeatureRecord.select_first,
        type_selector=lambda types: "All",
    )

    assert sorted(tree(made)) == [f"all/{folder}/{number}.png" for number, folder in enumerate("0123")] + [
        "all/Unknown/4.png"
    ]


def test_wrong_requests_make_nothing(bag, clinic, tmp_path):
    """An unknown group, a table without files, files that were not fetched."""
    session, whole, _ = clinic
    for arguments, kind, told in (
        ({"group_by": ["Qualty"]}, DerivaMLValidationError, "did you mean 'Quality'"),
        ({"asset_table": "Subject"}, DerivaMLTableTypeError, "not an asset table"),
        ({"asset_table": "Imagee"}, DerivaMLTableNotFound, "'Image'"),
    ):
        with pytest.raises(kind, match=told):
            bag.restructure_assets(tmp_path / "out", **arguments)
    bare = fetch_bag(session, DatasetSpec(rid=whole.dataset_rid, materialize=False), tmp_path / "other")
    with pytest.raises(DerivaMLException, match="materialize=True"):
        bare.restructure_assets(tmp_path / "out")
    with pytest.raises(DerivaMLException, match="materialize=True"):
        bare.as_samples()
    assert not (tmp_path / "out").exists()


def test_a_selector_that_chooses_no_type_is_told(bag, tmp_path):
    """A function without a return, say; nothing is made."""
    with pytest.raises(DerivaMLValidationError, match="type_selector gave None for "):
        bag.restructure_assets(tmp_path / "out", type_selector=lambda types: None)

    assert not (tmp_path / "out").exists()


def test_a_bag_is_a_sequence_of_samples(bag, clinic):
    """As DataLoader takes one: file and label by number, through the model's own functions."""
    images = clinic[2]
    samples = bag.as_samples(
        "Image",
        "Quality.Grade",
        value_selector=FeatureRecord.select_first,
        loader=Path.read_bytes,
        transform=len,
        target_transform=str,
    )

    assert samples.rids == sorted(images)
    assert len(samples) == 5
    assert list(samples) == [(7, "Good")] * 4 + [(7, "None")]
    assert bag.as_samples()[0] == (samples.paths[0], None)
    scores = bag.as_samples("Image", "Quality.Score", value_selector=FeatureRecord.select_first).labels
    assert {type(score) for score in scores if score is not None} == {int}
    with pytest.raises(DerivaMLValidationError, match=r"^label: 'Qualty' is neither .* did you mean 'Quality'"):
        bag.as_samples("Image", "Qualty")


def test_joined_tables_are_arrays(bag):
    """One array for each column, in the same order."""
    arrays = bag.as_numpy(["Image", "Subject"])

    assert arrays["Image.Length"].tolist() == [7] * 5
    assert sorted(arrays["Subject.Name"].tolist()) == ["Cy", "Cy", "Cy", "Di", "Di"]


@pytest.fixture
def torch_data():
    """PyTorch is as large as all the rest together, so only `nox -s torch` installs it."""
    return pytest.importorskip("torch.utils.data", reason="needs PyTorch: `nox -s torch` installs it and runs this")


def test_a_missing_framework_is_told(bag, monkeypatch):
    """With the command that installs it; nothing else of the bag needs it."""
    monkeypatch.setitem(sys.modules, "torch.utils.data", None)  # as of a machine without it: its import fails
    adapters._torch_class.cache_clear()

    with pytest.raises(DerivaMLException, match="uv add torch"):
        bag.as_torch_dataset()


def test_a_torch_dataset_feeds_a_loader(bag, torch_data):
    """It is one of torch's own."""
    made = bag.as_torch_dataset("Image", "Eye", transform=str)

    assert isinstance(made, torch_data.Dataset)
    assert len(list(torch_data.DataLoader(made, batch_size=None))) == 5


def test_a_torch_dataset_goes_to_workers(bag, torch_data):
    """A loader with worker processes pickles it: file by file, in batches."""
    import torch

    made = bag.as_torch_dataset("Image", "Eye", loader=os.path.getsize, target_transform=str)
    again = pickle.loads(pickle.dumps(made))
    batches = list(torch_data.DataLoader(made, batch_size=2, num_workers=1, multiprocessing_context="spawn"))

    assert list(again) == list(made)
    assert torch.cat([sizes for sizes, _ in batches]).tolist() == [7] * 5
    assert [label for _, labels in batches for label in labels] == [label for _, label in made]


def test_joined_tables_are_a_dataset_of_hugging_face(bag):
    """One column for each, in the same order as the arrays."""
    import datasets as library

    made = bag.as_hf_dataset(["Image", "Subject"])

    assert isinstance(made, library.Dataset)
    assert made["Image.RID"][:] == bag.as_numpy(["Image", "Subject"])["Image.RID"].tolist()
    assert set(made["Image.Length"]) == {7}

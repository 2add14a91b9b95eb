"""Bags in a real S3-compatible server (moto's): here, since this environment has boto3."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from bdbag import bdbag_api
from identifier_service import identifier_service, log_in

from deriva_ml import CatalogUnreachable, DatasetBag, DerivaMLException, DerivaMLValidationError


@pytest.fixture
def dataset(deriva_catalog, deriva_execution):
    """Version 0.2.0 of a dataset of one file, which is in the bucket too, and the handle that it was opened by."""
    deriva_catalog.add_dataset_element_type("Execution_Asset")
    deriva_execution.asset_file_path("Execution_Asset", "a.txt").write_text("content")
    deriva_execution.commit_output_assets()
    (asset,) = deriva_catalog.list_assets("Execution_Asset")
    assert asset.url.startswith("s3://")
    made = deriva_catalog.create_dataset(description="one file")
    made.add_dataset_members([asset.asset_rid])
    return deriva_catalog, made


def keys(bucket):
    return [one["Key"] for one in bucket.list_objects_v2(Bucket="outputs", Prefix="bags/").get("Contents", ())]


def test_a_bag_is_stored_once_and_is_a_bag(dataset, bucket, caplog, tmp_path):
    """A zip that any tool can read; the words say where it is, and why it has no MINID."""
    ml, made = dataset
    ml.s3_bucket = "s3://outputs/bags/"
    bag = made.download_dataset_bag("0.2.0", use_minid=True)

    (key,) = [key for key in keys(bucket) if key.endswith(".zip")]
    assert key == f"bags/{bag.checksum}/{bag.path.name}.zip"
    assert f"stored at s3://outputs/{key}; it has no MINID: no login for the identifier service" in caplog.text
    stored = bucket.get_object(Bucket="outputs", Key=key)
    zipfile.ZipFile(io.BytesIO(stored["Body"].read())).extractall(tmp_path / "else")
    bdbag_api.validate_bag(str(tmp_path / "else" / bag.path.name))
    (row,) = DatasetBag(tmp_path / "else" / bag.path.name).get_table_as_dict("Execution_Asset")
    assert Path(row["Filename"]).read_text() == "content"

    ml.use_minid = True
    ml.download_dataset_bag(f"{made.dataset_rid}@0.2.0")
    assert bucket.head_object(Bucket="outputs", Key=key)["LastModified"] == stored["LastModified"]
    made.download_dataset_bag("0.1.0", use_minid=True)
    assert len(keys(bucket)) == 4  # an archive and an index of each version


def test_a_stored_bag_gets_one_minid(dataset, bucket, monkeypatch, caplog, tmp_path):
    """It leads to the archive, the version's row has it, and whoever stores the same bag again makes no second one."""
    ml, made = dataset
    ml.s3_bucket = "s3://outputs/bags"
    monkeypatch.setenv("HOME", str(tmp_path))
    log_in(tmp_path)
    with identifier_service() as service:
        monkeypatch.setenv("DERIVA_ML_MINID_NAMESPACE", service.namespace)
        bag = made.download_dataset_bag("0.2.0", use_minid=True)
        made.download_dataset_bag("0.2.0", materialize=False, use_minid=True)  # the files are there nevertheless

        (asked,) = service.registered
        key = stored(bucket, ".zip")
        data = bucket.get_object(Bucket="outputs", Key=key)["Body"].read()
        assert asked["location"] == [f"s3://outputs/bags/{bag.checksum}/{bag.path.name}.zip"]
        assert asked["checksums"] == [{"function": "sha256", "value": hashlib.sha256(data).hexdigest()}]
        assert asked["metadata"]["length"] == len(data)
        assert [entry.minid for entry in made.dataset_history()] == [None, "hdl:20.500.1/0"]
        service.answer = (500, {"message": "out of names"})
        made.download_dataset_bag("0.1.0", use_minid=True)
    assert [entry.minid for entry in made.dataset_history()] == [None, "hdl:20.500.1/0"]
    assert "it has no MINID: 127.0.0.1 refused it: 500 out of names" in caplog.text


def stored(bucket, ending):
    (key,) = [key for key in keys(bucket) if key.endswith(ending)]
    return key


@pytest.fixture
def elsewhere(dataset, tmp_path):
    """A dataset whose bag is stored, and the same dataset on another machine, whose cache is empty."""
    ml, made = dataset
    ml.s3_bucket = "s3://outputs/bags"
    first = made.download_dataset_bag("0.2.0", use_minid=True)
    other = ml.lookup_dataset(made.dataset_rid)
    other.cache_dir = tmp_path / "elsewhere"
    return first, other


def test_another_machine_reads_the_stored_bag(elsewhere, bucket, monkeypatch):
    """Verified, with its files; nothing is exported, and the cache has it from then on."""
    first, other = elsewhere
    monkeypatch.delattr("deriva_ml_core.datasets.cache.export_payload")  # who exports, fails
    bag = other.download_dataset_bag("0.2.0", use_minid=True)

    assert bag.path != first.path
    assert bag.checksum == first.checksum
    bdbag_api.validate_bag(str(bag.path))
    (row,) = bag.get_table_as_dict("Execution_Asset")
    assert Path(row["Filename"]).read_text() == "content"
    bucket.delete_object(Bucket="outputs", Key=stored(bucket, ".zip"))
    assert other.download_dataset_bag("0.2.0").path == bag.path


def rewritten(data, change):
    """The archive with one of its files changed, added or taken away."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    change(entries, next(iter(entries)).partition("/")[0])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda files, top: files.update({f"{top}/data/deriva-ml/Dataset.csv": b"RID"}), "Dataset.csv is not what"),
        (lambda files, top: files.update({f"{top}/manifest-md5.txt": b""}), "not the manifest"),
        (
            lambda files, top: files.update({f"{top}/bag-info.txt": b"External-Identifier: 1-X"}),
            "bag of something else",
        ),
        (lambda files, top: files.update({f"{top}/../../stranger": b"x"}), "no file of a bag"),
        (lambda files, top: files.update({f"{top}/data/more.csv": b"x"}), "more.csv is not in the bag's manifest"),
        (lambda files, top: files.pop(f"{top}/data/schema.json"), "schema.json is not what"),
        (None, "not what was stored"),
    ],
)
def test_a_stored_bag_that_was_changed_is_never_used(elsewhere, bucket, caplog, change, told):
    """It is exported anew, with a word that says why, and stored in its place."""
    first, other = elsewhere
    key = stored(bucket, ".zip")
    data = bucket.get_object(Bucket="outputs", Key=key)["Body"].read()
    bad = b"no archive" if change is None else rewritten(data, change)
    bucket.put_object(Bucket="outputs", Key=key, Body=bad, Metadata={"md5": "0" * 32})
    bag = other.download_dataset_bag("0.2.0", use_minid=True)

    assert told in caplog.text
    assert f"dataset {other.dataset_rid}@0.2.0 is exported from the catalog" in caplog.text
    assert bag.checksum == first.checksum
    assert bucket.get_object(Bucket="outputs", Key=key)["Body"].read() == data


def test_a_bag_without_files_is_another_archive(dataset, bucket, tmp_path):
    """It never takes the place of the whole one; who wants the files gets those from the catalog."""
    ml, made = dataset
    ml.s3_bucket = "s3://outputs/bags"
    made.download_dataset_bag("0.2.0", materialize=False, use_minid=True)
    other = ml.lookup_dataset(made.dataset_rid)
    other.cache_dir = tmp_path / "elsewhere"
    (row,) = other.download_dataset_bag("0.2.0", use_minid=True).get_table_as_dict("Execution_Asset")

    assert Path(row["Filename"]).read_text() == "content"
    assert sorted(Path(key).name for key in keys(bucket) if key.endswith(".zip")) == [
        f"Dataset_{made.dataset_rid}-no-files.zip",
        f"Dataset_{made.dataset_rid}.zip",
    ]


def test_a_store_that_refuses_or_is_away_is_told(dataset, monkeypatch):
    """With the address; the bag itself has come, and comes from the cache the next time."""
    ml, made = dataset
    for bucket, error, told in (
        ("s3://no-such-bucket", DerivaMLException, "s3://no-such-bucket/.*(404|NoSuchBucket|bucket does not exist)"),
        ("https://host/x", DerivaMLValidationError, "give s3://BUCKET"),
    ):
        ml.s3_bucket = bucket
        with pytest.raises(error, match=told):
            made.download_dataset_bag("0.2.0", use_minid=True)
    ml.s3_bucket = "s3://outputs"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(CatalogUnreachable, match="not stored at s3://outputs/"):
        made.download_dataset_bag("0.2.0", use_minid=True)

    assert made.download_dataset_bag("0.2.0").dataset_rid == made.dataset_rid

"""Bags in a real S3-compatible server (moto's): here, since this environment has boto3."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from bdbag import bdbag_api

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
    """A zip that any tool can read; the words say where it is, and that it has no MINID."""
    ml, made = dataset
    ml.s3_bucket = "s3://outputs/bags/"
    bag = made.download_dataset_bag("0.2.0", use_minid=True)

    (key,) = keys(bucket)
    assert key == f"bags/{bag.checksum}/{bag.path.name}.zip"
    assert f"stored at s3://outputs/{key}; it has no MINID" in caplog.text
    stored = bucket.get_object(Bucket="outputs", Key=key)
    zipfile.ZipFile(io.BytesIO(stored["Body"].read())).extractall(tmp_path / "else")
    bdbag_api.validate_bag(str(tmp_path / "else" / bag.path.name))
    (row,) = DatasetBag(tmp_path / "else" / bag.path.name).get_table_as_dict("Execution_Asset")
    assert Path(row["Filename"]).read_text() == "content"

    ml.use_minid = True
    ml.download_dataset_bag(f"{made.dataset_rid}@0.2.0")
    assert bucket.head_object(Bucket="outputs", Key=key)["LastModified"] == stored["LastModified"]
    made.download_dataset_bag("0.1.0", use_minid=True)
    assert len(keys(bucket)) == 2


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

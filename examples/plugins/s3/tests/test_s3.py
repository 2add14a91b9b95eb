"""The handler against a real S3-compatible server (moto's), and against the contract that every handler keeps."""

from __future__ import annotations

import deriva_ml_s3
import pytest

from deriva_ml.plugins import OutputFile, Transfer
from deriva_ml.testing import AssetHandlerSuite

BUCKET = "outputs"


class TestS3(AssetHandlerSuite):
    handler = deriva_ml_s3


def test_it_is_found_by_its_entry_point(deriva_catalog):
    """Installing is all that a user does."""
    info = next(info for info in deriva_catalog.plugins.infos if info.name == "s3")

    assert (info.source, info.status, info.distribution) == ("entry point", "active", "deriva-ml-example-s3")


def test_a_run_stores_its_outputs_in_the_bucket(deriva_execution, bucket):
    """The row says where; metadata stays with the catalog."""
    deriva_execution.asset_file_path("Execution_Asset", "model.pt").write_bytes(b"weights")
    deriva_execution.commit_output_assets()

    keys = [one["Key"] for one in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert [key.rpartition(".")[0].partition(".")[2] for key in keys] == ["model"]
    assert keys[0].startswith("runs/Execution_Asset/")


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file of three parts, and how to send it."""
    monkeypatch.setattr(deriva_ml_s3, "IN_PARTS_FROM_BYTES", 1)
    path = tmp_path / "large.bin"
    path.write_bytes(b"a" * deriva_ml_s3.SMALLEST_PART_BYTES * 2 + b"end")
    md5 = "0123456789abcdef0123456789abcdef"
    return OutputFile(path, "demo", "Image", "large.bin", path.stat().st_size, "1-TEST", md5)


def test_a_large_file_goes_on_at_its_last_part(large, tmp_path, bucket, monkeypatch):
    """Interrupted after the first part, the second call sends the other two."""
    sent = []
    ask = deriva_ml_s3._asked

    def failing(operation, *place, **more):
        if operation == "upload_part":
            sent.append(more["PartNumber"])
            if sent == [1, 2]:
                raise KeyboardInterrupt
        return ask(operation, *place, **more)

    monkeypatch.setattr(deriva_ml_s3, "_asked", failing)
    transfer = Transfer(lambda size: None, tmp_path / "resume.json")
    with pytest.raises(KeyboardInterrupt):
        deriva_ml_s3.deriva_store_asset(large, transfer)

    stored = deriva_ml_s3.deriva_store_asset(large, transfer)

    assert sent == [1, 2, 2, 3]
    key = stored.url.removeprefix(f"s3://{BUCKET}/")
    assert bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read() == large.path.read_bytes()
    assert not transfer.resume_file.exists()

"""
Bags in an S3 bucket, for people who have no login for the catalog: one zip file for each.

    s3://BUCKET/PREFIX/<checksum of the bag>/Dataset_<RID>.zip

The same bag gives the same bytes, so that it is stored once. A bag without its files (materialize=False) is another
archive, whose readers fetch them from the catalog. boto3 does the talking, with its own settings (AWS_PROFILE,
AWS_ENDPOINT_URL_S3 for another store than Amazon's, …); it is loaded for nobody else.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLException, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can hold


def store_bag(bag: DatasetBag, s3_bucket: str) -> str:
    """
    Put a bag into a bucket, unless it is there; its address.

    Args:
        s3_bucket: "s3://BUCKET", "s3://BUCKET/PREFIX" or "BUCKET".

    Raises:
        DerivaMLValidationError: `s3_bucket` names none.
        DerivaMLException: boto3 is not installed, or the store refuses. CatalogUnreachable: it does not answer.
    """
    bucket, prefix = _place(s3_bucket)
    with tempfile.TemporaryDirectory(prefix="deriva-ml-") as folder:
        archive = Path(folder, f"{bag.path.name}.zip")
        _archive(bag.path, archive)
        key = f"{prefix}{bag.checksum}/{archive.name}"
        address = f"s3://{bucket}/{key}"
        _send(archive, bucket, key, address)
    return address


def _place(s3_bucket: str) -> tuple[str, str]:
    parts = urlsplit(s3_bucket if "://" in s3_bucket else f"s3://{s3_bucket}")
    if parts.scheme != "s3" or not parts.netloc:
        raise DerivaMLValidationError(f"s3_bucket is {s3_bucket!r}: give s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def _archive(bag: Path, archive: Path) -> None:
    """The same bag as the same bytes: in order, without times and owners."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(path for path in bag.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{bag.name}/{path.relative_to(bag).as_posix()}", _EARLIEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with path.open("rb") as source, file.open(entry, "w", force_zip64=True) as target:
                while block := source.read(2**20):
                    target.write(block)


def _send(archive: Path, bucket: str, key: str, address: str) -> None:
    try:
        import boto3
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError
    except ImportError as err:
        raise DerivaMLException("storing bags in S3 needs boto3: type `uv add boto3`") from err
    try:
        s3 = boto3.client("s3")
        md5 = objects.file_md5(archive)
        if not _is_there(s3, bucket, key, md5):
            s3.upload_file(str(archive), bucket, key, ExtraArgs={"Metadata": {"md5": md5}})
    except (EndpointConnectionError, HTTPClientError) as err:
        raise CatalogUnreachable(f"the bag is not stored at {address}: {err}", url=address) from err
    except (BotoCoreError, ClientError, S3UploadFailedError) as err:
        raise DerivaMLException(f"the bag is not stored at {address}: {err}") from err


def _is_there(s3: Any, bucket: str, key: str, md5: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        return bool(s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("md5") == md5)
    except ClientError as err:
        if err.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return False
        raise

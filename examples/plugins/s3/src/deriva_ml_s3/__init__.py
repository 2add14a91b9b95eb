"""
Outputs into an S3 bucket, inputs from any s3:// URL.

    DERIVA_S3_BUCKET     where outputs go; without it nothing is stored, and inputs are still fetched
    DERIVA_S3_PREFIX     before every key
    AWS_…                as boto3 reads them: AWS_ENDPOINT_URL_S3 for another store than Amazon's, AWS_PROFILE, …

An object is s3://BUCKET/PREFIX/TABLE/MD5.NAME, so the same bytes under the same name are one object. Metadata files
stay in the catalog's own store, where people look for them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from deriva_ml import CatalogUnreachable
from deriva_ml.plugins import AssetRef, Claim, Fetched, OutputFile, Progress, StoredObject, Transfer, hookimpl

BLOCK_BYTES = 2**20
SMALLEST_PART_BYTES = 5 * 2**20  # S3 takes no smaller ones, but for the last
IN_PARTS_FROM_BYTES = 64 * 2**20


@functools.cache
def client() -> Any:
    """boto3's client, which is safe in threads; boto3 takes a second to import, so not before it is needed."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(retries={"max_attempts": 5, "mode": "standard"}, max_pool_connections=32))


@hookimpl
def deriva_claim_assets() -> list[Claim]:
    """With it, an input of a scheme that nobody fetches is refused at the start; outputs of any table may be ours."""
    return [Claim(schemes=("s3",))]


@hookimpl
def deriva_fetch_asset(asset: AssetRef, target: Path, progress: Progress) -> Fetched | None:
    """Fetch s3://bucket/key, hashed on the way."""
    if asset.scheme != "s3":
        return None
    parts = urlsplit(asset.url.replace("#", "%23").replace("?", "%3F"))
    answer = _asked("get_object", parts.netloc, unquote(parts.path.lstrip("/")))
    md5 = hashlib.md5(usedforsecurity=False)
    beside = target.with_name(f".{os.getpid()}.{md5.name}.{target.name[:100]}.part")
    try:
        with beside.open("wb") as file:
            for block in answer["Body"].iter_chunks(BLOCK_BYTES):
                file.write(block)
                md5.update(block)
                progress(len(block))
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return Fetched(target, md5.hexdigest())


@hookimpl
def deriva_store_asset(output: OutputFile, transfer: Transfer) -> StoredObject | None:
    """Store an output, unless the bucket has it."""
    bucket = os.environ.get("DERIVA_S3_BUCKET")
    if not bucket or output.table == "Execution_Metadata":
        return None
    key = f"{os.environ.get('DERIVA_S3_PREFIX', '')}{output.table}/{output.md5}.{output.file_name}"
    if _is_there(bucket, key, output):
        transfer.progress(output.size_bytes)
    elif output.size_bytes < IN_PARTS_FROM_BYTES:
        content = output.path.read_bytes()
        _asked("put_object", bucket, key, Body=content, **_about(output), ContentMD5=_base64(content))
        transfer.progress(len(content))
    else:
        _send_in_parts(bucket, key, output, transfer)
    return StoredObject(f"s3://{bucket}/{quote(key)}", output.size_bytes, output.md5)


def _send_in_parts(bucket: str, key: str, output: OutputFile, transfer: Transfer) -> None:
    """Parts that were accepted before this process are not sent again: the upload's id is in the resume file."""
    size = max(transfer.chunk_bytes or 0, SMALLEST_PART_BYTES, -(-output.size_bytes // 10_000))
    upload, done = _begun(bucket, key, output, transfer.resume_file, size)
    with output.path.open("rb") as file:
        for number, offset in enumerate(range(0, output.size_bytes, size), start=1):
            if number not in done:
                file.seek(offset)
                content = file.read(size)
                about = {"UploadId": upload, "PartNumber": number, "ContentMD5": _base64(content)}
                done[number] = _asked("upload_part", bucket, key, Body=content, **about)["ETag"]
            transfer.progress(min(size, output.size_bytes - offset))
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(done.items())]
    _asked("complete_multipart_upload", bucket, key, UploadId=upload, MultipartUpload={"Parts": parts})
    transfer.resume_file.unlink(missing_ok=True)


def _begun(bucket: str, key: str, output: OutputFile, resume_file: Path, size: int) -> tuple[str, dict[int, str]]:
    """The upload to go on with and the ETags of its parts, or a new one."""
    from botocore.exceptions import ClientError

    try:
        known = json.loads(resume_file.read_text())
        if known["size"] == size:
            pages = client().get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=known["upload"])
            return known["upload"], {
                part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", ())
            }
    except (OSError, ValueError, KeyError, ClientError):  # nothing kept, or the store has forgotten the upload
        pass
    upload = str(_asked("create_multipart_upload", bucket, key, **_about(output))["UploadId"])
    resume_file.parent.mkdir(parents=True, exist_ok=True)
    resume_file.write_text(json.dumps({"upload": upload, "size": size}))
    return upload, {}


def _is_there(bucket: str, key: str, output: OutputFile) -> bool:
    try:
        found = _asked("head_object", bucket, key)
    except FileNotFoundError:
        return False
    return bool((found["ContentLength"], found["Metadata"].get("md5")) == (output.size_bytes, output.md5))


def _about(output: OutputFile) -> dict[str, Any]:
    return {"ContentType": output.content_type, "Metadata": {"md5": output.md5, "execution": output.execution_rid}}


def _asked(operation: str, bucket: str, key: str, **more: Any) -> Any:
    """
    One request.

    Raises:
        FileNotFoundError: no such object. CatalogUnreachable: no answer; deriva-ml tries such an output again.
    """
    from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

    try:
        return getattr(client(), operation)(Bucket=bucket, Key=key, **more)
    except ClientError as err:
        if err.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchBucket"):
            raise FileNotFoundError(f"s3://{bucket}/{key} is not there") from err
        raise
    except (EndpointConnectionError, HTTPClientError) as err:
        raise CatalogUnreachable(f"s3://{bucket}: {err}") from err


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()

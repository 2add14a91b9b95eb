"""
Bags in an S3 bucket, for machines and people that the catalog would serve more slowly or not at all.

    s3://BUCKET/PREFIX/<key>.json                                        which bag a dataset at a version is, and MINIDs
    s3://BUCKET/PREFIX/<checksum of the bag>/Dataset_<RID>.zip           the bag
    s3://BUCKET/PREFIX/<checksum of the bag>/Dataset_<RID>-no-files.zip  the same without its files (materialize=False)

The key says all that decides a bag's content (cache.bag_key). The same bag gives the same bytes, so that it is stored
once. What is read is checked like a bag of the cache: the checksum of its manifest, each file's, and whose version it
says it is. Whoever may write into the bucket is believed as to the rows. boto3 does the talking, with its own settings
(AWS_PROFILE, AWS_ENDPOINT_URL_S3 for another store than Amazon's, …); it is loaded for nobody else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deriva_ml_core.assets.cache import is_right, mark_verified, require_space
from deriva_ml_core.catalog import objects
from deriva_ml_core.datasets.layout import BAG_INFO, DECLARATION, FETCH, MANIFEST, TAG_MANIFEST, read_info, read_payload
from deriva_ml_core.errors import CatalogUnreachable, ChecksumMismatch, DerivaMLException, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can hold
_TAGS = (BAG_INFO, DECLARATION, FETCH, MANIFEST, TAG_MANIFEST)
_ABSENT = ("404", "NoSuchKey")


@dataclass(frozen=True, slots=True)
class StoredBag:
    """A bag that was brought from a bucket: from where, its checksum, and rows by "schema/Table"."""

    address: str
    checksum: str
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Archive:
    """A bag that was stored: where, its checksum and size, and its MINID where it has one."""

    address: str
    sha256: str
    size_bytes: int
    minid: str | None = None


class BagStore:
    """
    The bags of a bucket.

    Args:
        s3_bucket: "s3://BUCKET", "s3://BUCKET/PREFIX" or "BUCKET".

    Raises:
        DerivaMLValidationError: `s3_bucket` names none.
    """

    def __init__(self, s3_bucket: str) -> None:
        parts = urlsplit(s3_bucket if "://" in s3_bucket else f"s3://{s3_bucket}")
        if parts.scheme != "s3" or not parts.netloc:
            raise DerivaMLValidationError(f"s3_bucket is {s3_bucket!r}: give s3://BUCKET or s3://BUCKET/PREFIX")
        prefix = parts.path.strip("/")
        self._bucket, self._prefix = parts.netloc, f"{prefix}/" if prefix else ""

    def put(self, bag: DatasetBag, key: str, rows: Mapping[str, int], *, whole: bool) -> Archive:
        """
        Store a bag, unless it is there.

        Args:
            whole: it has its files.

        Raises:
            DerivaMLException: boto3 is not installed, or the store refuses. CatalogUnreachable: it does not answer.
        """
        name = self._archive_name(bag.checksum, bag.path.name, whole=whole)
        with tempfile.TemporaryDirectory(prefix="deriva-ml-") as folder, self._errors(name, "stored at"):
            archive = Path(folder, "bag.zip")
            _archive(bag.path, archive)
            md5 = objects.file_md5(archive)
            if self._head(name).get("md5") != md5:
                self._s3.upload_file(str(archive), self._bucket, name, ExtraArgs={"Metadata": {"md5": md5}})
            with archive.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = archive.stat().st_size
            minids = _minids(self._index(key))
            self._write_index(key, {"checksum": bag.checksum, "rows": dict(sorted(rows.items())), "minids": minids})
        return Archive(self._address(name), sha256, size_bytes, minids.get(sha256))

    def note_minid(self, key: str, archive: Archive, minid: str) -> None:
        """
        Keep the MINID of a bag that was stored, so that it gets no second one.

        Raises:
            DerivaMLException: the store refuses. CatalogUnreachable: it does not answer.
        """
        with self._errors(self._index_name(key), "noted at"):
            index = self._index(key)
            self._write_index(key, {**index, "minids": {**_minids(index), archive.sha256: minid}})

    def get(self, key: str, bag_name: str, folder: Path, info: Mapping[str, str], *, whole: bool) -> StoredBag | None:
        """
        Bring a bag into a folder, verified; None where the bucket has none of this key.

        Args:
            bag_name: of its folder in the archive.
            folder: is empty.
            info: lines that its bag-info.txt must have: whose version it is.
            whole: with its files, where it was stored with them.

        Raises:
            ChecksumMismatch: it is not what it should be. WorkingFolderError: no room for it.
            DerivaMLException: boto3 is not installed, or the store refuses. CatalogUnreachable: it does not answer.
        """
        with self._errors(self._index_name(key), "had from"):
            if (index := self._read(self._index_name(key))) is None:
                return None
            document = json.loads(index)
            checksum = str(document["checksum"])
            rows = {str(table): int(number) for table, number in document["rows"].items()}
            for with_files in (whole, not whole):
                name = self._archive_name(checksum, bag_name, whole=with_files)
                if self._head(name):
                    break
            else:
                return None
            with tempfile.TemporaryDirectory(prefix="deriva-ml-") as beside:
                archive = Path(beside, "bag.zip")
                self._s3.download_file(self._bucket, name, str(archive))
                _unpack(archive, bag_name, folder)
        _verify(folder, checksum, info)
        return StoredBag(self._address(name), checksum, rows)

    # --- inside ---

    def _index_name(self, key: str) -> str:
        return f"{self._prefix}{key}.json"

    def _write_index(self, key: str, document: Mapping[str, Any]) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=self._index_name(key), Body=json.dumps(document).encode())

    def _index(self, key: str) -> dict[str, Any]:
        """Empty where there is none, or what is there is none."""
        try:
            found = json.loads(self._read(self._index_name(key)) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _archive_name(self, checksum: str, bag_name: str, *, whole: bool) -> str:
        return f"{self._prefix}{checksum}/{bag_name}{'' if whole else '-no-files'}.zip"

    def _address(self, name: str) -> str:
        return f"s3://{self._bucket}/{name}"

    @cached_property
    def _s3(self) -> Any:
        try:
            import boto3
        except ImportError as err:
            raise DerivaMLException("bags in S3 need boto3: type `uv add boto3`") from err
        return boto3.client("s3")

    def _head(self, name: str) -> dict[str, str]:
        """What is kept beside an object; empty where there is no such object."""
        from botocore.exceptions import ClientError

        try:
            metadata: dict[str, str] = self._s3.head_object(Bucket=self._bucket, Key=name)["Metadata"]
        except ClientError as err:
            if err.response["Error"]["Code"] in _ABSENT:
                return {}
            raise
        return metadata or {"md5": ""}

    def _read(self, name: str) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        except ClientError as err:
            if err.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        return body

    @contextmanager
    def _errors(self, name: str, what: str) -> Iterator[None]:
        """What the store, the disk and the archive say, with the address."""
        self._s3  # noqa: B018  # boto3 is there, or this says that it is not
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

        address = self._address(name)
        try:
            yield
        except (EndpointConnectionError, HTTPClientError) as err:
            raise CatalogUnreachable(f"the bag is not {what} {address}: {err}", url=address) from err
        except (BotoCoreError, ClientError, Boto3Error) as err:
            raise DerivaMLException(f"the bag is not {what} {address}: {err}") from err
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as err:
            raise ChecksumMismatch(f"the bag is not {what} {address}: what is there is not what was stored") from err


def _archive(bag: Path, archive: Path) -> None:
    """The same bag as the same bytes: in order, without times and owners."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(path for path in bag.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{bag.name}/{path.relative_to(bag).as_posix()}", _EARLIEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with path.open("rb") as source, file.open(entry, "w", force_zip64=True) as target:
                while block := source.read(2**20):
                    target.write(block)


def _unpack(archive: Path, bag_name: str, folder: Path) -> None:
    """The archive's files below `folder`; one that would lie elsewhere is none of a bag."""
    with zipfile.ZipFile(archive) as file:
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
        require_space(folder, sum(entry.file_size for entry in entries))
        for entry in entries:
            top, *inside = PurePosixPath(entry.filename).parts
            if top != bag_name or not inside or ".." in inside or "\\" in entry.filename:
                raise ChecksumMismatch(f"{entry.filename!r} is no file of a bag")
            target = folder.joinpath(*inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open(entry) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, 2**20)


def _minids(index: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of an archive -> its MINID."""
    found = index.get("minids")
    return {str(sha256): str(minid) for sha256, minid in found.items()} if isinstance(found, dict) else {}


def _verify(folder: Path, checksum: str, info: Mapping[str, str]) -> None:
    """
    A bag that somebody else has written is this version's, has what its manifest says, and no more.

    Raises:
        ChecksumMismatch: it is not.
    """
    try:
        payload = read_payload(folder, checksum)
        said = read_info(folder)
    except OSError as err:
        raise ChecksumMismatch(f"the bag has no {Path(str(err.filename)).name}") from err
    if others := {name: said.get(name) for name, value in info.items() if said.get(name) != value}:
        raise ChecksumMismatch(f"it is the bag of something else: {others}")
    listed = {folder / file.path for file in payload}
    for file in payload:
        path = folder / file.path
        there = path.exists()
        if not is_right(path, file.md5, None) and (there or file.url is None):
            raise ChecksumMismatch(f"{file.path} is not what the bag's manifest says")
        if there:
            mark_verified(path)
    for path in folder.rglob("*"):
        if path.is_file() and path not in listed and path.relative_to(folder).as_posix() not in _TAGS:
            raise ChecksumMismatch(f"{path.relative_to(folder).as_posix()} is not in the bag's manifest")

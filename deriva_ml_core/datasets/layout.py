"""Where things are in a bag, and how its BagIt files are written.

    bagit.txt  bag-info.txt  fetch.txt  manifest-md5.txt  tagmanifest-md5.txt
    data/schema.json                          the exported tables, in ERMrest's form
    data/<schema>/<Table>.csv                 their rows, sorted by RID
    data/assets/<Table>/<Filename>            the files of asset rows
    data/assets-by-RID/<Table>/<RID>/<Filename>   those whose name another file of the table has already

Not a folder for each file: making one takes a file system longer than the file itself. A file belongs to the row that
has its name and its MD5.

The checksum of a bag is the MD5 of manifest-md5.txt, which lists the payload: the same version of a dataset gives the
same checksum wherever and whenever it is exported. fetch.txt names the server as it was asked, so it may differ.
Source: RFC 8493 (BagIt); BDBag keeps fetch.txt after the files have come.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deriva_ml_core.assets.names import safe_file_name
from deriva_ml_core.errors import ChecksumMismatch

SCHEMA = "data/schema.json"
ASSETS, ASSETS_BY_RID = "data/assets", "data/assets-by-RID"
MANIFEST, TAG_MANIFEST, FETCH, BAG_INFO, DECLARATION = (
    "manifest-md5.txt",
    "tagmanifest-md5.txt",
    "fetch.txt",
    "bag-info.txt",
    "bagit.txt",
)


@dataclass(frozen=True, slots=True)
class AssetFile:
    """The file of an asset row, wherever it will lie."""

    schema: str
    table: str
    rid: str
    file_name: str | None
    size_bytes: int
    md5: str
    url: str


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """One file of a bag, as its manifest says; `url` where it has to be fetched."""

    path: str
    size_bytes: int
    md5: str
    url: str | None = None


def csv_path(schema: str, table: str) -> str:
    """The rows of a table."""
    return f"data/{_own_part(schema)}/{_own_part(table)}.csv"


def asset_path(table: str, rid: str, file_name: str | None) -> str:
    """The file of an asset row, where no other of its table has the name."""
    return f"{ASSETS}/{part(table)}/{part(safe_file_name(file_name, rid))}"


def own_asset_path(table: str, rid: str, file_name: str | None) -> str:
    """The file of an asset row, where another has its name."""
    return f"{ASSETS_BY_RID}/{part(table)}/{part(rid)}/{part(safe_file_name(file_name, rid))}"


def place_assets(assets: Iterable[AssetFile]) -> Iterator[PayloadFile]:
    """
    Each file at its path: of those with one name, the first by RID has the short one.

    Names are one where some file system takes them for one: upper and lower case, composed and decomposed letters.
    """
    taken: set[str] = set()
    for asset in sorted(assets, key=lambda one: (one.table, one.schema, one.rid)):
        named = (asset.table, asset.rid, asset.file_name)
        path = asset_path(*named)
        key = unicodedata.normalize("NFC", path).casefold()
        path = own_asset_path(*named) if key in taken else path
        taken.add(key)
        yield PayloadFile(path, asset.size_bytes, asset.md5, asset.url)


def part(name: str) -> str:
    """A name as part of a path in a bag: BagIt's tools disagree about '%', and about blanks at the end of a line."""
    return safe_file_name(name, "_").replace("%", "_").replace("\t", "_").strip() or "_"


def _own_part(name: str) -> str:
    """The same for names of tables, which stay different: what had to be changed gets digits of its own."""
    safe = part(name)
    return safe if safe == name else f"{safe}-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:6]}"


def write_tags(folder: Path, files: Iterable[PayloadFile], info: Mapping[str, str]) -> str:
    """Write all that makes a folder with `data/` a bag; its checksum."""
    payload = sorted(files, key=lambda file: file.path)
    remote = [file for file in payload if file.url is not None]
    oxum = f"{sum(file.size_bytes for file in payload)}.{len(payload)}"
    tags = {
        DECLARATION: "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        BAG_INFO: "".join(f"{key}: {_line(value)}\n" for key, value in sorted({**info, "Payload-Oxum": oxum}.items())),
        MANIFEST: "".join(f"{file.md5}  {file.path}\n" for file in payload),
    }
    if remote:
        tags[FETCH] = "".join(f"{file.url}\t{file.size_bytes}\t{file.path}\n" for file in remote)
    tag_lines = []
    for name, text in sorted(tags.items()):
        data = text.encode()
        (folder / name).write_bytes(data)
        tag_lines.append(f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {name}\n")
    (folder / TAG_MANIFEST).write_text("".join(tag_lines), encoding="utf-8")
    return hashlib.md5(tags[MANIFEST].encode(), usedforsecurity=False).hexdigest()


def read_payload(folder: Path, checksum: str) -> list[PayloadFile]:
    """
    The payload as manifest and fetch.txt list it.

    Raises:
        ChecksumMismatch: the manifest is not the one of this checksum, or fetch.txt is not the one of tagmanifest.
        OSError: one of them is not there.
    """
    manifest = (folder / MANIFEST).read_bytes()
    if hashlib.md5(manifest, usedforsecurity=False).hexdigest() != checksum:
        raise ChecksumMismatch(f"{folder / MANIFEST} is not the manifest of this bag")
    remote = {path: (url, size) for url, size, path in _fetch_lines(folder)}
    files = []
    for line in manifest.decode().splitlines():
        md5, _, path = line.partition("  ")
        url, size = remote.get(path, (None, "-1"))
        files.append(PayloadFile(path, int(size), md5, url))
    return files


def read_asset_checksums(folder: Path) -> dict[str, str]:
    """MD5 of each asset file by its path, as the manifest says."""
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    parts = (line.partition("  ") for line in lines)
    return {path: md5 for md5, _, path in parts if path.startswith((f"{ASSETS}/", f"{ASSETS_BY_RID}/"))}


def read_info(folder: Path) -> dict[str, str]:
    """bag-info.txt."""
    lines = (folder / BAG_INFO).read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def _fetch_lines(folder: Path) -> Iterator[tuple[str, str, str]]:
    file = folder / FETCH
    data = file.read_bytes() if file.exists() else b""
    promised = (folder / TAG_MANIFEST).read_text(encoding="utf-8").splitlines()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if data and f"{digest}  {FETCH}" not in promised:
        raise ChecksumMismatch(f"{file} was changed")
    if not data and any(line.endswith(f"  {FETCH}") for line in promised):
        raise ChecksumMismatch(f"{file} is gone")
    for line in data.decode().splitlines():
        url, size, path = line.split("\t", 2)
        yield url, size, path


def _line(value: str) -> str:
    """Tag files have one line for one thing."""
    return " ".join(value.split())

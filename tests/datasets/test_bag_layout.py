"""Bags are BagIt bags, by the judgement of bdbag."""

import hashlib

import pytest
from bdbag import bdbag_api

from deriva_ml_core.datasets.layout import PayloadFile, asset_path, csv_path, read_info, read_payload, write_tags
from deriva_ml_core.errors import ChecksumMismatch

NAMES = [
    "a.png",
    "ü 日本.png",
    "100%.png",
    " blank ",
    "a\tb",
    "../x",
    "x" * 300,
    "line\nbreak",
    "*star",
    "#hash",
    "a  b",
]


def payload(folder, names):
    for number, name in enumerate(names):
        path = asset_path("Image", f"1-{number:04}", name)
        data = name.encode()
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        digest = hashlib.md5(data).hexdigest()
        yield PayloadFile(path, len(data), digest, f"https://example.org/hatrac/Image/{digest}.x:1")


def test_a_bag_of_hostile_names_is_valid(tmp_path):
    """Names that a catalog may hold make a bag that any BagIt tool accepts, and none leads out of it."""
    files = list(payload(tmp_path, NAMES))
    write_tags(tmp_path, files, {"External-Identifier": "1-ABCD@1.0.0"})

    bdbag_api.validate_bag(str(tmp_path))
    bdbag_api.validate_bag_structure(str(tmp_path), skip_remote=False)
    assert all((tmp_path / file.path).resolve().is_relative_to(tmp_path.resolve()) for file in files)


def test_a_bag_without_its_files_is_complete_by_fetch(tmp_path):
    """Files that are not there are in fetch.txt: the structure of the bag is valid."""
    files = list(payload(tmp_path, NAMES))
    write_tags(tmp_path, files, {})
    (tmp_path / files[0].path).unlink()

    bdbag_api.validate_bag_structure(str(tmp_path), skip_remote=True)
    assert [file.path for file in read_payload(tmp_path, write_tags(tmp_path, files, {}))] == sorted(
        file.path for file in files
    )


def test_the_checksum_is_of_the_payload(tmp_path):
    """The same payload has the same checksum, whatever the order and whatever is said about it."""
    files = list(payload(tmp_path, NAMES))

    assert write_tags(tmp_path, files, {"A": "1"}) == write_tags(tmp_path, files[::-1], {"A": "2\n3"})
    assert read_info(tmp_path)["A"] == "2 3"


@pytest.mark.parametrize("name", ["manifest-md5.txt", "fetch.txt"])
def test_a_changed_list_is_found(tmp_path, name):
    """Manifest and fetch.txt are not believed when they are not what was written."""
    checksum = write_tags(tmp_path, list(payload(tmp_path, NAMES)), {})
    with (tmp_path / name).open("a") as file:
        file.write("0" * 32 + "\t0\tdata/x\n")
    with pytest.raises(ChecksumMismatch, match=name):
        read_payload(tmp_path, checksum)


def test_tables_of_strange_names_have_files_of_their_own():
    """Another server's tables may have names that BagIt's tools can't take, and that would be the same without."""
    names = ["50% done", "50_ done", "a/b", "a_b", "../x", "ü", "x" * 400, "x" * 401]
    paths = [csv_path("demo", name) for name in names]

    assert len({*paths}) == len(names)
    assert csv_path("demo", "50_ done") == "data/demo/50_ done.csv"
    assert [path for path in paths if path.count("/") != 2 or "%" in path or len(path.encode()) > 255] == []

"""deriva's own programs on `deriva-ml-catalog serve`, as a user runs them: upload, download, bags, backup, restore."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deriva.core import DerivaServer, HatracStore
from deriva.core.ermrest_model import Column, ForeignKey, Key, Schema, Table, builtin_types

from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users

CONTENT = {"a.txt": "first", "b.txt": "the second"}
MAPPINGS = {
    "asset_mappings": [
        {
            "asset_type": "file",
            "target_table": ["Lab", "File"],
            "file_pattern": "^.*/(?P<subject>[^/]+)/(?P<name>[^/]+)[.]txt$",
            "ext_pattern": "^.*[.](?P<file_ext>txt)$",
            "checksum_types": ["md5"],
            "hatrac_templates": {"hatrac_uri": "/hatrac/lab/{md5}.{file_name}"},
            "hatrac_options": {"versioned_uris": True},
            "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
            "column_map": {
                "Subject": "{subject}",
                "Filename": "{file_name}",
                "URL": "{URI}",
                "Length": "{file_size}",
                "MD5": "{md5}",
            },
        }
    ],
    "version_update_url": "https://example.org",
    "version_compatibility": [[">=0.0"]],
}
EXPORT = {
    "bag": {"bag_name": "lab", "bag_algorithms": ["md5"], "bag_archiver": "zip"},
    "catalog": {
        "query_processors": [
            {"processor": "csv", "processor_params": {"query_path": "/entity/Lab:File", "output_path": "file"}},
            {
                "processor": "json",
                "processor_params": {"query_path": "/entity/Lab:Subject", "output_path": "subject"},
            },
            {
                "processor": "fetch",
                "processor_params": {
                    "query_path": "/attribute/Lab:File/url:=URL,length:=Length,filename:=Filename,md5:=MD5",
                    "output_path": "assets",
                },
            },
        ]
    },
}


class Lab:
    """A served root with users, a catalog 1, and deriva's programs."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.token, self.folder = url, token, folder
        self.server = DerivaServer("http", url.removeprefix("http://"), {"bearer-token": token})

    def run(self, program: str, *arguments: object) -> None:
        """One of deriva's programs, in a home of its own; it must succeed."""
        env = {**os.environ, "HOME": str(self.folder)}
        done = subprocess.run(
            [Path(sys.executable).with_name(program), "--token", self.token, *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False, env=env, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def write(self, name: str, document: object) -> Path:
        """A JSON file."""
        path = self.folder / name
        path.write_text(json.dumps(document))
        return path

    def upload(self) -> list[dict]:
        """Upload two files for the subject s1; returns their rows."""
        inputs = self.folder / "inputs" / "s1"
        inputs.mkdir(parents=True)
        for name, content in CONTENT.items():
            (inputs / name).write_text(content)
        config = self.write("upload.json", MAPPINGS)
        self.run(
            "deriva-upload-cli", "--config-file", config, "--no-config-update", "--catalog", 1, self.url, inputs.parent
        )
        rows: list[dict] = self.server.connect_ermrest("1").get("/entity/Lab:File@sort(Filename)").json()
        return rows


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A served catalog with the tables Subject and File."""
    with Root(tmp_path / "root") as root:
        token = Users(root.registry).add("ann", admin=True)
    command = [sys.executable, "-m", "deriva_ml_core.cli.catalog", "serve", "--root", str(tmp_path / "root")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().removeprefix("listening on ").strip()
        # deriva sends a cookie to a host with a port only if its name has no dot: localhost, not 127.0.0.1.
        lab = Lab(url.replace("127.0.0.1", "localhost"), token, tmp_path)
        text, number = builtin_types.text, builtin_types.int8
        schema = lab.server.create_ermrest_catalog().getCatalogModel().create_schema(Schema.define("Lab"))
        schema.create_table(
            Table.define("Subject", [Column.define("Name", text, nullok=False)], [Key.define(["Name"])])
        )
        columns = [
            Column.define(name, number if name == "Length" else text)
            for name in ("Subject", "Filename", "URL", "Length", "MD5")
        ]
        link = ForeignKey.define(["Subject"], "Lab", "Subject", ["Name"])
        schema.create_table(Table.define("File", columns, [Key.define(["URL"])], [link]))
        lab.server.connect_ermrest("1").post("/entity/Lab:Subject", json=[{"Name": "s1"}])
        yield lab
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_files_are_uploaded(lab):
    """deriva-upload-cli stores each file, with its row."""
    rows = lab.upload()

    assert [(row["Filename"], row["Length"], row["Subject"]) for row in rows] == [
        (name, len(content), "s1") for name, content in CONTENT.items()
    ]
    store = HatracStore("http", lab.url.removeprefix("http://"), {"bearer-token": lab.token})
    assert [store.get(row["URL"]).text for row in rows] == list(CONTENT.values())


def test_a_bag_is_downloaded_and_materialized(lab):
    """deriva-download-cli makes a bag of rows and references; bdbag fetches and validates what it refers to."""
    lab.upload()
    out = lab.folder / "out"
    out.mkdir()
    lab.run("deriva-download-cli", "--catalog", 1, lab.url, lab.write("export.json", EXPORT), out)
    keychain = [{"uri": lab.url, "auth_type": "bearer-token", "auth_params": {"token": lab.token}}]
    program = """
import sys
from bdbag import bdbag_api
bag = bdbag_api.extract_bag(sys.argv[1], sys.argv[2])
assert bdbag_api.resolve_fetch(bag, keychain_file=sys.argv[3], config_file=sys.argv[4])
bdbag_api.validate_bag(bag, fast=False)
print(bag)
"""
    config = {"fetch_config": {"http": {"allow_redirects": True, "cookie_scan": False}}}
    done = subprocess.run(
        [sys.executable, "-c", program, out / "lab.zip", out, lab.write("keychain.json", keychain),
         lab.write("bdbag.json", config)],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(lab.folder)},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    data = Path(done.stdout.strip()) / "data"
    assert {path.name: path.read_text() for path in (data / "assets").iterdir()} == CONTENT
    with (data / "file.csv").open(newline="") as file:
        assert sorted(row["Filename"] for row in csv.DictReader(file)) == sorted(CONTENT)
    assert [row["Name"] for row in json.loads((data / "subject.json").read_text())] == ["s1"]


def test_a_catalog_is_backed_up_and_restored(lab):
    """deriva-backup-cli writes model and rows; deriva-restore-cli makes another catalog of them, RIDs and all."""
    lab.upload()
    out = lab.folder / "backup"
    out.mkdir()
    lab.run("deriva-backup-cli", "--catalog", 1, "--no-bag", lab.url, out)
    # Without groups there is no file of them, which deriva-restore-cli misses unless it is told to leave them out.
    lab.run("deriva-restore-cli", "--no-assets", "--exclude-data", "public:ERMrest_Group", lab.url, out)

    first, second = (
        lab.server.connect_ermrest(number).get("/attribute/Lab:File/RID,RCT,URL,Length@sort(RID)").json()
        for number in ("1", "2")
    )
    assert len(first) == len(CONTENT)
    assert second == first

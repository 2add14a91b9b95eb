"""assets.jsonl: what is staged survives whatever ends the process."""

import os
import signal
import subprocess
import sys

import pytest

from deriva_ml_core.assets.ledger import AssetLedger, StagedAsset
from deriva_ml_core.errors import WorkingFolderError


def asset(name: str, **facts) -> StagedAsset:
    return StagedAsset(key=f"Image/{name}", schema="demo", table="Image", file_name=name, **facts)


def test_facts_are_read_back(tmp_path):
    """Another process sees every output with its latest facts."""
    file = tmp_path / "assets.jsonl"
    ledger = AssetLedger(file)
    ledger.put(asset("ü\n.png", asset_types=("Image",), columns={"Label": 3}, description='"x"'))
    ledger.put(asset("b.png"))
    ledger.update_many([("Image/b.png", {"status": "uploaded", "rid": "1-ABCD"})])

    first, second = AssetLedger(file)
    assert first == asset("ü\n.png", asset_types=("Image",), columns={"Label": 3}, description='"x"')
    assert second == asset("b.png", status="uploaded", rid="1-ABCD")


def test_a_torn_line_costs_nothing_else(tmp_path):
    """A process killed in the middle of a line loses that line only, and the next writer starts a new one."""
    file = tmp_path / "assets.jsonl"
    AssetLedger(file).put(asset("a.png"))
    with file.open("ab") as stream:
        stream.write(b'{"key": "Image/b.png", "sch')
    ledger = AssetLedger(file)
    ledger.put(asset("c.png"))

    assert [item.file_name for item in AssetLedger(file)] == ["a.png", "c.png"]


def test_registrations_survive_kill_9(tmp_path):
    """What was registered before kill -9 is there afterwards."""
    file = tmp_path / "assets.jsonl"
    code = f"""
import itertools
from pathlib import Path
from deriva_ml_core.assets.ledger import AssetLedger, StagedAsset
ledger = AssetLedger(Path({str(file)!r}))
for number in itertools.count():
    name = f"{{number}}.png"
    ledger.put(StagedAsset(key="Image/" + name, schema="demo", table="Image", file_name=name))
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(50):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
    last = max([last, *map(int, rest)])
    names = [item.file_name for item in AssetLedger(file)]

    assert names[: last + 1] == [f"{number}.png" for number in range(last + 1)]


def test_an_unwritable_ledger_is_one_line(tmp_path):
    """A folder that does not take the ledger is the user's error, and named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkingFolderError, match=r"assets\.jsonl"):
        AssetLedger(tmp_path / "file" / "assets.jsonl").put(asset("a.png"))

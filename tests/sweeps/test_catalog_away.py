"""A catalog that does not answer for a while costs nothing: what runs meanwhile is recorded when it is back."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
from meddling_proxy import MeddlingProxy

from deriva_ml_core.local_catalog.server import LocalServer

MODEL = """\
import time
from pathlib import Path
from deriva_ml_core.errors import DerivaMLException

def train(epochs: int = 1, rate: float = 0.1, event: str = "", *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{event}.txt").write_text(event)
    if event != "away":
        return
    Path("started").touch()
    until = time.monotonic() + 90
    while time.monotonic() < until and not Path("noticed").exists():
        try:
            ml_instance.session.get_json("/entity/deriva-ml:Workflow_Type")
        except DerivaMLException:
            Path("noticed").touch()
        time.sleep(0.1)
    while time.monotonic() < until and not Path("go").exists():
        time.sleep(0.1)
"""
EVENTS = ["well", "away", "well_too"]
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}
DONE_BEFORE = {"single": 0, "basic": 1, "joblib": 2, "submitit_local": 2}


@pytest.fixture
def behind_a_proxy(demo_project, tmp_path):
    """A project whose catalog is served behind a proxy, and the proxy."""
    made = demo_project(MODEL)
    with LocalServer(tmp_path / "local_root") as server, MeddlingProxy(*_address(server)) as proxy:
        logins = {proxy.url.removeprefix("http://"): server.credential}
        (made.home / ".deriva").mkdir()
        (made.home / ".deriva/credential.json").write_text(json.dumps(logins))
        yield made, proxy


def _address(server):
    host, _, port = server.netloc.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("column", DONE_BEFORE)
def test_a_catalog_that_is_back_before_the_jobs_end_has_all_of_it(behind_a_proxy, demo_rows, tree, matrix, column):
    """Wherever the job runs; exit code 0, and no recovery is needed."""
    made, proxy = behind_a_proxy
    events = ["away"] if column == "single" else EVENTS
    sweep = [] if column == "single" else ["--multirun", *LAUNCHERS[column]]
    process = subprocess.Popen(
        [str(made.command("deriva-ml-run")), *sweep, f"model_config.event={','.join(events)}"],
        cwd=made.root,
        env=made.environment(DERIVA_ML_LOCAL_URL=proxy.url),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait((made.root / "started").exists, process)
        _wait(lambda: _uploaded(made) == DONE_BEFORE[column], process)  # this is not about jobs that start meanwhile
        proxy.away()
        _wait((made.root / "noticed").exists, process)
        proxy.back()
        (made.root / "go").touch()
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, err
    children = [row for row in demo_rows("Execution") if "sentinel" not in row["Description"]]
    if column != "single":
        parent, children = tree()
        assert parent["Status"] == "Uploaded"
    assert [child["Status"] for child in children] == ["Uploaded"] * len(events), err
    assert {row["Filename"] for row in demo_rows("Execution_Asset")} == {f"{event}.txt" for event in events}
    matrix(column, "catalog_away", "Uploaded", "")


def _uploaded(made):
    journals = made.home / ".deriva-ml/local/demo/deriva-ml/execution"
    return sum('"status": "Uploaded"' in file.read_text() for file in journals.glob("*/journal.json"))


def _wait(condition, process, seconds=90):
    until = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)  # another process gives no other sign
    assert condition(), process.communicate()[1] if process.poll() is not None else condition

"""
kill -9 in the midst of a large output on its way to a server: a later command sends what is missing, and no more.

Everything is real: the command that is killed, `deriva-ml-catalog serve`, and a proxy between that counts.
"""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from meddling_proxy import MeddlingProxy

MIB = 2**20
SIZE_MIB = 128
ON_ITS_WAY_MIB = 16  # at most, between the proxy and the server when the sender is killed
MODEL = f"""
import os

def train(epochs=1, rate=0.1, *, ml_instance, execution=None):
    with open(execution.asset_file_path("Execution_Asset", "weights.bin"), "wb") as file:
        for _ in range({SIZE_MIB}):
            file.write(os.urandom({MIB}))
"""


@pytest.fixture
def project(demo_project):
    return demo_project(MODEL)


@pytest.fixture
def proxy(project, monkeypatch):
    """Before the server, which the project's commands ask through it."""
    command = [
        sys.executable,
        "-m",
        "deriva_ml_core.cli.catalog",
        "serve",
        "--root",
        os.environ["DERIVA_ML_LOCAL_ROOT"],
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        where = urlsplit(process.stdout.readline().removeprefix("listening on ").strip())
        with MeddlingProxy(where.hostname, where.port) as found:
            monkeypatch.setenv("DERIVA_ML_LOCAL_URL", found.url)
            yield found
        process.terminate()


def start(project, module, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", f"deriva_ml_core.cli.{module}", *arguments],
        cwd=project.root,
        env={**os.environ, "HOME": str(project.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_a_killed_upload_goes_on_where_it_broke(project, proxy, demo_rows):
    """The record is then as if nothing had happened: one row, the content whole, the times those of the run."""
    run = start(project, "run")
    while proxy.bytes_up < SIZE_MIB * MIB / 2:
        assert run.poll() is None, run.communicate()
        time.sleep(0.001)  # the proxy counts, and tells nobody
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    (killed,) = json.loads(finished(start(project, "executions", "list", "--status", "Pending_Upload", "--json")))
    before = json.loads(finished(start(project, "executions", "show", killed["rid"], "--json")))
    first, proxy.bytes_up = proxy.bytes_up, 0

    finished(start(project, "executions", "upload", killed["rid"]))

    assert first < SIZE_MIB * MIB <= first + proxy.bytes_up < (SIZE_MIB + ON_ITS_WAY_MIB) * MIB
    (asset,) = [row for row in demo_rows("Execution_Asset") if row["Filename"] == "weights.bin"]
    assert asset["Length"] == SIZE_MIB * MIB
    (linked,) = [row for row in demo_rows("Execution_Asset_Execution") if row["Execution_Asset"] == asset["RID"]]
    assert (linked["Execution"], linked["Asset_Role"]) == (killed["rid"], "Output")
    record = json.loads(finished(start(project, "executions", "show", killed["rid"], "--json")))
    assert record["status"] == "Uploaded"
    assert before["start_time"]
    assert (record["start_time"], record["stop_time"]) == (before["start_time"], before["stop_time"])

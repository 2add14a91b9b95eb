"""Notebooks recorded on a server of its own, over HTTPS with a stored login, as on a remote host; and when it goes."""

from __future__ import annotations

import json
import re

import pytest
from meddling_proxy import MeddlingProxy
from notebook_fixture import LAST_CELL, wait_for
from served_fixture import serving

from deriva_ml_core.local_catalog.server import LocalServer

NOTEBOOK = "notebooks/analysis.ipynb"
STAGE = 'execution.asset_file_path("Execution_Asset", "own.txt").write_text("own")'


@pytest.fixture
def served(notebooks, certificate, log_in, monkeypatch):
    """A project, and the server of its catalog, where the user is logged in."""
    project = notebooks()
    with serving(project.root, certificate, {"ada": True}) as server:
        monkeypatch.setenv("HOME", str(project.project.home))
        log_in({server.hostname: server.tokens["ada"]})
        yield project, server


def where(server) -> list[str]:
    return ["--host", server.hostname, "--catalog", "demo"]


def test_a_notebook_on_a_server_is_recorded_as_the_user_who_is_logged_in(served):
    """The kernel finds the same login as the command; the link leads to the record."""
    project, server = served
    project.write(STAGE, LAST_CELL)

    done = project.run(NOTEBOOK, *where(server))

    record = project.record()
    assert record.only["Status"] == "Uploaded"
    assert {"own.txt", "analysis.ipynb", "analysis.md", "analysis.html"} <= record.names()
    assert f"https://{server.hostname}/" in done.stderr.splitlines()[-1]
    assert record.only["RID"] in done.stderr.splitlines()[-1]
    assert server.tokens["ada"] not in record.text("analysis.ipynb") + done.stderr


def test_a_server_that_nobody_is_logged_in_to_refuses_before_a_cell_has_run(served):
    """One line, and nothing is recorded."""
    project, server = served
    project.write("print('never reached')")
    (project.project.home / ".deriva/credential.json").unlink()

    done = project.run(NOTEBOOK, *where(server), "--log-output", code=2)

    assert "deriva-globus-auth-utils login" in done.stderr.splitlines()[-1]
    assert "never reached" not in done.stdout
    assert project.record().executions == []


@pytest.fixture
def behind_a_proxy(notebooks, tmp_path):
    """A project whose catalog is served behind a proxy, the proxy, and the environment that leads there."""
    project = notebooks()
    with LocalServer(project.root) as server:
        host, _, port = server.netloc.rpartition(":")
        with MeddlingProxy(host, int(port)) as proxy:
            logins = {proxy.url.removeprefix("http://"): server.credential}
            (project.project.home / ".deriva").mkdir()
            (project.project.home / ".deriva/credential.json").write_text(json.dumps(logins))
            yield project, proxy


def test_a_catalog_that_has_gone_in_the_end_gets_the_notebook_later(behind_a_proxy, monkeypatch):
    """Exit code 3: what it has come to waits on disk, and one command brings it."""
    project, proxy = behind_a_proxy
    project.write(
        STAGE,
        "import time\nfrom pathlib import Path\nprint('waiting')\n"
        "while not Path('../go').exists():\n    time.sleep(0.1)",
        "print('done after')",
    )
    with monkeypatch.context() as patch:
        patch.setenv("DERIVA_ML_LOCAL_URL", proxy.url)
        process = project.start(NOTEBOOK, "--log-output")
    seen = wait_for(process, "waiting")
    proxy.away()
    (project.project.root / "go").touch()

    out, _ = process.communicate(timeout=300)
    proxy.back()
    assert process.returncode == 3, seen + out
    rid = re.search(r"^Execution (\S+)$", seen, re.MULTILINE)[1]
    project.project.run("upload", rid, command="deriva-ml-executions", DERIVA_ML_LOCAL_URL=proxy.url)

    record = project.record()
    assert record.only["Status"] == "Uploaded"
    assert {"own.txt", "analysis.ipynb", "analysis.md", "analysis.html"} <= record.names()
    assert "done after" in record.text("analysis.md")


def test_a_catalog_that_does_not_answer_at_the_start(behind_a_proxy):
    """Nothing is recorded, and the last line on the console says why."""
    project, proxy = behind_a_proxy
    project.write(STAGE, "print('never reached')")
    proxy.away()

    done = project.run(NOTEBOOK, "--log-output", code=1, DERIVA_ML_LOCAL_URL=proxy.url)

    assert "the embedded catalog does not answer" in done.stderr.splitlines()[-1]
    assert "never reached" not in done.stdout
    assert project.record().executions == []

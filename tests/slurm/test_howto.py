"""The page "run on a SLURM cluster", followed from top to bottom on the cluster of the tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from project_fixture import COMMANDS, make_project

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "run-on-a-slurm-cluster.md"


class Reader:
    """
    Someone at the login node, whose project is that of the guide, with the model of the page.

    Args:
        here: what the page says -> what it is here.
    """

    def __init__(self, project, env, here):
        self.project, self.env, self.here = project, env, here
        self.sessions = []

    def types(self, script, code=0):
        """What the commands print."""
        for theirs, ours in self.here.items():
            script = script.replace(theirs, ours)
        output = self.project.home / "printed"  # a pipe would wait for the server that goes on
        with output.open("w") as stream:
            arguments = {"cwd": self.project.root, "env": self.env, "stdout": stream, "stderr": stream}
            shell = subprocess.Popen(["bash", "-ec", script], start_new_session=True, **arguments)
            self.sessions.append(shell.pid)
            assert shell.wait(timeout=600) == code, f"{script}\n{output.read_text()}"
        return output.read_text()


@pytest.fixture
def reader(cluster, demo_root, tmp_path, tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home, root = tmp_path / "user", tmp_path / "catalogs"
    home.mkdir()
    shutil.copytree(demo_root, root)
    pycache = tmp_path_factory.getbasetemp() / "pycache"
    project = make_project(
        tmp_path / "project", home, pycache, model=_fences("python")[0], hostname="local", catalog_id="demo"
    )
    variables = {"DERIVA_ML_LOCAL_ROOT": str(root), "PATH": f"{COMMANDS}:{os.environ['PATH']}"}
    at = f"127.0.0.1:{port}"
    here = {"uv run ": "", "=gpu": "=debug", "login1:8080": at, "--host 0.0.0.0 --port 8080": f"--port {port}"}
    made = Reader(project, project.environment(**cluster.environment, **variables), here)
    yield made
    for session in made.sessions:
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGTERM)


def _fences(kind):
    return [token.content for token in MarkdownIt().parse(PAGE.read_text()) if token.info.strip() == kind]


def test_the_page_works_as_it_stands(reader, wait_until):
    """Its catalog, its sweep, its settings, and coming back; the model of its section on checkpoints runs."""
    catalog, sweep, settings, back = _fences("bash")
    (credential,) = _fences("json")
    refused = reader.types(sweep, code=2)
    add, serve, export = catalog.splitlines()
    url = reader.types(f"{export}\necho $DERIVA_ML_LOCAL_URL").strip()

    token = reader.types(add).splitlines()[-1]
    logins = reader.project.home / ".deriva/credential.json"
    logins.parent.mkdir(exist_ok=True)
    logins.write_text(credential.replace("TOKEN", token).replace("login1:8080", url.removeprefix("http://")))
    reader.types(serve)
    reader.env["DERIVA_ML_LOCAL_URL"] = url
    wait_until(lambda: _listens(url))
    told = reader.types(sweep)
    shown = reader.types(settings)
    rid = next(one["rid"] for one in _listed(reader) if one["children"])
    came_back = reader.types(back.replace("PARENT", rid))

    assert "deriva-ml-catalog serve" in refused
    assert "3 of 3 jobs Uploaded" in told
    for setting in ("timeout_min: 60", "signal_delay_s: 120", "max_num_timeout: 0", "slurm/%j"):
        assert setting in shown
    assert "3 of 3 Uploaded" in came_back
    assert "nothing to recover" in came_back


def _listed(reader):
    """Executions, newest first, each as `show` has it."""
    listed = json.loads(reader.types("deriva-ml-executions list --json"))
    return [json.loads(reader.types(f"deriva-ml-executions show {one['rid']} --json")) for one in listed]


def _listens(url):
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True

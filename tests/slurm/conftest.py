"""
A real SLURM cluster on this host, for the tests of sweeps that SLURM runs.

    cluster       the cluster, started for this test process and stopped with it
    slurm_project call it (with the text of models/model.py) for a Project whose catalog "demo" is served

Where SLURM is not installed the tests are skipped; in CI that is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from disk_fixture import small_disk_at
from project_fixture import COMMANDS, Project, make_project
from slurm_cluster import Cluster, missing, running_cluster

from deriva_ml_core.catalog.session import CatalogSession

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """All of them in one worker, which has the cluster; skipped with the reason where there can be none."""
    ours = [item for item in items if HERE in item.path.parents]
    why = missing()
    for item in ours:
        item.add_marker(pytest.mark.slurm)
        item.add_marker(pytest.mark.xdist_group("slurm"))
        if why and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Started by start-cluster.sh, stopped by stop-cluster.sh."""
    if why := missing():
        pytest.fail(why)
    with running_cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@dataclass(frozen=True)
class Served:
    """
    A project, the cluster that runs its sweeps, and its catalog "demo", which `deriva-ml-catalog serve` serves.

    Args:
        token: of the one user, who is logged in in the project's home.
        working_dir: other than in the project's home.
    """

    project: Project
    cluster: Cluster
    url: str
    token: str
    working_dir: Path | None = None

    def environment(self) -> dict[str, str]:
        return self.project.environment(**self._variables)

    def run(self, *arguments: str, **options):
        return self.project.run(*arguments, timeout=600, **self._variables, **options)

    def recover(self):
        """`deriva-ml-executions recover`."""
        folder = ["--working-dir", str(self.working_dir)] if self.working_dir else []
        return self.run("recover", "--host", "local", "--catalog", "demo", *folder, command="deriva-ml-executions")

    def start(self, *arguments: str, terminal: int | None = None, command: str = "deriva-ml-run") -> subprocess.Popen:
        """A command in the background, in a session of its own, whose terminal is the one that is given."""
        folder = [f"deriva_ml.working_dir={self.working_dir}"] if self.working_dir else []
        at_terminal = [] if terminal is None else ["setsid", "--ctty"]  # it becomes the command
        return subprocess.Popen(
            [*at_terminal, str(self.project.command(command)), *arguments, *folder],
            cwd=self.project.root,
            env=self.environment(),
            stdin=terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=terminal is None,
        )

    @property
    def _variables(self) -> dict[str, str]:
        return {"DERIVA_ML_LOCAL_URL": self.url, **self.cluster.environment}

    def rows(self, table: str) -> list[dict]:
        session = CatalogSession.connect("local", "demo", base_url=self.url, credential={"bearer-token": self.token})
        try:
            found = session.get_json(f"/entity/deriva-ml:{table}")
            return sorted(
                (row for row in found if "sentinel" not in str(row.get("Description"))), key=lambda r: r["RCT"]
            )
        finally:
            session.close()

    def stored(self, row: dict) -> bytes:
        """The content of an asset's row."""
        asked = Request(self.url + row["URL"], headers={"Authorization": f"Bearer {self.token}"})
        with urlopen(asked) as answer:
            return answer.read()

    def tree(self, parent: str | None = None) -> tuple[dict, list[dict]]:
        """A sweep's (parent, children in their order); the only one's without a RID."""
        runs = {row["RID"]: row for row in self.rows("Execution")}
        links = sorted(self.rows("Execution_Execution"), key=lambda link: link["Sequence"])
        links = [link for link in links if parent in (None, link["Execution"])]
        (parent,) = {link["Execution"] for link in links}
        return runs[parent], [{**runs[link["Nested_Execution"]], "Sequence": link["Sequence"]} for link in links]

    def journal(self, rid: str) -> dict:
        return json.loads((self.folder(rid) / "journal.json").read_text())

    def folder(self, rid: str) -> Path:
        return (self.working_dir or self.project.home / ".deriva-ml/local/demo") / f"deriva-ml/execution/{rid}"

    def through(self, url: str) -> Served:
        """The same, by another way to the server."""
        _log_in(self.project.home, url, self.token)
        return replace(self, url=url)


@pytest.fixture
def slurm_cell(matrix):
    """Call it with (event, status, detail) for the column slurm of the documentation's crash matrix."""

    def note(event: str, status: str, detail: str | None, *, recovered: bool = False) -> None:
        matrix("slurm", event, status, re.sub(r"(?<=\bjob) \d+(_\d+)?| on n\d+", "", detail or ""), recovered=recovered)

    return note


@pytest.fixture
def slurm_project(cluster, demo_root, tmp_path, tmp_path_factory):
    """Make a project; its catalog is served for one test."""
    with ExitStack() as stack:
        yield partial(_make, stack, cluster, demo_root, tmp_path, _pycache(tmp_path_factory))


@pytest.fixture(scope="module")
def module_project(cluster, demo_root, tmp_path_factory):
    """The same for all tests of a module: what takes minutes is done once."""
    folder = tmp_path_factory.mktemp("slurm_module")
    with ExitStack() as stack:
        yield partial(_make, stack, cluster, demo_root, folder, _pycache(tmp_path_factory))


@pytest.fixture(scope="module")
def served_on_disk(demo_root, tmp_path_factory):
    """Call it with a Served for the same, catalog and working folder on a small disk; None where nobody may mount."""
    with ExitStack() as stack:

        def serve(made: Served) -> Served | None:
            try:
                place = stack.enter_context(small_disk_at(tmp_path_factory.mktemp("disk") / "small", 48 * 2**20))
            except pytest.skip.Exception:
                return None
            url, token = _serve(stack, demo_root, place, made.project.home)
            return replace(made, url=url, token=token, working_dir=place / "work")

        yield serve


def _pycache(tmp_path_factory) -> Path:
    return tmp_path_factory.getbasetemp() / "pycache"


def _make(stack, cluster, demo_root, folder, pycache, model: str) -> Served:
    home = folder / "user"
    home.mkdir()
    made = make_project(folder / "project", home, pycache, model=model, hostname="local", catalog_id="demo")
    return Served(made, cluster, *_serve(stack, demo_root, folder, home))


def _serve(stack, demo_root, place, home) -> tuple[str, str]:
    """URL and token. The catalog has a user: whoever brings no token is refused, from a node as from anywhere."""
    root, command = place / "local_root", COMMANDS / "deriva-ml-catalog"
    shutil.copytree(demo_root, root)
    adding = [command, "user", "add", "me", "--admin", "--root", root]
    token = subprocess.run(adding, check=True, capture_output=True, text=True).stdout.strip()
    server = subprocess.Popen([command, "serve", "--root", root], stdout=subprocess.PIPE, text=True)
    stack.callback(_end, server)
    url = server.stdout.readline().split()[-1]
    _log_in(home, url, token)
    return url, token


def _log_in(home, url, token) -> None:
    file = home / ".deriva/credential.json"
    file.parent.mkdir(exist_ok=True)
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, urlsplit(url).netloc: {"bearer-token": token}}))


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def wait_until(condition, seconds: float = 600) -> None:
    """SLURM tells nobody when something has changed."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.2)
    assert condition()


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture():
    return wait_until

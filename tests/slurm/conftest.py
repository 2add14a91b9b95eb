"""
A real SLURM cluster on this host, for the tests of sweeps that SLURM runs.

    cluster       the cluster, started for this test process and stopped with it
    slurm_project call it (with the text of models/model.py) for a Project whose catalog "demo" is served
    tree          call it for the only sweep's (parent, children)

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
from dataclasses import dataclass
from pathlib import Path

import pytest
from project_fixture import COMMANDS, make_project
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
    """A project, the cluster that runs its sweeps, and its catalog "demo", which `deriva-ml-catalog serve` serves."""

    project: object
    cluster: Cluster
    url: str

    def environment(self, **env: str) -> dict[str, str]:
        return self.project.environment(DERIVA_ML_LOCAL_URL=self.url, **self.cluster.environment, **env)

    def run(self, *arguments: str, **options):
        return self.project.run(*arguments, DERIVA_ML_LOCAL_URL=self.url, **self.cluster.environment, **options)

    def start(self, *arguments: str, terminal: int | None = None, **options) -> subprocess.Popen:
        """deriva-ml-run in the background, in a session of its own; it writes to a terminal where one is given."""
        return subprocess.Popen(
            [str(self.project.command("deriva-ml-run")), *arguments],
            cwd=self.project.root,
            env=self.environment(),
            stderr=subprocess.PIPE if terminal is None else terminal,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            **options,
        )

    def rows(self, table: str) -> list[dict]:
        session = CatalogSession.connect("local", "demo", base_url=self.url)
        try:
            found = session.get_json(f"/entity/deriva-ml:{table}")
            return sorted(
                (row for row in found if "sentinel" not in str(row.get("Description"))), key=lambda r: r["RCT"]
            )
        finally:
            session.close()

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
        return self.project.home / f".deriva-ml/local/demo/deriva-ml/execution/{rid}"


@pytest.fixture
def slurm_cell(matrix):
    """Call it with (event, status, detail) for the column slurm of the documentation's crash matrix."""

    def note(event: str, status: str, detail: str | None, *, recovered: bool = False) -> None:
        matrix("slurm", event, status, re.sub(r"(?<=\bjob) \d+(_\d+)?| on n\d+", "", detail or ""), recovered=recovered)

    return note


@pytest.fixture
def slurm_project(cluster, demo_root, tmp_path, tmp_path_factory):
    """Make projects; each is served for one test."""
    yield from _projects(cluster, demo_root, tmp_path, tmp_path_factory)


@pytest.fixture(scope="module")
def module_project(cluster, demo_root, tmp_path_factory):
    """The same for all tests of a module: what takes minutes is done once."""
    yield from _projects(cluster, demo_root, tmp_path_factory.mktemp("slurm_module"), tmp_path_factory)


def _projects(cluster, demo_root, folder, tmp_path_factory):
    with ExitStack() as stack:

        def make(model: str) -> Served:
            home = folder / "user"
            home.mkdir()
            root = folder / "local_root"
            shutil.copytree(demo_root, root)
            pycache = tmp_path_factory.getbasetemp() / "pycache"
            made = make_project(folder / "project", home, pycache, model=model, hostname="local", catalog_id="demo")
            command = [COMMANDS / "deriva-ml-catalog", "serve", "--root", root]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, server)
            url = server.stdout.readline().split()[-1]
            return Served(made, cluster, url)

        yield make


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def wait_until(condition, seconds: float = 120) -> None:
    """SLURM tells nobody when something has changed."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.2)
    assert condition()


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture():
    return wait_until

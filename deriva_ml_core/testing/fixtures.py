"""
Fixtures on the embedded catalog; nothing outside of pytest's own folders is read or written.

    deriva_home       folders of this test: HOME, catalogs
    deriva_catalog    a DerivaML on a new catalog with the deriva-ml schema and the domain schema "demo"
    deriva_execution  a running execution in it, with `plugins` of the test if the class has an attribute `handler`
    deriva_project    a project whose catalog it is
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from deriva_ml_core.connection import DerivaML
from deriva_ml_core.executions.execution import Execution
from deriva_ml_core.executions.states import Status
from deriva_ml_core.testing.project import ProjectFolder
from deriva_ml_core.workflows.workflow import Workflow

_NAME = "test"


@pytest.fixture
def deriva_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins, caches and catalogs."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(home / "catalogs"))
    return home


@pytest.fixture
def deriva_catalog(deriva_home: Path, tmp_path: Path) -> Iterator[DerivaML]:
    """A connection to a new catalog."""
    from deriva_ml_core.cli.catalog import main

    for arguments in (["create", _NAME], ["schema", "install", _NAME]):
        assert main([*arguments, "--root", str(deriva_home / "catalogs")]) == 0
    with DerivaML("local", _NAME, working_dir=tmp_path / "work") as ml:
        ml.create_domain_schema("demo")
        yield ml


@pytest.fixture
def deriva_execution(deriva_catalog: DerivaML, request: pytest.FixtureRequest) -> Iterator[Execution]:
    """An execution that runs; aborted at the end of the test if it still does."""
    handler = getattr(request.cls, "handler", None)
    if handler is not None:
        deriva_catalog.plugins.add(handler, "handler-under-test")
    workflow = Workflow(name="Test", workflow_type="Training", description=f"A test of {getpass.getuser()}")
    execution = deriva_catalog.create_execution(workflow=workflow)
    execution.execution_start()
    yield execution
    if execution.status in (Status.created, Status.running):
        execution.abort("the test is over")


@pytest.fixture
def deriva_project(deriva_catalog: DerivaML, tmp_path: Path) -> ProjectFolder:  # noqa: ARG001  # its catalog
    """A project of the standard layout."""
    from deriva_ml_core.projects.creation import NewProject, write_files

    folder = tmp_path / "project"
    write_files(NewProject(folder, hostname="local", catalog=_NAME), folder)
    return ProjectFolder(folder)

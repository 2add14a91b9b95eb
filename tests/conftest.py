"""
Fixtures for every room: an embedded server per test process, and fresh catalogs in it.

    local_server     the server, in a folder of its own
    new_catalog      call it for the id of a new, empty catalog
    connect          call it with a catalog id for a session; closed at the end of the test
    catalog_session  a session with a new, empty catalog
    ml_session       a session with a new catalog that has the newer deriva-ml schema
    former_session   a session with a new catalog of the former generation
    ml_catalog       either of both, once for each generation of the schema
    generation_session  call it with "1.54" or "1.24" for a session with a new catalog of that generation
    image_session    ml_session, with a domain schema "demo" and the asset table "Image" in it
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deriva_ml_core.catalog.http import HttpClient, Patience
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.local_catalog.server import LocalServer
from deriva_ml_core.schema.elements import ColumnDef, ForeignKeyDef, TableDef
from deriva_ml_core.schema.install import install_schema
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

# Whoever runs the tests in the background of a script, or by nohup, has them ignore Ctrl-C or the end of the terminal,
# and so would the commands that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No test measures time: a loaded machine is not a failure.
settings.register_profile("deriva_ml", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("deriva_ml")

pytest_plugins = [
    "browser_fixture",
    "disk_fixture",
    "matrix_fixture",
    "project_fixture",
    "ml_fixture",
    "notebook_fixture",
    "demo_fixture",
    "served_fixture",
    "shared_catalog_fixture",
    "slurm_life_fixture",
]

SCHEMA_FACTS = Path(__file__).parent / "fixtures" / "deriva-ml-schema.json"


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the folders of whoever runs it: logins, caches, catalogs."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(home / "catalogs"))
    monkeypatch.delenv("COLUMNS", raising=False)  # the width of the terminal in which somebody runs the tests


@pytest.fixture(scope="session")
def local_server(tmp_path_factory):
    with LocalServer(tmp_path_factory.mktemp("local_server")) as server:
        yield server


@pytest.fixture
def new_catalog(local_server):
    def create() -> str:
        client = HttpClient(local_server.url, credential=local_server.credential)
        try:
            answer = client.request(
                "POST", "/ermrest/catalog", body=b"{}", headers={"Content-Type": "application/json"}
            )
            return str(json.loads(answer.data)["id"])
        finally:
            client.close()

    return create


@pytest.fixture
def connect(local_server):
    sessions = []

    def open_session(catalog_id: str, **options) -> CatalogSession:
        options = {"credential": local_server.credential, "base_url": local_server.url, **options}
        session = CatalogSession.connect("local", catalog_id, patience=Patience(backoff_s=0.01), **options)
        sessions.append(session)
        return session

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def catalog_session(connect, new_catalog):
    return connect(new_catalog())


@pytest.fixture
def ml_session(catalog_session):
    install_schema(catalog_session)
    return catalog_session


@pytest.fixture
def former_session(catalog_session):
    _install_former(catalog_session)
    return catalog_session


@pytest.fixture(params=["1.54", "1.24"])
def ml_catalog(request, catalog_session):
    if request.param == "1.54":
        install_schema(catalog_session)
    else:
        _install_former(catalog_session)
    return catalog_session


@pytest.fixture
def generation_session(connect, new_catalog, install_generation):
    """Call it with the name of a generation for a session with a new catalog of it."""

    def create(name: str) -> CatalogSession:
        session = connect(new_catalog())
        install_generation(session, name)
        return session

    return create


@pytest.fixture(scope="session")
def install_generation():
    """Call it with a session and "1.54" or "1.24": its catalog gets that generation's schema."""
    return lambda session, name: {"1.54": install_schema, "1.24": _install_former}[name](session)


@pytest.fixture
def image_session(ml_session):
    create_domain_schema(ml_session, "demo")
    create_asset_table(
        ml_session, "demo", "Image", columns=[ColumnDef("Label", "text", True)], comment="Pictures of digits"
    )
    return ml_session


def _install_former(session: CatalogSession) -> None:
    """A catalog of the former generation, from the facts of a live one."""
    facts = json.loads(SCHEMA_FACTS.read_text())["generations"]["1.24"]
    tables = {name: _table(name, fact).document("deriva-ml") for name, fact in facts["tables"].items()}
    session.post_json("/schema", {"schemas": {"deriva-ml": {"schema_name": "deriva-ml", "tables": tables}}})
    for vocabulary, terms in facts["vocabulary_terms"].items():
        if terms:
            rows = [{"Name": term, "Description": term, "Synonyms": []} for term in terms]
            session.post_json(f"/entity/deriva-ml:{vocabulary}?defaults=ID,URI", rows)
    session.forget_model()


def _table(name: str, fact: dict) -> TableDef:
    return TableDef(
        name,
        columns=tuple(
            ColumnDef(column, about["type"], about["nullok"], about.get("default"))
            for column, about in fact["columns"].items()
        ),
        keys=tuple(tuple(key) for key in fact["keys"]),
        foreign_keys=tuple(
            ForeignKeyDef(
                name=key["name"][1],
                columns=tuple(key["columns"]),
                schema=key["references"].split(":")[0],
                table=key["references"].split(":")[1],
                referenced_columns=tuple(key["referenced_columns"]),
                on_delete=key["on_delete"],
                on_update=key["on_update"],
            )
            for key in fact["foreign_keys"]
        ),
    )

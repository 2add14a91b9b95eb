"""
What a real server answered, asked of the embedded catalog again: in process, and over HTTP.

The scenarios and their runner lie beside the project in ../shared/vectors; DERIVA_VECTORS names another folder.
Scenarios of one file share a catalog, so that each test process has a server of its own.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from werkzeug.test import Client, TestResponse

from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users

DEFAULT = Path(__file__).parents[3] / "shared" / "vectors"
VECTORS = Path(os.environ.get("DERIVA_VECTORS", DEFAULT))
BASE = "http://localhost"


def _replay() -> ModuleType | None:
    """The runner, imported by its path; None where it is missing, which is an error where CI=true."""
    path = VECTORS / "replay.py"
    if not path.is_file():
        if os.environ.get("CI", "").lower() == "true":
            message = f"the recorded scenarios are missing: there is no {path}"
            raise FileNotFoundError(message)
        return None
    spec = importlib.util.spec_from_file_location("deriva_vectors_replay", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


replay = _replay()
SCENARIOS = replay.load(VECTORS / "public") if replay else [({"area": "none"}, {"name": "none"})]
MISSING = pytest.mark.skipif(
    replay is None, reason=f"the recorded scenarios are missing: set DERIVA_VECTORS ({VECTORS})"
)


class InProcess:
    """A session, as the runner wants one, on a WSGI application."""

    def __init__(self, app: Application, token: str | None) -> None:
        self._client = Client(app)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(
        self, method: str, url: str, *, headers: dict[str, str], data: bytes | None, allow_redirects: bool
    ) -> TestResponse:
        """One request, its path as it is: werkzeug's client would unescape it."""
        target = url.removeprefix(BASE)
        raw = {"REQUEST_URI": target, "RAW_URI": target, "QUERY_STRING": target.partition("?")[2]}
        response = self._client.open(
            method=method, headers={**self._headers, **headers}, data=data or b"", environ_overrides=raw
        )
        response.content = response.get_data()
        return response


def tokens_of(root: Root) -> dict[str, str | None]:
    """An owner, a reader and nobody."""
    users = Users(root.registry)
    return {"owner": users.add("owner", admin=True), "reader": users.add("reader"), "anon": None}


@pytest.fixture(scope="session")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A runner on the application itself."""
    with Root(tmp_path_factory.mktemp("in-process")) as root:
        app = Application(root)
        runner = replay.Runner({who: InProcess(app, token) for who, token in tokens_of(root).items()}, BASE)
        yield runner
        runner.close()


@pytest.fixture(scope="session")
def over_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A runner over HTTP."""
    path = tmp_path_factory.mktemp("over-http")
    with Root(path) as root:
        tokens = tokens_of(root)
    with LocalServer(path) as server:
        sessions = {who: requests.Session() for who in tokens}
        for who, token in tokens.items():
            sessions[who].headers.update({"Authorization": f"Bearer {token}"} if token else {})
        runner = replay.Runner(sessions, server.url)
        yield runner
        runner.close()
        for session in sessions.values():
            session.close()


@MISSING
@pytest.mark.parametrize("transport", ["in_process", "over_http"])
@pytest.mark.parametrize(("suite", "scenario"), SCENARIOS, ids=lambda part: part.get("area") or part["name"])
def test_scenario(
    suite: dict[str, Any], scenario: dict[str, Any], transport: str, request: pytest.FixtureRequest
) -> None:
    """Every recorded scenario replays without a difference."""
    runner = request.getfixturevalue(transport)

    failures = runner.run(suite, scenario)

    assert failures == [], "\n".join(": ".join(failure) for failure in failures)

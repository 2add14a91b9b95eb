"""MINIDs of a real HTTP service, with the login that deriva leaves."""

from pathlib import Path

import pytest
from identifier_service import identifier_service, log_in

from deriva_ml_core.catalog.identifiers import register_minid
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLAuthenticationError, DerivaMLException

LOCATION = "s3://bucket/bag.zip"


@pytest.fixture
def service(monkeypatch):
    with identifier_service() as running:
        monkeypatch.setenv("DERIVA_ML_MINID_NAMESPACE", running.namespace)
        yield running


def register():
    return register_minid(LOCATION, sha256="ab" * 32, size_bytes=5, title="a bag")


def test_a_minid_leads_to_the_file(service):
    """What a reader needs: where it is, and how to know that it is the right one."""
    log_in(Path.home())

    assert register() == "hdl:20.500.1/0"
    assert service.registered == [
        {
            "location": [LOCATION],
            "checksums": [{"function": "sha256", "value": "ab" * 32}],
            "metadata": {"title": "a bag", "length": 5},
            "visible_to": ["public"],
        }
    ]


@pytest.mark.parametrize(
    "login", [{"expires_in_s": -60}, {"scope": "openid"}, None], ids=["expired", "another's", "none"]
)
def test_without_a_login_the_command_that_makes_one_is_told(service, login):
    """A person has to do that; nothing is sent before."""
    if login is not None:
        log_in(Path.home(), **login)
    with pytest.raises(DerivaMLAuthenticationError, match=r"deriva-globus-auth-utils login .*--requested-scopes"):
        register()

    assert service.registered == []


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ((403, {"message": "not you"}), DerivaMLAuthenticationError, "refuses your login"),
        ((500, {"message": "out of names"}), DerivaMLException, "refused it: 500 out of names"),
        ((201, {"id": 5}), DerivaMLException, "gave no identifier"),
    ],
)
def test_a_service_that_refuses_is_told_in_its_words(service, answer, kind, told):
    """In one line that names the service."""
    log_in(Path.home())
    service.answer = answer
    with pytest.raises(kind, match=rf"127\.0\.0\.1 {told}"):
        register()


def test_a_service_that_is_away_is_told(service, monkeypatch):
    """It is not waited for: the bag is stored, and somebody is waiting for it."""
    log_in(Path.home())
    monkeypatch.setenv("DERIVA_ML_MINID_NAMESPACE", "http://127.0.0.1:9/namespace/minid")
    with pytest.raises(CatalogUnreachable, match=r"127\.0\.0\.1 does not answer"):
        register()


def test_a_login_does_not_travel_in_clear_text(monkeypatch):
    """As to a catalog."""
    log_in(Path.home())
    monkeypatch.setenv("DERIVA_ML_MINID_NAMESPACE", "http://identifiers.example.org/namespace/minid")
    with pytest.raises(DerivaMLException, match="https:// only"):
        register()

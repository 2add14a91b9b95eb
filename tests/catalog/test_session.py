"""Sessions: connecting, what goes wrong then, snapshots, deriva's own objects."""

import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from deriva_ml_core.catalog.http import HttpClient, Patience
from deriva_ml_core.catalog.known_models import known_models_trusted
from deriva_ml_core.catalog.session import _LOGIN_FILES, _LOGINS, CatalogSession
from deriva_ml_core.errors import (
    CatalogError,
    CatalogUnreachable,
    DerivaMLAuthenticationError,
    DerivaMLConfigurationError,
    DerivaMLException,
    DerivaMLNotFoundError,
    DerivaMLReadOnlyError,
    DerivaMLSchemaError,
)
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_domain_schema, create_tables

AT_ONCE = Patience(connect_timeout_s=2, read_timeout_s=5, connect_repeats=1, answer_repeats=1, backoff_s=0.01)


def test_connecting_is_one_request(connect, new_catalog):
    """Host, catalog, login and tables are proved by a single request; the model is then known."""
    session = connect(new_catalog())

    assert "public" in {schema for schema, _ in session.model.tables}
    assert session.client.requests_sent == 1


def test_the_model_is_read_again_only_when_the_catalog_changed(catalog_session):
    """Revalidation by ETag: an unchanged catalog answers 304 and the same model is kept."""
    model = catalog_session.model

    assert catalog_session.refresh_model() is model
    catalog_session.post_json("/schema", {"schemas": {"new": {"schema_name": "new", "tables": {}}}})
    assert "new" in catalog_session.refresh_model().domain_schemas


def test_the_next_connection_of_a_process_knows_the_model(connect, new_catalog):
    """It asks whether the catalog has changed; a job of a sweep does not, and finds what it misses all the same."""
    catalog = new_catalog()
    first = connect(catalog)
    second = connect(catalog)
    with known_models_trusted():
        third = connect(catalog)

    assert second.model is first.model
    assert (second.client.requests_sent, third.client.requests_sent) == (1, 0)
    create_domain_schema(first, "project")
    create_tables(first, "project", [TableDef("New", (ColumnDef("Name", "text"),))])
    assert third.model.has_table("New")
    assert not third.model.has_table("Other")
    assert third.client.requests_sent == 1


def test_an_unknown_catalog_is_answered_with_those_there_are(connect, new_catalog):
    """One line says what is there instead."""
    with pytest.raises(DerivaMLNotFoundError, match=r"local has no catalog 'digts'; did you mean 'digits'.*1, digits"):
        connect("digts", known_catalogs=lambda: ["1", "digits"])


def test_an_unknown_snapshot_is_refused(connect, new_catalog):
    """A snapshot before the catalog existed is no catalog."""
    with pytest.raises(DerivaMLException, match="snapshot 2"):
        connect(f"{new_catalog()}@2")


def test_an_unknown_host_is_one_line():
    """A name that nobody resolves is the user's input, not a failure of the run."""
    with pytest.raises(DerivaMLNotFoundError, match=r"no host is called 'nowhere\.invalid'") as caught:
        CatalogSession.connect("nowhere.invalid", "1", credential={}, patience=AT_ONCE)

    assert caught.value.exit_code == 2


def test_an_unknown_host_is_asked_for_once(caplog):
    """At the start of a command a name that nobody knows is a typing error: no repeats, no waiting, no warnings."""
    with pytest.raises(DerivaMLNotFoundError, match="no host is called"):
        CatalogSession.connect("nowhere.invalid", "1", credential={})

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_name_that_was_known_before_is_asked_for_again(caplog):
    """In the middle of a run a name that is gone means that the network is away: it may come back."""
    client = HttpClient("https://nowhere.invalid", patience=AT_ONCE)

    with pytest.raises(DerivaMLNotFoundError):
        client.request("GET", "/")

    assert "nowhere.invalid does not answer: it is asked again" in caplog.text


def test_a_server_that_is_away_is_told_once(caplog):
    """However often a request is repeated: a person can do nothing about it meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{port}", patience=replace(AT_ONCE, connect_repeats=3))

    with pytest.raises(CatalogUnreachable):
        client.request("GET", "/")

    ours = [record.getMessage() for record in caplog.records if record.name == "deriva_ml_core.catalog.http"]
    assert ours == ["127.0.0.1 does not answer: it is asked again"]


def test_who_never_logged_in_has_no_login(monkeypatch, tmp_path):
    """Looking for a login makes no file, and does not load deriva's client; its files' names are deriva's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "import sys, deriva_ml_core.catalog.session as s; s.stored_credential('x'); print('deriva' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    names = "import deriva.core as c; print(c.DEFAULT_CREDENTIAL_FILE, c.DEFAULT_GLOBUS_CREDENTIAL_FILE)"
    theirs = subprocess.run([sys.executable, "-c", names], check=True, capture_output=True, text=True).stdout

    assert loaded.strip() == "False"
    assert not (tmp_path / ".deriva").exists()
    assert theirs.split() == [str(_LOGINS.expanduser() / name) for name in _LOGIN_FILES]


def test_a_host_that_does_not_answer_is_one_line():
    """Nobody listens there: said at once, with the host's name."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(CatalogUnreachable, match=r"^local does not answer"):
        CatalogSession.connect("local", "1", base_url=f"http://127.0.0.1:{port}", patience=AT_ONCE)


def test_a_missing_login_names_the_command(connect, new_catalog):
    """Whoever has no login reads what to type."""
    with pytest.raises(DerivaMLAuthenticationError, match=r"no login for local: type `deriva-globus-auth-utils login"):
        connect(new_catalog(), credential={})


def test_an_expired_login_names_the_command(connect, new_catalog):
    """A login that the server no longer accepts is told from none at all; the token itself is never shown."""
    with pytest.raises(DerivaMLAuthenticationError, match="no longer accepts your login") as caught:
        connect(new_catalog(), credential={"bearer-token": "stale-secret"})

    assert "stale-secret" not in str(caught.value)


@pytest.mark.parametrize("hostname", ["", "a b", "user@host", "host/path", "http://host"])
def test_what_can_not_be_a_host_is_refused(hostname):
    """Text that would end up elsewhere in a URL never gets there."""
    with pytest.raises(DerivaMLConfigurationError, match="can't be a hostname"):
        CatalogSession.connect(hostname, "1", credential={})


@pytest.mark.parametrize("catalog", ["", "1/entity", "a?b", "a b"])
def test_what_can_not_be_a_catalog_is_refused(catalog):
    """A catalog's name is one part of a path."""
    with pytest.raises(DerivaMLConfigurationError, match="can't be a catalog"):
        CatalogSession.connect("host", catalog, credential={})


def test_a_login_never_travels_in_clear_text():
    """Plain http is for this machine only."""
    with pytest.raises(DerivaMLException, match="use https://"):
        HttpClient("http://example.org", credential={"bearer-token": "x"})


def test_a_wrong_schema_in_the_configuration_is_found_on_connecting(connect, new_catalog):
    """A schema that is not there is refused before anything is done."""
    with pytest.raises(DerivaMLSchemaError, match="no schema 'nope'"):
        connect(new_catalog(), default_schema="nope")


def test_a_refusal_carries_the_servers_words(catalog_session):
    """The message says which request was refused and why, in one line; the error has its status."""
    with pytest.raises(CatalogError, match=r"refused GET /ermrest/catalog/.*/schema/none: 404") as caught:
        catalog_session.get("/schema/none")

    assert caught.value.status == 404
    assert "\n" not in str(caught.value)


def test_snapshots_show_the_past_and_take_no_changes(catalog_session):
    """A snapshot keeps its model while the catalog goes on, and refuses writing before asking the server."""
    then = catalog_session.latest_snaptime()
    catalog_session.post_json("/schema", {"schemas": {"later": {"schema_name": "later", "tables": {}}}})
    past = catalog_session.at(then)

    assert past.model.domain_schemas == ()
    assert catalog_session.refresh_model().domain_schemas == ("later",)
    with pytest.raises(DerivaMLReadOnlyError, match=f"@{then} is a snapshot"):
        past.post_json("/schema", {})


def test_a_snapshot_can_be_named_in_the_catalog_id(connect, catalog_session):
    """N@SNAPSHOT means the same everywhere."""
    then = catalog_session.latest_snaptime()

    past = connect(f"{catalog_session.catalog_id}@{then}")

    assert (past.catalog_id, past.snapshot_id) == (catalog_session.catalog_id, then)
    assert past.record_url("1-ABCD").endswith(f"/id/{catalog_session.catalog_id}/1-ABCD@{then}")


def test_records_of_the_embedded_catalog_have_no_port_in_their_names(catalog_session):
    """The port changes at every start, so an address with it would be a lie tomorrow."""
    assert catalog_session.record_url("1-ABCD") == f"local/id/{catalog_session.catalog_id}/1-ABCD"


def test_the_session_knows_who_is_asking(catalog_session):
    """The client's id, as the catalog writes it into RCB."""
    assert catalog_session.client_id()


def test_derivas_own_objects_are_at_hand(catalog_session):
    """Users of deriva get its catalog, model, path builder and store, connected and with the session's login."""
    assert catalog_session.ermrest.exists()
    assert "public" in catalog_session.deriva_model().schemas
    assert "public" in catalog_session.path_builder().schemas
    assert catalog_session.hatrac.is_valid_namespace("/hatrac")


def test_nothing_of_deriva_is_loaded_by_connecting(local_server, new_catalog):
    """Its import costs as much as a Hydra application's start: a run against the embedded catalog does without."""
    code = (
        "import sys\n"
        "from deriva_ml_core.catalog.session import CatalogSession\n"
        f"with CatalogSession.connect('local', '{new_catalog()}', base_url='{local_server.url}', "
        f"credential={local_server.credential!r}) as session:\n"
        "    session.model\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'deriva', 'requests', 'pandas', 'bdbag'}))\n"
    )

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_forked_child_has_connections_of_its_own(local_server, new_catalog):
    """Launchers and data loaders fork: two processes on one connection would read each other's answers."""
    code = (
        "import os\n"
        "from deriva_ml_core.catalog.session import CatalogSession\n"
        f"session = CatalogSession.connect('local', '{new_catalog()}', base_url='{local_server.url}', "
        f"credential={local_server.credential!r})\n"
        "child = os.fork()\n"
        "path, key = ('/schema/public', 'schema_name') if child else ('/', 'snaptime')\n"
        "right = all(key in session.get_json(path) for _ in range(100))\n"
        "if not child: os._exit(0 if right else 1)\n"
        "print(right, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "session.close()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("True 0", "")

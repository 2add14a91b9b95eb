"""A Deriva server of its own, over HTTPS, with a login that deriva has stored: everything as with a remote host."""

import json
import os
import subprocess
import sys

import pytest
from served_fixture import CATALOG, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificate):
    """A served root with one user: yields (hostname, token, certificate file)."""
    root = tmp_path_factory.mktemp("https") / "root"
    subprocess.run([*CATALOG, "create", "demo", "--root", root], check=True, capture_output=True)
    with serving(root, certificate, {"ada": True}) as served:
        yield served.hostname, served.tokens["ada"], certificate[0]


def ask(code, home, **environment):
    """What a process of a user with this home prints, and its errors' last line."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HOME": str(home), **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip(), (done.stderr.strip().splitlines() or [""])[-1]


def connecting(hostname, then="print(session.client_id())"):
    return (
        "from deriva_ml_core.catalog.session import CatalogSession\n"
        "from deriva_ml_core.catalog.http import Patience\n"
        f"with CatalogSession.connect('{hostname}', 'demo', patience=Patience(connect_repeats=0)) as session:\n"
        f"    {then}\n"
    )


def store_login(home, hostname, token):
    (home / ".deriva").mkdir()
    (home / ".deriva" / "credential.json").write_text(json.dumps({hostname: {"bearer-token": token}}))


@pytest.fixture
def asked(server, tmp_path):
    """As `ask`, of code with a `session`, by a user who has logged in and trusts the server's certificate."""
    hostname, token, certificate = server
    store_login(tmp_path, hostname, token)

    def answer(*then, **environment):
        return ask(connecting(hostname, *then), tmp_path, REQUESTS_CA_BUNDLE=certificate, **environment)

    return answer


def test_the_login_that_deriva_stored_is_used(asked):
    """Whoever has logged in with deriva's command connects without another word."""
    who, error = asked()

    assert (who, error) == ("ada", "")


def test_records_of_a_server_have_its_address(server, asked):
    """The address of a record works in a browser."""
    url, _ = asked("print(session.record_url('1-ABCD'))")

    assert url == f"https://{server[0]}/id/demo/1-ABCD"


def test_without_a_login_the_command_is_named(server, tmp_path):
    """The one line says what to type for this very host."""
    hostname, _, certificate = server

    _, error = ask(connecting(hostname), tmp_path, REQUESTS_CA_BUNDLE=certificate)

    assert f"no login for {hostname}: type `deriva-globus-auth-utils login --host {hostname}`" in error


def test_an_expired_login_is_told_from_none(server, tmp_path):
    """The user hears that the old login is no longer accepted; the token is not shown."""
    hostname, _, certificate = server
    store_login(tmp_path, hostname, "long-ago")

    _, error = ask(connecting(hostname), tmp_path, REQUESTS_CA_BUNDLE=certificate)

    assert f"{hostname} no longer accepts your login" in error
    assert "long-ago" not in error


def test_small_objects_come_over_https_too(asked):
    """By their own connections, which believe in the same certificates: without the right one nothing is sent."""
    store = (
        "from pathlib import Path\n"
        "    from deriva_ml_core.catalog import objects\n"
        "    file = Path.home() / 'file'\n"
        "    file.write_bytes(b'content')\n"
        "    url = objects.put_file(session, file, '/hatrac/small')\n"
    )
    take = "    print(session.client.get_small(url, 7).content.decode())\n"
    forget = "    import certifi, os; os.environ['REQUESTS_CA_BUNDLE'] = certifi.where()\n"

    fetched, _ = asked(store + take)
    _, refused = asked(store + forget + take)

    assert fetched == "content"
    assert refused == "AttributeError: 'NoneType' object has no attribute 'content'"


def test_threads_that_ask_at_once_share_what_is_closed_at_the_end(asked):
    """A connection that one of them opened, and that another's took the place of, would stay open for ever."""
    together = (
        "import threading\n"
        "    session.client.request('PUT', '/hatrac/together', body=b'content')\n"
        "    gate, found = threading.Barrier(8), []\n"
        "    def one():\n"
        "        gate.wait()\n"
        "        found.append(session.client.get_small('/hatrac/together', 7).content.decode())\n"
        "    threads = [threading.Thread(target=one) for _ in range(8)]\n"
        "    [thread.start() for thread in threads]\n"
        "    [thread.join() for thread in threads]\n"
        "    print(*found)"
    )

    fetched, complained = asked(together, PYTHONWARNINGS="default")

    assert fetched.split() == ["content"] * 8
    assert complained == ""


def test_a_certificate_that_nobody_vouches_for_is_refused(server, tmp_path):
    """A login is not sent to a machine that only claims to be the host; the line says how to vouch for it."""
    hostname, token, _ = server
    store_login(tmp_path, hostname, token)

    _, error = ask(connecting(hostname), tmp_path)

    assert f"{hostname} has no certificate that this machine trusts" in error


def test_derivas_own_client_gets_the_same_login(asked):
    """`session.ermrest` asks the same server as the same user."""
    name, error = asked("print(session.ermrest.get_authn_session().json()['client']['id'])")

    assert (name, error) == ("ada", "")

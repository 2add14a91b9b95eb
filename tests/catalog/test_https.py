"""A Deriva server of its own, over HTTPS, with a login that deriva has stored: everything as with a remote host."""

import datetime
import ipaddress
import json
import os
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CATALOG = [sys.executable, "-m", "deriva_ml_core.cli.catalog"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A served root with one user: yields (hostname, token, certificate file)."""
    folder = tmp_path_factory.mktemp("https")
    root, certificate, key = folder / "root", folder / "cert.pem", folder / "key.pem"
    write_certificate(certificate, key)
    subprocess.run([*CATALOG, "create", "demo", "--root", root], check=True, capture_output=True)
    user = [*CATALOG, "user", "add", "ada", "--admin", "--root", root]
    token = subprocess.run(user, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    serve = [*CATALOG, "serve", "--root", root, "--tls-cert", certificate, "--tls-key", key]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip().rpartition(":")[2]
        yield f"localhost:{port}", token, certificate
        process.terminate()


def write_certificate(certificate, key):
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


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


def test_the_login_that_deriva_stored_is_used(server, tmp_path):
    """Whoever has logged in with deriva's command connects without another word."""
    hostname, token, certificate = server
    store_login(tmp_path, hostname, token)

    who, error = ask(connecting(hostname), tmp_path, REQUESTS_CA_BUNDLE=certificate)

    assert (who, error) == ("ada", "")


def test_records_of_a_server_have_its_address(server, tmp_path):
    """The address of a record works in a browser."""
    hostname, token, certificate = server
    store_login(tmp_path, hostname, token)

    url, _ = ask(connecting(hostname, "print(session.record_url('1-ABCD'))"), tmp_path, REQUESTS_CA_BUNDLE=certificate)

    assert url == f"https://{hostname}/id/demo/1-ABCD"


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


def test_a_certificate_that_nobody_vouches_for_is_refused(server, tmp_path):
    """A login is not sent to a machine that only claims to be the host; the line says how to vouch for it."""
    hostname, token, _ = server
    store_login(tmp_path, hostname, token)

    _, error = ask(connecting(hostname), tmp_path)

    assert f"{hostname} has no certificate that this machine trusts" in error


def test_derivas_own_client_gets_the_same_login(server, tmp_path):
    """`session.ermrest` asks the same server as the same user."""
    hostname, token, certificate = server
    store_login(tmp_path, hostname, token)

    name, error = ask(
        connecting(hostname, "print(session.ermrest.get_authn_session().json()['client']['id'])"),
        tmp_path,
        REQUESTS_CA_BUNDLE=certificate,
    )

    assert (name, error) == ("ada", "")

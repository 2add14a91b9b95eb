"""The command deriva-ml-catalog: what it prints, what it refuses, and how it serves."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from deriva_ml_core.cli.catalog import main
from deriva_ml_core.local_catalog import LocalServer


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command on a root of its own; returns exit code, output and error output."""

    def call(*arguments: object, root: Path = tmp_path / "root") -> tuple[int, str, str]:
        try:
            code = main([*map(str, arguments), "--root", str(root)])
        except SystemExit as leave:
            code = int(leave.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@contextmanager
def served(root: Path, *options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`deriva-ml-catalog serve`: its URL, and its process; stopped at the end."""
    line = [sys.executable, "-m", "deriva_ml_core.cli.catalog", "serve", "--root", str(root), *map(str, options)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        announced = process.stdout.readline()
        assert announced.startswith("listening on "), process.communicate(timeout=30)
        yield announced.removeprefix("listening on ").strip(), process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_catalog_is_made_listed_and_removed_by_name(run):
    """The name works wherever an id does."""
    code, made, _ = run("create", "demo", "--json")
    listed = json.loads(run("list", "--json")[1])
    removed = run("delete", "demo")

    assert (code, listed[0]["id"], listed[0]["names"]) == (0, json.loads(made)["id"], ["demo"])
    assert removed[:2] == (0, f"deleted catalog demo (id {listed[0]['id']}) and its history\n")
    assert json.loads(run("list", "--json")[1]) == []


def test_who_makes_a_catalog_reads_how_to_address_it(run, tmp_path):
    """What was made and where, and what to write to use it; with --json, the same for scripts."""
    code, said, _ = run("create", "demo")
    document = json.loads(run("create", "other", "--json")[1])

    assert code == 0
    assert said.splitlines()[0] == f"made catalog demo (id 1) in {tmp_path / 'root'}"
    assert 'hostname="local", catalog_id="demo" or --host local --catalog demo' in said
    assert f"DERIVA_ML_LOCAL_ROOT={tmp_path / 'root'}" in said
    assert said.splitlines()[-1] == "to record runs in it: `deriva-ml-catalog schema install demo`"
    assert document == {"id": "2", "names": ["other"], "hostname": "local", "root": str(tmp_path / "root")}


def test_a_catalog_is_made_with_the_schema_in_it(run):
    """`create NAME --schema` is all that runs need."""
    code, said, _ = run("create", "demo", "--schema")

    assert code == 0
    assert "schema install" not in said
    assert run("schema", "check", "demo")[0] == 0


def test_a_name_works_as_catalog_id(run, tmp_path):
    """An alias stands for its catalog in every URL."""
    run("create", "demo")
    with LocalServer(tmp_path / "root") as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        schema = requests.get(server.url + "/ermrest/catalog/demo/schema", headers=headers, timeout=30)

    assert schema.status_code == 200


def test_a_list_is_told_without_loading_the_server(tmp_path):
    """It looks into the root's registry, and answers three times as soon as a command that has a server to start."""
    code = (
        "import sys; from deriva_ml_core.cli.catalog import main\n"
        "try: main(['list', '--root', sys.argv[1]])\n"
        "except SystemExit as end: print(end.code or 0)\n"
        "print([m for m in ('werkzeug', 'cheroot', 'lark', 'urllib3') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_list_is_a_table_for_people(run):
    """One line a catalog below a head."""
    run("create", "demo")

    head, line = run("list")[1].splitlines()

    assert head.split() == ["ID", "NAME", "CREATED", "SIZE"]
    assert line.split()[:2] == ["1", "demo"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "demo"], "already"),
        (["create", "1st"], "no catalog name"),
        (["create", "a/b"], "no catalog name"),
        (["delete", "dmo"], "there are: 1, demo"),
        (["user", "add", "a b"], "no user name"),
        (["user", "remove", "nobody"], "there are: none"),
        (["serve", "--port", "65536"], "'65536' is no port"),
        (["serve", "--port", "-1"], "'-1' is no port"),
        (["serve", "--host", "nowhere.invalid", "--port", "1"], "user add"),
        (["serve", "--tls-cert", "absent.pem", "--tls-key", "k.pem"], "absent.pem cannot be read: No such file"),
        (["nonsense"], "invalid choice"),
        (["serve", "--port", "x"], "'x' is no port"),
        (["serve", "--tls-cert", "x"], "go together"),
        (["serve", "--host", "0.0.0.0"], "user add"),
        (["restore", "/nonexistent"], "no backup"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(run, arguments, words):
    """What is wrong, what is there, what to do; on standard error; nothing on standard output."""
    run("create", "demo")

    code, out, err = run(*arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize("arguments", [["list"], ["delete", "x"], ["check"], ["user", "list"], ["backup", "/tmp/x"]])
def test_a_root_that_is_not_there_is_not_made(run, tmp_path, arguments):
    """Commands that look or remove make nothing."""
    code, _, err = run(*arguments, root=tmp_path / "absent")

    assert code == 2
    assert "no root folder" in err
    assert not (tmp_path / "absent").exists()


def test_the_root_may_come_from_the_environment(tmp_path, monkeypatch, capsys):
    """DERIVA_ML_LOCAL_ROOT is the default of --root."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(tmp_path / "chosen"))

    assert main(["create", "demo"]) == 0
    assert "LOCAL_ROOT" not in capsys.readouterr().out  # nothing to say: the next command finds it as well
    assert (tmp_path / "chosen" / "registry.db").exists()


def test_a_token_is_all_that_user_add_prints(run, tmp_path):
    """So that a script can take it; the registry keeps its hash alone."""
    code, out, err = run("user", "add", "ann", "--admin")
    users = json.loads(run("user", "list", "--json")[1])
    token = out.strip()

    assert (code, err, out.count("\n"), len(token) >= 32) == (0, "", 1, True)
    assert [(user["name"], user["admin"]) for user in users] == [("ann", True)]
    assert token.encode() not in (tmp_path / "root" / "registry.db").read_bytes()


def test_a_removed_user_is_nobody(run, tmp_path):
    """A token is worthless from the moment its user is removed."""
    token = run("user", "add", "ann")[1].strip()
    run("user", "add", "bob")
    with LocalServer(tmp_path / "root") as server:
        url, headers = server.url + "/authn/session", {"Authorization": f"Bearer {token}"}
        before = requests.get(url, headers=headers, timeout=30).status_code
        run("user", "remove", "ann")
        after = requests.get(url, headers=headers, timeout=30).status_code

    assert (before, after) == (200, 404)


# serve


def test_serve_says_when_it_is_ready_and_stops_on_sigterm(tmp_path):
    """A script may wait for the line, and SIGTERM is a clean end."""
    with served(tmp_path) as (url, process):
        answer = requests.get(url + "/authn/session", timeout=30)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)

    assert answer.status_code == 200
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "host.lock").read_text() == ""


def test_serve_on_a_taken_port_is_refused(tmp_path, run):
    """One line instead of a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = run("serve", "--port", taken.getsockname()[1])

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Cannot listen" in err


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_without_users_a_web_page_cannot_act_for_its_reader(tmp_path, headers):
    """Nobody is asked for a token on loopback, so other sites' pages are refused."""
    with served(tmp_path) as (url, _):
        answer = requests.post(url + "/ermrest/catalog", headers=headers, timeout=30)

    assert answer.status_code == 403


def test_with_users_serve_asks_for_tokens_on_any_address(tmp_path, run):
    """Another address than loopback insists on a user; who brings no token is anonymous."""
    token = run("user", "add", "ann", "--admin")[1].strip()
    with served(tmp_path / "root", "--host", "0.0.0.0") as (any_address, _):
        url = any_address.replace("0.0.0.0", "127.0.0.1")
        anonymous = requests.post(url + "/ermrest/catalog", timeout=30)
        ann = requests.post(url + "/ermrest/catalog", headers={"Cookie": f"webauthn={token}"}, timeout=30)

    assert (anonymous.status_code, ann.status_code) == (401, 201)


def test_a_user_may_log_in_by_form(tmp_path, run):
    """A browser gets a cookie for name and token, and loses it by logging out."""
    token = run("user", "add", "ann")[1].strip()
    with served(tmp_path / "root") as (url, _), requests.Session() as session:
        wrong = session.post(url + "/authn/session", data={"username": "ann", "password": "x"}, timeout=30)
        right = session.post(url + "/authn/session", data={"username": "ann", "password": token}, timeout=30)
        found = session.get(url + "/authn/session", timeout=30)
        out = session.delete(url + "/authn/session", timeout=30)
        gone = session.get(url + "/authn/session", timeout=30)

    assert [answer.status_code for answer in (wrong, right, found, out, gone)] == [401, 200, 200, 200, 404]
    assert "logout_url" in out.json()


# backup, restore, check


def _fill(root: Path) -> None:
    with LocalServer(root) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        for number in range(3):
            session.put(server.url + f"/hatrac/space/o{number}?parents=true", data=b"content %d" % number)


def test_a_backup_of_a_live_root_is_a_root(run, tmp_path):
    """What was there at the time of the backup is in it, and only that."""
    run("create", "demo")
    with LocalServer(tmp_path / "root") as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        session.put(server.url + "/hatrac/before", data=b"before")
        code = run("backup", tmp_path / "copy")[0]
        session.put(server.url + "/hatrac/after", data=b"after")
    checked = run("check", root=tmp_path / "copy")
    with LocalServer(tmp_path / "copy") as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        content = requests.get(server.url + "/hatrac/before", headers=headers, timeout=30).content
        listed = requests.get(server.url + "/hatrac/", headers=headers, timeout=30).json()
        schema = requests.get(server.url + "/ermrest/catalog/demo/schema", headers=headers, timeout=30)

    assert (code, checked[0]) == (0, 0)
    assert (content, listed, schema.status_code) == (b"before", ["/hatrac/before"], 200)


def test_restore_makes_a_root_and_overwrites_nothing(run, tmp_path):
    """A folder that has something in it stays as it is."""
    _fill(tmp_path / "root")
    run("backup", tmp_path / "copy")

    first = run("restore", tmp_path / "copy", root=tmp_path / "new")
    second = run("restore", tmp_path / "copy", root=tmp_path / "new")

    assert (first[0], second[0]) == (0, 2)
    assert "nothing is overwritten" in second[2]
    assert run("check", root=tmp_path / "new")[0] == 0


def test_backup_overwrites_nothing(run, tmp_path):
    """A folder that has something in it stays as it is."""
    _fill(tmp_path / "root")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine").write_text("mine")

    code, _, err = run("backup", tmp_path / "copy")

    assert (code, "nothing is overwritten" in err) == (2, True)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["mine"]


def test_check_finds_a_good_root_good(run, tmp_path):
    """Exit code 0, and what was looked at."""
    run("create", "demo")
    _fill(tmp_path / "root")

    code, out, _ = run("check")

    assert (code, out) == (0, "1 catalogs, 3 objects: nothing wrong\n")


def test_check_says_which_object_is_wrong(run, tmp_path):
    """A changed byte and a missing file are both told, with the object's name; exit code 1."""
    _fill(tmp_path / "root")
    changed, missing = sorted((tmp_path / "root" / "objects").glob("*/*"))[:2]
    changed.write_bytes(b"CONTENT 0")
    missing.unlink()

    code, out, _ = run("check", "--json")
    findings = json.loads(out)["findings"]

    assert code == 1
    assert [finding["where"].startswith("object /hatrac/space/o") for finding in findings] == [True, True]
    assert any("another SHA-256" in finding["what"] for finding in findings)
    assert any("cannot be read" in finding["what"] for finding in findings)


def test_check_says_when_a_database_is_broken(run, tmp_path):
    """A page of zeros in a catalog is found."""
    run("create", "demo")
    database = next((tmp_path / "root" / "catalogs").rglob("catalog.db"))
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 4096)

    code, out, _ = run("check")

    assert code == 1
    assert out.startswith("catalog 1: ")


# TLS


def test_serve_speaks_tls(tmp_path, certificate):
    """With a certificate, HTTPS; somebody who connects and says nothing keeps nobody waiting."""
    cert, key = certificate
    with served(tmp_path / "root", "--tls-cert", cert, "--tls-key", key) as (url, _):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            answer = requests.get(f"https://localhost:{port}/authn/session", verify=str(cert), timeout=5)

    assert url.startswith("https://")
    assert answer.status_code == 200


def test_the_url_has_the_name_that_was_asked_for(tmp_path):
    """A certificate is for localhost, not for 127.0.0.1: who copies the printed URL should reach it."""
    with served(tmp_path / "root", "--host", "localhost") as (url, _):
        assert re.fullmatch(r"http://localhost:\d+", url)
        assert requests.get(f"{url}/ermrest/", timeout=30).status_code == 200


def test_a_key_that_does_not_fit_is_refused(tmp_path, certificate, run):
    """One line instead of a traceback."""
    code, _, err = run("serve", "--tls-cert", certificate[0], "--tls-key", certificate[0])

    assert (code, err.count("\n")) == (2, 1)
    assert str(certificate[0]) in err


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path, run):
    """Who forgot a server reads so at once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, out, err = run("serve", "--port", str(port))

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use." in err


def _deriva(name: str, *arguments: str, cert: Path) -> subprocess.CompletedProcess[str]:
    """One of deriva's own commands, trusting our certificate."""
    program = Path(sys.executable).with_name(name)
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "REQUESTS_CA_BUNDLE": str(cert)},
    )


def test_derivas_hatrac_command_works(tmp_path, certificate, run):
    """deriva-hatrac-cli speaks HTTPS only: mkdir, put, ls, get, del."""
    cert, key = certificate
    token = run("user", "add", "ann", "--admin")[1].strip()
    (tmp_path / "in.txt").write_text("content")
    with served(tmp_path / "root", "--tls-cert", cert, "--tls-key", key) as (url, _):
        login = ["--host", f"localhost:{url.rpartition(':')[2]}", "--token", token]
        steps = [
            _deriva("deriva-hatrac-cli", *login, *step, cert=cert)
            for step in (
                ["mkdir", "/hatrac/space"],
                ["put", str(tmp_path / "in.txt"), "/hatrac/space/o"],
                ["ls", "/hatrac/space"],
                ["get", "/hatrac/space/o", str(tmp_path / "out.txt")],
                ["del", "/hatrac/space/o"],
            )
        ]

    assert [step.returncode for step in steps] == [0] * 5, [step.stderr for step in steps]
    assert steps[2].stdout.split() == ["/hatrac/space/o"]
    assert (tmp_path / "out.txt").read_text() == "content"


def test_derivas_catalog_command_works(tmp_path, certificate, run):
    """deriva-catalog-cli: create, exists, get, delete."""
    cert, key = certificate
    token = run("user", "add", "ann", "--admin")[1].strip()
    with served(tmp_path / "root", "--tls-cert", cert, "--tls-key", key) as (url, _):
        login = ["--host", f"localhost:{url.rpartition(':')[2]}", "--token", token]
        made = _deriva("deriva-catalog-cli", *login, "create", cert=cert)
        exists = _deriva("deriva-catalog-cli", *login, "exists", "1", cert=cert)
        rows = _deriva("deriva-catalog-cli", *login, "get", "1", "/entity/public:ERMrest_Client", cert=cert)
        gone = _deriva("deriva-catalog-cli", *login, "drop", "1", cert=cert)

    assert [step.returncode for step in (made, exists, rows, gone)] == [0] * 4, made.stderr + gone.stderr
    assert json.loads(rows.stdout)[0]["ID"] == "ann"


def test_the_command_and_a_run_mean_the_same_folder(tmp_path, monkeypatch):
    """A root that is named with ~ is the home folder's for both, not a folder called ~ for one of them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", "~/catalogs")
    monkeypatch.chdir(tmp_path)

    assert main(["create", "demo"]) == 0

    assert (tmp_path / "catalogs" / "registry.db").is_file()
    assert not (tmp_path / "~").exists()

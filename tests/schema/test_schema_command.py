"""`deriva-ml-catalog schema`, as a user types it."""

import json

import pytest

from deriva_ml_core.cli.catalog import main
from deriva_ml_core.schema.definition import ml_schema


@pytest.fixture
def root(tmp_path, capsys):
    root = tmp_path / "root"
    assert main(["create", "demo", "--root", str(root)]) == 0
    capsys.readouterr()
    return root


def run(capsys, *argv):
    """Exit code, standard output and standard error of one command."""
    code = main([str(arg) for arg in argv])
    return code, *capsys.readouterr()


def test_installing_and_checking_by_command(root, capsys):
    """Two commands make a catalog ready for runs; the third proves it; repeating changes nothing."""
    assert run(capsys, "schema", "install", "demo", "--root", root) == (
        0,
        "installed the deriva-ml schema; terms added: 39\n",
        "",
    )
    assert run(capsys, "schema", "check", "demo", "--root", root) == (0, "generation 1.54: nothing wrong\n", "")
    assert run(capsys, "schema", "install", "demo", "--root", root) == (
        0,
        "the deriva-ml schema is there; terms added: 0\n",
        "",
    )


def test_a_check_that_fails_says_so_to_scripts(root, capsys):
    """Exit code 1 and JSON: a script knows whether, a person reads why."""
    code, out, _ = run(capsys, "schema", "check", "demo", "--root", root, "--json")

    assert code == 1
    assert json.loads(out) == {
        "generation": None,
        "valid": False,
        "errors": [{"where": "deriva-ml", "what": "the catalog has no such schema"}],
        "notes": [],
    }


def test_terms_take_the_projects_name(root, capsys):
    """--project stands in the IDs of terms, and the check does not mind which it is."""
    run(capsys, "schema", "install", "demo", "--root", root, "--project", "eye-ai")

    assert run(capsys, "schema", "check", "demo", "--root", root)[0] == 0


def test_a_wrong_name_costs_nothing(root, tmp_path, capsys):
    """No such catalog, no such folder: one line, exit code 2, and nothing is made."""
    code, out, err = run(capsys, "schema", "check", "dmo", "--root", root)
    assert (code, out) == (2, "")
    assert err == "deriva-ml-catalog: local has no catalog 'dmo'; did you mean 'demo'? (catalogs there: demo)\n"

    code, _, err = run(capsys, "schema", "install", "demo", "--root", tmp_path / "nowhere")
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "nowhere").exists()


def test_derivas_own_model_reads_the_schema(ml_session):
    """Tools that stand on deriva's client find the tables, keys and references."""
    model = ml_session.deriva_model()

    tables = model.schemas["deriva-ml"].tables
    assert set(tables.keys()) == {table.name for table in ml_schema().tables}
    assert tables["Dataset_Dataset_Type"].is_association()
    names = ml_session.path_builder().schemas["deriva-ml"].Execution_Status.entities()
    assert len(list(names)) == 7

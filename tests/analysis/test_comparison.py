"""`deriva-ml-executions compare`."""

import json

import pytest
from recorded_runs import ENVIRONMENT, Run, record_runs

from deriva_ml_core.cli.executions import main


@pytest.fixture
def place(new_ml):
    return ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]


def _environment(**packages):
    return {**ENVIRONMENT, "execution": "9-OWN", "imports": {**ENVIRONMENT["imports"], **packages}}


@pytest.fixture
def recorded(new_ml, tmp_path):
    """Call it with runs for the RIDs of parent and children."""
    return lambda *runs: record_runs(new_ml.session, tmp_path / "files", runs, parent=True)


def test_only_what_differs_is_listed_by_what_it_is(recorded, place, capsys):
    """Configuration, environment; what one of them does not say is null; the rest is counted."""
    _, (one, two) = recorded(
        Run({"model_config": "a"}, {"rate": 0.1, "epochs": 3, "nested": {"depth": 1}}, {"accuracy": 0.5}),
        Run(
            {"model_config": "b"},
            {"rate": 0.1, "epochs": 5, "nested": {"depth": 2}},
            {"accuracy": 0.6, "f1": float("nan")},
            environment=_environment(torch="2.6.0", flash="1.0"),
        ),
    )
    assert main(["compare", one, two, "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["differences"]["configuration"] == {
        "model_config (choice)": {one: "a", two: "b"},
        "epochs": {one: 3, two: 5},
        "nested.depth": {one: 1, two: 2},
    }
    assert found["same"]["configuration"] == 1
    assert found["differences"]["environment"] == {
        "package torch": {one: "2.5.1", two: "2.6.0"},
        "package flash": {one: None, two: "1.0"},
    }
    assert found["metrics"] == {"accuracy": {one: 0.5, two: 0.6}, "f1": {one: None, two: None}}


def test_where_a_run_ran_is_no_difference_and_what_changes_results_is(recorded, place, capsys):
    """Jobs of one sweep run in other processes, folders, jobs and nodes: nobody looks for those among the rest."""
    machine = {"machine": "x86_64", "memory_bytes": 25276518400}

    def ran(number: int, threads: str) -> dict:
        variables = {"SLURM_JOB_ID": f"{number}", "TMPDIR": f"/tmp/{number}", "OMP_NUM_THREADS": threads}
        return {
            **ENVIRONMENT,
            "os": {"pid": number, "cwd": f"/tmp/{number}", "cpu_count": 8, "environ": variables},
            "sys": {"version": "3.11.7", "argv": [f"{number}"], "executable": f"/env{number}/bin/python"},
            "sys_path": [f"/env{number}"],
            "platform": {**machine, "node": f"gpu{number}", "memory_bytes": machine["memory_bytes"] + number},
            "scheduler": {"kind": "slurm", "partition": "gpu", "node": f"gpu{number}", "job_id": f"{number}",
                          "array_job_id": "7", "array_task_id": f"{number}", "output": f"/scratch/{number}"},
        }  # fmt: skip

    _, (one, two) = recorded(Run(environment=ran(1, "4")), Run(environment=ran(2, "8")))
    assert main(["compare", one, two, "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["differences"]["environment"] == {"variable OMP_NUM_THREADS": {one: "4", two: "8"}}
    assert found["same"]["environment"] == 8


def test_what_an_import_sets_is_no_difference_and_what_a_user_sets_is(recorded, place, capsys):
    """scikit-learn sets two variables when it is imported, which the first job of a process has not done yet."""
    imported = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}
    first, later, own = (
        Run(environment={**ENVIRONMENT, "os": {"environ": variables}})
        for variables in ({}, imported, {**imported, "KMP_DUPLICATE_LIB_OK": "1"})
    )
    _, (one, two, three) = recorded(first, later, own)

    main(["compare", one, two, "--json", *place])
    assert json.loads(capsys.readouterr().out)["differences"]["environment"] == {}
    main(["compare", two, three, "--json", *place])
    assert json.loads(capsys.readouterr().out)["differences"]["environment"] == {
        "variable KMP_DUPLICATE_LIB_OK": {two: None, three: "1"}
    }


def test_code_that_differs_is_said_with_its_changes(recorded, place, capsys):
    """Another commit, and files that were not committed."""
    changed = {**ENVIRONMENT, "code": {"commit": "b" * 40, "dirty_paths": ["src/model.py"]}}
    _, (one, two) = recorded(Run(), Run(environment=changed))
    main(["compare", one, two, "--json", *place])
    code = json.loads(capsys.readouterr().out)["differences"]["code"]

    assert code["commit"] == {one: "a" * 40, two: "b" * 40}
    assert code["uncommitted changes"] == {one: None, two: "src/model.py"}


def test_inputs_that_differ(new_ml, workflow, place, capsys):
    """Datasets with their versions, and assets."""
    maker = new_ml.create_execution(workflow=workflow, description="makes")
    dataset = maker.create_dataset(dataset_types=["Complete"], description="d")
    one = new_ml.create_execution(workflow=workflow, description="uses", datasets=[dataset.dataset_rid]).execution_rid
    two = new_ml.create_execution(workflow=workflow, description="uses none").execution_rid
    main(["compare", one, two, "--json", *place])
    inputs = json.loads(capsys.readouterr().out)["differences"]["inputs"]

    assert inputs == {f"dataset {dataset.dataset_rid}": {one: str(dataset.current_version), two: None}}


def test_a_parent_stands_for_its_children_in_their_order(recorded, place, capsys):
    """Many are rows of a table, however wide; the parent's own RID is not among them."""
    parent, children = recorded(*(Run({}, {"rate": n / 10}, {f"m{k}": n + k for k in range(20)}) for n in range(6)))
    assert main(["compare", parent, *place]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[0] for line in lines[2:8]] == children
    assert max(map(len, lines)) <= 120
    assert any("m19" in line for line in lines)


def test_fifty_children_cost_a_handful_of_requests(recorded, place, server_log):
    """Beside their files, which are fetched once ever."""
    parent, _ = recorded(*(Run({}, {"rate": n}, {"m": n}) for n in range(50)))
    main(["compare", parent, *place])
    before = len(server_log)
    main(["compare", parent, *place])

    assert len(server_log) - before <= 20


@pytest.mark.parametrize(
    ("rids", "said"),
    [(["CHILD"], "has no children"), (["CHILD", "9-ZZZZ"], "9-ZZZZ is not an execution")],
)
def test_what_can_not_be_compared_is_said(recorded, place, capsys, rids, said):
    """In a line, exit code 2."""
    _, (child, _) = recorded(Run(), Run())
    assert main(["compare", *(child if rid == "CHILD" else rid for rid in rids), *place]) == 2

    assert said in capsys.readouterr().err

"""`deriva-ml-executions list`: filters and order."""

import json

import pytest
from recorded_runs import Run, record_runs

from deriva_ml_core.cli.executions import main
from deriva_ml_core.datasets.dataset import Dataset


@pytest.fixture
def place(new_ml):
    return ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]


@pytest.fixture
def sweep(new_ml, tmp_path):
    """A parent, and children with learning rates 0.1, 0.01, 0.001; the last one failed."""
    return record_runs(
        new_ml.session,
        tmp_path / "files",
        [
            Run({"model_config": "quick"}, {"learning_rate": 0.1}, {"accuracy": 0.5}),
            Run({"model_config": "quick"}, {"learning_rate": 0.01}, {"accuracy": 0.9}),
            Run({"model_config": "deep"}, {"learning_rate": 0.001}, status="Failed", detail="ValueError: no"),
        ],
        parent=True,
    )


@pytest.fixture
def listed(place, capsys):
    """Call it with options for the RIDs in the order of the list."""

    def call(*options):
        assert main(["list", "--json", *options, *place]) == 0
        return [one["rid"] for one in json.loads(capsys.readouterr().out)]

    return call


def test_conditions_on_metrics_parameters_and_choices(sweep, listed):
    """All of them hold; a run without the metric fulfills no condition on it."""
    _, (one, two, three) = sweep

    assert listed("--metric", "accuracy>=0.9") == [two]
    assert set(listed("--metric", "accuracy<2")) == {one, two}
    assert set(listed("--param", "learning_rate<0.05")) == {two, three}
    assert listed("--param", "learning_rate=1e-2") == [two]
    assert set(listed("--choice", "model_config=q*")) == {one, two}
    assert listed("--choice", "model_config!=quick") == [three]
    assert listed("--choice", "model_config=quick", "--metric", "accuracy<0.6") == [one]


def test_sorting_by_a_metric_puts_runs_without_it_last(sweep, listed):
    """In both directions: a missing value is neither the best nor the worst."""
    parent, (one, two, three) = sweep

    assert listed("--parent", parent, "--sort", "accuracy") == [one, two, three]
    assert listed("--parent", parent, "--sort", "accuracy", "--desc") == [two, one, three]
    assert listed("--sort", "accuracy", "--desc", "-n", "1") == [two]
    assert listed("--parent", parent, "--sort", "learning_rate") == [three, two, one]


def test_choices_and_types_are_sorted_and_shown(sweep, new_ml, listed, place, capsys):
    """By what a list can be filtered it can be sorted: the option of a group, the type of a workflow, too."""
    parent, (one, two, three) = sweep
    new_ml.add_term("Workflow_Type", "Analysis of tests", "x")
    workflow = new_ml.create_workflow("Other", "Analysis of tests")
    other = new_ml.create_execution(workflow=workflow, description="other").execution_rid

    assert listed("--parent", parent, "--sort", "model_config")[0] == three
    assert set(listed("--parent", parent, "--sort", "model_config", "--desc")[:2]) == {one, two}
    assert listed("--sort", "type")[0] == other
    main(["list", "--sort", "type", "--show", "model_config", "-n", "2", *place])
    head, first, second, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[-3:] == ["Type", "model_config", "Description"]
    assert "Analysis of tests" in first
    assert {"quick", "deep", "-"} & set(second.split())


def test_rows_decide_without_reading_a_file(sweep, listed, server_log):
    """Status, workflow by RID or name, dates: few requests, none for an object."""
    parent, (one, two, three) = sweep

    assert listed("--status", "failed") == [three]
    assert set(listed("--status", "Failed", "--status", "Uploaded", "--workflow", "Digits")) == {
        parent,
        one,
        two,
        three,
    }
    assert listed("--since", "1h", "--parent", parent, "--status", "failed") == [three]
    assert listed("--until", "2001-01-01") == []
    assert not [path for _, path in server_log if path.startswith("/hatrac")]


def test_files_are_fetched_once_ever(sweep, listed, server_log):
    """They are kept by content: the second list asks the catalog's rows only."""
    listed("--sort", "accuracy")
    before = len(server_log)
    listed("--sort", "accuracy")

    asked = server_log[before:]
    assert not [path for _, path in asked if path.startswith("/hatrac")]
    assert len(asked) <= 9, asked


def test_executions_that_used_a_dataset(new_ml, workflow, listed):
    """By the dataset's RID."""
    maker = new_ml.create_execution(workflow=workflow, description="makes")
    dataset: Dataset = maker.create_dataset(dataset_types=["Complete"], description="d")
    new_ml.add_term("Workflow_Type", "Other", "x")
    user = new_ml.create_execution(workflow=workflow, description="uses", datasets=[dataset.dataset_rid])

    assert listed("--dataset", dataset.dataset_rid) == [user.execution_rid]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "acuracy>0.5"], "did you mean 'accuracy'"),
        (["--sort", "acuracy"], "did you mean 'accuracy'"),
        (["--choice", "model=quick"], "recorded: model_config"),
        (["--metric", "accuracy"], "no condition"),
        (["--metric", "accuracy>high"], "compares numbers"),
        (["--status", "fialed"], "did you mean 'Failed'"),
        (["--workflow", "Digit"], "did you mean 'Digits'"),
        (["--parent", "9-ZZZZ"], "is not an execution"),
        (["--since", "yesterday"], "36h, 7d or 2w"),
    ],
)
def test_a_wrong_condition_is_said_in_a_line(sweep, place, capsys, options, said):
    """What is wrong and what there is; exit code 2."""
    assert main(["list", *options, *place]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_table_shows_what_was_asked_for(sweep, place, capsys):
    """The names of conditions, of the order, and those of --show."""
    main(["list", "--sort", "accuracy", "--show", "learning_rate", *place])
    head, first, *_ = capsys.readouterr().out.splitlines()

    assert head.split()[-3:] == ["accuracy", "learning_rate", "Description"]
    assert "0.5" in first.split()

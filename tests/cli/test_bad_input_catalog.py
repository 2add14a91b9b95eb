"""
Wrong input that only a catalog can tell: one line, exit code 2, nothing written to the catalog or to disk.

Through the real command, against an embedded catalog. The rest is in test_bad_input.py.
"""

from __future__ import annotations

import pytest

WRONG = {
    "unknown host": (["--host", "no-such-host.invalid"], ["no-such-host.invalid"]),
    "unknown catalog": (["--catalog", "dmeo"], ["dmeo"]),
    "unknown dataset": (["datasets=training_data"], ["1-ABCD"]),
    "unknown asset": (["assets=resnet_weights"], ["6-EPNR"]),
    "not a RID": (["assets=not_a_rid"], ["x-y"]),
    "a workflow type that is no term": (["workflow.workflow_type=Trainign"], ["Trainign", "did you mean 'Training'"]),
    "a value that its class refuses": (["deriva_ml.mode=sideways"], ["deriva_ml", "mode", "online"]),
    "an unknown setting": (["+deriva_ml.wrking_dir=x"], ["wrking_dir"]),
    "a value without an option": (["model_config=null"], ["model_config"]),
    "a dry run of unknown inputs": (["dry_run=true", "assets=resnet_weights"], ["6-EPNR"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(demo_project, demo_rows, name):
    """What a configuration names is checked against the catalog before a row or a folder is made."""
    arguments, expected = WRONG[name]
    made = demo_project()
    made.write("src/configs/more.py", "from hydra_zen import store\nstore(['x-y'], group='assets', name='not_a_rid')\n")
    before, recorded = made.files(), len(demo_rows("Execution"))

    result = made.run(*arguments)

    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert len(_without_warnings(result.stderr)) == 1, result.stderr
    assert result.stdout == ""
    assert [part for part in expected if part not in result.stderr] == [], result.stderr
    assert {path for path in made.files() - before if not _is_cache(path)} == set()
    assert len(demo_rows("Execution")) == recorded


def _is_cache(path):
    """Caches may stay."""
    return "cache" in path


def _without_warnings(text):
    return [line for line in text.splitlines() if not line.startswith("warning: ")]


def test_all_wrong_inputs_are_named_at_once(demo_project):
    """Whoever mistyped three things learns of three, not of the first."""
    result = demo_project().run("assets=resnet_weights", "datasets=training_data", "workflow.workflow_type=Trainign")

    assert result.returncode == 2
    assert [part for part in ("6-EPNR", "1-ABCD", "Trainign") if part not in result.stderr] == [], result.stderr


def test_model_without_execution_is_refused(demo_project):
    """A model that can't be given its execution is refused before anything is recorded, with what to add."""
    made = demo_project("def train(epochs: int = 1, rate: float = 0.1):\n    pass\n")

    result = made.run()

    assert result.returncode == 2
    assert "ml_instance and execution" in result.stderr
    assert result.stderr.count("\n") == 1


def test_parameter_that_the_model_does_not_take(demo_project):
    """A value added to the model's configuration that its function does not take is named."""
    result = demo_project().run("+model_config.epoch=3")

    assert result.returncode == 2, result.stderr
    assert "does not take model_config.epoch; did you mean 'epochs'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_required_value_that_nobody_gave(demo_project):
    """A model's required parameter without a value is named before anything is recorded."""
    made = demo_project("def train(depth, epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None): pass\n")

    result = made.run()

    assert result.returncode == 2, result.stderr
    assert "depth" in result.stderr
    assert result.stderr.count("\n") == 1


def test_output_that_was_never_written_is_a_warning(demo_project, demo_rows):
    """A model that names an output and does not write it is told so; its run still ends well."""
    made = demo_project(
        "def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):\n"
        "    execution.asset_file_path('Execution_Asset', 'never.txt')\n"
    )

    result = made.run()

    assert result.returncode == 0, result.stderr
    assert "never.txt" in result.stdout + result.stderr
    assert "Uploaded" in {row["Status"] for row in demo_rows("Execution")}


def test_working_folder_that_cannot_be_made(demo_project, demo_rows):
    """A working folder below a file can't be: its path is named, and nothing is recorded."""
    made = demo_project()
    (made.home / "file").write_text("")
    recorded = len(demo_rows("Execution"))

    result = made.run(f"deriva_ml.working_dir={made.home}/file/work")

    assert result.returncode == 2, result.stderr
    assert f"{made.home}/file" in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(demo_rows("Execution")) == recorded

"""deriva-ml-run runs a model for real, in a process of its own, against an embedded catalog."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import time

import pytest

ONE_OUTPUT = """\
import json
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    '''One output.'''
    path = execution.asset_file_path("Execution_Asset", "metrics.json", ["Output_File"])
    path.write_text(json.dumps({"epochs": epochs, "rate": rate}))
"""


def _raising(statement: str) -> str:
    return f"""\
import sys
from pathlib import Path
from deriva_ml import DerivaMLValidationError

def helper(execution):
    {statement}

def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    try:
        helper(execution)
    finally:
        Path("finally.txt").write_text("ran")
"""


def _executions(rows):
    """Rows of Execution that are runs: not the sentinel of the schema."""
    return [row for row in rows("Execution") if "sentinel" not in (row["Description"] or "")]


def test_run_is_recorded(demo_project, demo_rows):
    """The main job: a run ends Uploaded, with its output and its configuration in the catalog."""
    made = demo_project(ONE_OUTPUT)

    result = made.run("model_config=quick", "model_config.rate=0.5")

    assert result.returncode == 0, result.stderr
    (execution,) = _executions(demo_rows)
    assert execution["Status"] == "Uploaded"
    assert execution["RID"] in result.stderr + result.stdout
    assert "metrics.json" in [row["Filename"] for row in demo_rows("Execution_Asset")]
    names = [row["Filename"] for row in demo_rows("Execution_Metadata")]
    assert [part for part in ("config.yaml", "hydra.yaml", "overrides.yaml") if not any(part in n for n in names)] == []


def test_a_name_that_is_no_utf_8_keeps_no_run_from_its_record(demo_project, demo_rows):
    """A folder or a value from an older machine: Python keeps such a byte as half of a surrogate pair."""
    made = demo_project(ONE_OUTPUT)
    odd = made.root.with_name(os.fsdecode(b"project \xff"))
    made.root.rename(odd)

    result = dataclasses.replace(made, root=odd).run(os.fsdecode(b"description='from \xff'"))

    assert result.returncode == 0, result.stderr
    (execution,) = _executions(demo_rows)
    assert (execution["Status"], "from \ufffd" in execution["Description"]) == ("Uploaded", True)


def test_a_terminal_of_few_characters_fails_no_run(demo_project):
    """What the model prints is not worth its results: escapes take the place of what stdout can't say."""
    made = demo_project(_raising("print('gr\u00fcn \u2713')"))

    result = made.run(PYTHONIOENCODING="ascii")

    assert (result.returncode, r"gr\xfcn \u2713" in result.stdout) == (0, True), result.stderr


def test_experiment_names_the_job(demo_project, tmp_path):
    """Hydra's job, its log file and a SLURM job bear the experiment's name."""
    made = demo_project(ONE_OUTPUT)

    result = made.run("+experiment=quick_training")

    assert result.returncode == 0, result.stderr
    (folder,) = (made.home / ".deriva-ml/local/demo/hydra").iterdir()
    assert (folder / "quick_training.log").exists()


def test_users_log_handlers_stay(demo_project):
    """The job's log file gets what the model logs: nothing removes the handlers that Hydra or the user set."""
    made = demo_project(
        "import logging\n"
        "def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):\n"
        "    logging.getLogger('mine').info('a word of the model')\n"
    )

    result = made.run()

    assert result.returncode == 0, result.stderr
    (folder,) = (made.home / ".deriva-ml/local/demo/hydra").iterdir()
    assert "a word of the model" in (folder / "deriva_model.log").read_text()


def test_dry_run_writes_nothing(demo_project, demo_rows):
    """dry_run=true says what would be recorded, and leaves neither a row nor a folder."""
    made = demo_project(ONE_OUTPUT)

    result = made.run("dry_run=true")

    assert result.returncode == 0, result.stderr
    assert "train(epochs=1, rate=0.1, ml_instance=…, execution=…)" in result.stderr + result.stdout
    assert _executions(demo_rows) == []
    left = [path for path in made.files() if path.startswith(str(made.home)) and "cache" not in path]
    assert [path for path in left if "/hydra" in path or "/execution" in path] == []


def test_quiet_run_says_nothing(demo_project):
    """-q: a run that goes well prints nothing at all."""
    result = demo_project(ONE_OUTPUT).run("-q")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_debug_run_logs_its_steps(demo_project):
    """--debug shows what every room does."""
    result = demo_project(ONE_OUTPUT).run("--debug")

    assert result.returncode == 0
    assert "[DEBUG]" in result.stdout + result.stderr


def test_failing_model_shows_its_own_frames_first(demo_project, demo_rows):
    """A model that raises: exit code 1, a traceback that begins in the model, and a Failed execution."""
    made = demo_project(_raising("raise ValueError('no convergence')"))

    result = made.run()

    assert result.returncode == 1
    lines = result.stderr.splitlines()
    first = lines[lines.index("Traceback (most recent call last):") + 1]
    assert str(made.root / "src/models/model.py") in first
    assert "ValueError: no convergence" in result.stderr
    assert "site-packages/hydra" not in result.stderr
    assert (made.root / "finally.txt").exists()
    assert [row["Status"] for row in _executions(demo_rows)] == ["Failed"]


def test_our_error_inside_a_model_is_a_failed_run(demo_project):
    """A model that names a wrong table has failed (exit code 1), and is shown where in its code."""
    made = demo_project(_raising("execution.asset_file_path('Modle', 'x')"))

    result = made.run()

    assert result.returncode == 1
    assert "model.py" in result.stderr
    assert "Modle" in result.stderr


@pytest.mark.parametrize(
    ("statement", "code"), [("sys.exit(3)", 3), ("sys.exit('bye')", 1), ("raise KeyboardInterrupt", 130)]
)
def test_model_that_leaves_has_its_exit_code(demo_project, demo_rows, statement, code):
    """sys.exit and Ctrl-C keep their exit codes, `finally` runs, and the record has an end."""
    made = demo_project(_raising(statement))

    result = made.run()

    assert result.returncode == code, result.stderr
    assert (made.root / "finally.txt").exists()
    assert [row["Status"] for row in _executions(demo_rows)] in (["Failed"], ["Aborted"])


def test_ctrl_c_ends_a_run(demo_project, demo_rows):
    """SIGINT while the model works: exit code 130, Aborted, and the model's `finally` runs."""
    made = demo_project(_raising("Path('started').touch(); __import__('time').sleep(60)"))
    command = [str(made.command("deriva-ml-run"))]
    process = subprocess.Popen(command, cwd=made.root, env=made.environment(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (made.root / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # the file is the only sign that the model runs

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert (made.root / "finally.txt").exists()
    assert [row["Status"] for row in _executions(demo_rows)] == ["Aborted"]


def test_sweep_is_a_run_for_each_job(demo_project, demo_rows):
    """--multirun runs the model once for each job, in a folder each."""
    made = demo_project(ONE_OUTPUT)

    result = made.run("--multirun", "model_config.rate=0.1,0.2")

    assert result.returncode == 0, result.stderr
    outputs = [row["Filename"] for row in demo_rows("Execution_Asset")]
    assert outputs.count("metrics.json") == 2
    (folder,) = (made.home / ".deriva-ml/local/demo/hydra-sweep").iterdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0", "1"]


def test_named_multirun_describes_its_jobs(demo_project, demo_rows):
    """+multirun=NAME sweeps, and its Markdown arrives in the catalog letter by letter."""
    made = demo_project(ONE_OUTPUT)

    result = made.run("+multirun=rates")

    assert result.returncode == 0, result.stderr
    expected = "# Rates, \"quoted\" and 'quoted'\n\n| rate | C:\\path\\ | ${not.an.interpolation} |\n|---|---|---|"
    parent, *jobs = [row["Description"] for row in _executions(demo_rows)]
    assert parent == expected
    assert [text.startswith(f"[Job {number}] [overrides: ") for number, text in enumerate(jobs)] == [True, True]
    assert [text.endswith(f"\n\n{expected}") for text in jobs] == [True, True]


def test_failing_job_of_a_sweep_is_exit_code_1(demo_project):
    """A sweep with a failing job runs the others and ends with 1 and that job's error."""
    made = demo_project(
        "def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):\n"
        "    open(f'ran_{rate}', 'w').close()\n"
        "    if rate == 0.1:\n"
        "        open('/there/is/no/such/file')\n"
    )

    result = made.run("--multirun", "model_config.rate=0.1,0.2")

    assert result.returncode == 1
    assert "FileNotFoundError" in result.stderr
    assert (made.root / "ran_0.1").exists()
    assert (made.root / "ran_0.2").exists()


def test_environment_of_a_run(demo_project):
    """--allow-dirty reaches the model's process as its documented variable."""
    made = demo_project(
        "import json, os\n"
        "def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):\n"
        "    open('env.json', 'w').write(json.dumps(dict(os.environ)))\n"
    )

    result = made.run("--allow-dirty")

    assert result.returncode == 0, result.stderr
    assert json.loads((made.root / "env.json").read_text())["DERIVA_ML_ALLOW_DIRTY"] == "true"

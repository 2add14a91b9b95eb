"""run_model called from Python: what it refuses, what it records, and what that costs."""

import functools
import logging
import subprocess

import pytest

from deriva_ml_core.connection import DerivaML
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLNotFoundError, DerivaMLValidationError
from deriva_ml_core.executions import reporting
from deriva_ml_core.runner import run_model
from deriva_ml_core.workflows import Workflow


class Listening(reporting.SilentReporter):
    """Keeps what a person would be told."""

    def __init__(self):
        self.said, self.warned, self.summaries = [], [], []

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)

    def ended(self, summary):
        self.summaries.append(summary)


@pytest.fixture
def told():
    with reporting.use(Listening()) as listening:
        yield listening


def train(rate, epochs=1, *, ml_instance, execution):
    """A model of one output."""
    execution.asset_file_path("Execution_Asset", "weights.txt").write_text(f"{rate} {epochs}")


def runs_of(ml):
    return [record for record in ml.find_executions() if "sentinel" not in (record.description or "")]


def run(ml, model=None, *, workflow=None, **options):
    workflow = workflow or Workflow(name="Digits", workflow_type="Training")
    given = {"datasets": [], "assets": [], "description": "A run", **options}
    run_model(ml, workflow=workflow, model_config=model or functools.partial(train, 0.1), **given)


def test_a_run_is_recorded_with_its_output(ml, told):
    """On catalogs of both generations; the last word has RID, status, outputs, durations and where to look."""
    run(ml)

    (record,) = runs_of(ml)
    (summary,) = told.summaries
    assert (record.execution_rid, "Uploaded") == (summary.rid, summary.status.value)
    assert summary.outputs["deriva-ml/Execution_Asset"] == ["weights.txt"]
    assert {"execution", "upload"} == summary.durations.keys()
    assert f"deriva-ml-executions show {summary.rid}" in summary.where


def test_the_code_is_that_of_the_models_own_file(new_ml, told):
    """Through the partial: not the runner's, not that of whoever calls."""
    run(new_ml)

    (record,) = runs_of(new_ml)
    assert record.workflow.url.endswith("/test_run_model.py")
    assert len(record.workflow.checksum) == 40


def test_the_same_code_is_the_same_workflow(new_ml, told):
    """A second run reuses the row."""
    run(new_ml)
    run(new_ml)

    assert len({record.workflow_rid for record in runs_of(new_ml)}) == 1


def test_at_most_thirty_requests_for_a_run_without_input(new_ml, told, server_log):
    """A figure that we publish and guard: users sit 100 ms away from their server."""
    run(new_ml)
    first = len(server_log)
    server_log.clear()
    run(new_ml)

    # deriva-ml-run adds Hydra's three files; the connection is open here, so its own request comes on top.
    assert first <= 26
    assert len(server_log) <= 26, server_log


def test_a_dry_run_says_what_would_be_recorded_and_writes_nothing(new_ml, told, server_log):
    """The call, the workflow and the description, from GETs alone; the model is not called."""
    server_log.clear()
    run(new_ml, functools.partial(train, 0.5, epochs=7), dry_run=True)

    text = "\n".join(told.said)
    assert "train(0.5, epochs=7, ml_instance=…, execution=…)" in text
    assert "Digits (Training)" in text
    assert {"GET"} == {method for method, _ in server_log}
    assert runs_of(new_ml) == []


def test_a_script_config_is_called_in_a_dry_run_without_an_execution(new_ml, told):
    """COMPAT section 3."""
    seen = []
    script = lambda ml_instance, execution: seen.append((ml_instance, execution))  # noqa: E731
    run(new_ml, script_config=script, dry_run=True)

    assert [(new_ml, None)] == seen


def no_execution(ml_instance):
    """A model that does not follow the protocol."""


def neither():
    """Another."""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (no_execution, "no_execution does not take execution"),
        (neither, "neither does not take ml_instance and execution"),
        (functools.partial(train, 0.1, epoch=3), r"does not take model_config.epoch; did you mean 'epochs'"),
        (functools.partial(train), "missing a required argument: 'rate'"),
        (0.1, "model_config is no model"),
        (None, "model_config is no model"),
    ],
)
def test_a_model_that_can_not_be_called_is_refused_before_anything_is_asked(new_ml, told, server_log, model, words):
    """Exit code 2, one line that says what to change."""
    server_log.clear()
    with pytest.raises(DerivaMLConfigurationError, match=words) as caught:
        run_model(new_ml, [], [], "A run", Workflow(name="w", workflow_type="Training"), model)

    assert caught.value.exit_code == 2
    assert server_log == []


def test_any_keywords_are_taken_as_those_two(new_ml, told):
    """A decorated model often takes **kwargs."""
    run(new_ml, lambda **injected: injected["execution"].asset_file_path("Execution_Asset", "a.txt").write_text("a"))

    assert runs_of(new_ml)[0].status.value == "Uploaded"


def test_wrong_input_is_refused_with_nothing_written(new_ml, told, server_log):
    """No row, no folder, no request that writes."""
    server_log.clear()
    with pytest.raises(DerivaMLValidationError, match="1-ZZZZ"):
        run(new_ml, datasets=["1-ZZZZ"], assets=["2-ZZZZ"])

    assert {"GET"} == {method for method, _ in server_log}
    assert not new_ml.working_dir.exists()


def test_an_unknown_catalog_is_refused_with_those_there_are(local_server, monkeypatch, told):
    """One line, exit code 2."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(local_server.path))
    with pytest.raises(DerivaMLNotFoundError, match=r"no catalog 'nowhere'.*catalogs there"):
        run({"hostname": "local", "catalog_id": "nowhere"})


def test_an_output_named_and_never_written_is_a_warning(new_ml, told, caplog):
    """The run still ends well."""
    with caplog.at_level(logging.WARNING):
        run(new_ml, lambda ml_instance, execution: execution.asset_file_path("Execution_Asset", "never.txt"))

    (summary,) = told.summaries
    assert summary.status.value == "Uploaded"
    assert "never.txt" in " ".join(summary.warnings)
    assert any("never.txt" in line for line in reporting.summary_lines(summary))


class EyeAI(DerivaML):
    """A project's own subclass."""

    def ward(self):
        """What only it has."""
        return "ophthalmology"


def test_a_projects_subclass_is_what_the_model_gets(open_ml, ml_session, tmp_path, told):
    """ml_class of create_model_config."""
    seen = []
    open_ml(ml_session.catalog_id).close()  # tells this process where the server is
    run(
        {"hostname": "local", "catalog_id": ml_session.catalog_id, "working_dir": str(tmp_path / "work")},
        lambda ml_instance, execution: seen.append(ml_instance.ward()),
        ml_class=EyeAI,
    )

    assert seen == ["ophthalmology"]


def test_inputs_arrive_and_are_linked(new_ml, told):
    """An asset that one run made is the input of the next, at asset_paths, linked with its role."""
    run(new_ml)
    (asset,) = new_ml.list_assets("Execution_Asset")
    read = []

    def evaluate(ml_instance, execution):
        read.extend(path.read_text() for path in execution.asset_paths["Execution_Asset"])

    run(new_ml, evaluate, assets=[asset.asset_rid])
    newest = runs_of(new_ml)[0]

    assert read == ["0.1 1"]
    assert [asset.asset_rid] == [one.asset_rid for one in newest.list_assets("Input")]
    assert newest.durations["download"] >= 0
    assert asset.execution_rid not in (None, newest.execution_rid)
    assert [newest.execution_rid] == [r.execution_rid for r in new_ml.list_asset_executions(asset.asset_rid, "Input")]


def test_changes_of_the_project_are_told_where_the_model_lies_elsewhere(new_ml, told, tmp_path, monkeypatch):
    """Configuration is code: who runs a library's model from a changed project reads that, too."""
    project = tmp_path / "project"
    subprocess.run(["git", "init", "-q", project], check=True)
    (project / "configs.py").write_text("rate = 2\n")
    monkeypatch.chdir(project)

    run(new_ml)

    assert any(f"{project}, whose configuration" in text and "configs.py" in text for text in told.warned), told.warned

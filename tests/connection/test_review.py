"""What a connection says when it looks back: experiments, lineage, who used what, what nobody accounts for."""

from __future__ import annotations

import pytest

from deriva_ml_core.errors import DerivaMLExecutionNotFound, DerivaMLNotFoundError, DerivaMLValidationError
from deriva_ml_core.executions.configuration import ExecutionConfiguration


@pytest.fixture
def chain(new_ml, workflow):
    """[make] -> raw -> [use] -> made, and a dataset that [use] made."""
    with new_ml.create_execution(workflow=workflow, description="make") as make:
        make.asset_file_path("Execution_Asset", "raw.txt").write_text("raw")
    (raw,) = make.upload_execution_outputs()["deriva-ml/Execution_Asset"]
    choices = {"model_config": "quick", "experiment": "first"}
    with new_ml.create_execution(
        workflow=workflow, description="use", assets=[raw.asset_rid], config_choices=choices
    ) as use:
        use.asset_file_path("Execution_Asset", "made.txt").write_text("made")
        dataset = use.create_dataset(dataset_types=["Complete"], description="d")
    use.upload_execution_outputs()
    return {"make": make.execution_rid, "raw": raw.asset_rid, "use": use.execution_rid, "dataset": dataset.dataset_rid}


def test_an_experiment_is_an_execution_with_its_configuration(new_ml, chain):
    """Its name is that of the experiment that was chosen; what it used and made is asked of the catalog."""
    experiment = new_ml.lookup_experiment(chain["use"])

    assert (experiment.name, experiment.status.value) == ("first", "Uploaded")
    assert experiment.config_choices == {"model_config": "quick", "experiment": "first"}
    assert [asset.asset_rid for asset in experiment.input_assets] == [chain["raw"]]
    assert "made.txt" in [asset.filename for asset in experiment.output_assets]
    assert experiment.summary()["execution_rid"] == chain["use"]


def test_experiments_are_found_among_executions(new_ml, chain):
    """An execution that did not run under Hydra has no configuration, and is none."""
    workflow = new_ml.lookup_execution(chain["use"]).workflow_rid

    assert [one.execution_rid for one in new_ml.find_experiments(workflow, "Uploaded")] == [chain["use"]]
    assert list(new_ml.find_experiments(status="Failed")) == []
    with pytest.raises(DerivaMLExecutionNotFound):
        new_ml.lookup_experiment(chain["raw"])


def test_lineage_goes_both_ways_and_stops_where_it_is_told(new_ml, chain):
    """What a limit leaves out is said."""
    whole = new_ml.lookup_lineage(chain["dataset"])
    short = new_ml.lookup_lineage(chain["dataset"], max_executions=1)

    assert {chain["make"], chain["use"], chain["raw"]} <= whole.nodes.keys()
    assert (whole.complete, short.complete) == (True, False)
    assert chain["make"] not in short.nodes


def test_the_executions_that_used_something(new_ml, chain, workflow):
    """Datasets by version, assets whatever table they are of; other rows can't be used."""
    dataset = new_ml.lookup_dataset(chain["dataset"])
    version = str(dataset.current_version)
    reading = new_ml.create_execution(workflow=workflow, datasets=[f"{chain['dataset']}@{version}"])

    def users(*asked: str) -> list[str]:
        return [record.execution_rid for record in new_ml.find_executions_consuming(*asked)]

    assert users(chain["raw"]) == [chain["use"]]
    assert users(chain["dataset"]) == [reading.execution_rid]
    assert users(chain["dataset"], version) == [reading.execution_rid]
    assert users(chain["dataset"], "9.0.0") == []
    with pytest.raises(DerivaMLValidationError, match="executions use datasets and assets"):
        users(chain["use"])
    with pytest.raises(DerivaMLValidationError, match="only datasets have versions"):
        users(chain["raw"], "1.0.0")
    with pytest.raises(DerivaMLNotFoundError):
        users("9-ZZZZ")


def test_a_configuration_is_judged_without_being_used(new_ml, chain, workflow, tmp_path):
    """All that is wrong in one answer, and nothing written."""
    good = ExecutionConfiguration(assets=[chain["raw"]], workflow=workflow)
    before = len(list(new_ml.find_executions()))

    bad = new_ml.validate_execution_configuration(
        datasets=["9-ZZZZ", chain["raw"]],
        assets=["9-ZZZZ", {"path": str(tmp_path / "none")}, {"path": str(tmp_path)}],
    )

    assert new_ml.validate_execution_configuration(good).is_valid
    assert (bad.is_valid, len(bad.problems)) == (False, 5)
    assert f"assets: {tmp_path} is a folder: name its files" in bad.problems
    assert not new_ml.validate_execution_configuration(datasets=["not a rid"]).is_valid
    assert len(list(new_ml.find_executions())) == before


def test_an_audit_finds_what_nobody_made(new_ml, chain):
    """Of what runs have made nothing is found; a file that was put in by hand is."""
    clean = new_ml.audit_provenance()
    row = {"URL": "https://example.org/by-hand.txt", "Filename": "by-hand.txt", "Length": 1, "MD5": "0" * 32}
    (stored,) = new_ml.session.post_json("/entity/deriva-ml:File", [row])
    running = new_ml.session.post_json("/entity/deriva-ml:Execution", [{"Status": "Running", "Description": "lost"}])

    found = {(finding.gap, finding.rid, finding.name) for finding in new_ml.audit_provenance().findings}

    assert clean.is_complete
    assert clean.checked["deriva-ml:Execution"] == 2
    assert found == {
        ("no producer", stored["RID"], "by-hand.txt"),
        ("no workflow", running[0]["RID"], "lost"),
        ("no end", running[0]["RID"], "lost"),
    }
    assert new_ml.audit_provenance().document()["findings"][0]["table"] == "deriva-ml:File"

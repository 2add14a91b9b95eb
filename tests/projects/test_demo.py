"""deriva-ml-init --demo: from nothing to a recorded run of a real model on real images.

The tests share one demo, see tests/fixtures/demo_fixture.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from demo_fixture import DEMO, Demo

from deriva_ml_core.catalog.objects import get_file

pytestmark = [*DEMO]


@pytest.fixture
def catalog(demo: Demo, monkeypatch: pytest.MonkeyPatch):
    from deriva_ml import DerivaML

    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", demo.env["DERIVA_ML_LOCAL_ROOT"])
    monkeypatch.setenv("HOME", demo.env["HOME"])
    with DerivaML("local", "digits") as ml:
        yield ml


def content(ml, row) -> bytes:
    target = Path(ml.cache_dir) / "read-by-test"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    get_file(ml.session, row["URL"], target, md5=row["MD5"], length=row["Length"])
    return target.read_bytes()


def training(ml) -> dict:
    """The first run of the demo's model."""
    workflow = next(row for row in ml.get_table_as_dict("Workflow") if row["Name"] == "Train a digits classifier")
    runs = [row for row in ml.get_table_as_dict("Execution") if row["Workflow"] == workflow["RID"]]
    return min(runs, key=lambda row: row["RCT"])


def outputs(ml, table: str, execution: str) -> dict[str, dict]:
    """Files of one execution by name."""
    links = ml.get_table_as_dict(f"{table}_Execution")
    rids = {row[table] for row in links if row["Execution"] == execution and row["Asset_Role"] == "Output"}
    return {row["Filename"]: row for row in ml.get_table_as_dict(table) if row["RID"] in rids}


def test_it_prints_what_it_does_and_what_to_try_next(demo: Demo):
    """The reader sees each command as they would type it."""
    for line in ("$ uv sync", "$ uv run deriva-ml-catalog create digits", "$ uv run deriva-ml-run\n"):
        assert line in demo.output
    assert "What to try next:" in demo.output
    assert "cd digits" in demo.output


def test_the_project_is_clean(demo: Demo):
    """The dataset's RID is in the configuration and committed, before the run."""
    assert demo.git("status", "--porcelain") == ""
    assert 'rid="0-0000"' not in (demo.folder / "src/configs/datasets.py").read_text()
    assert "uv.lock" in demo.git("ls-files").splitlines()


def test_every_option_has_a_description(demo: Demo):
    """The menu tells what each choice is."""
    menu = demo.uv("run", "deriva-ml-run", "--info")

    for text in ("5 epochs, to see that all works.", "1,797 images of handwritten digits", "local, catalog digits"):
        assert text in menu


def test_all_images_are_assets_with_labels(catalog):
    """1,797 PNGs, ten digits, each linked to the execution that loaded it."""
    images = list(catalog.get_table_as_dict("Image"))
    links = list(catalog.get_table_as_dict("Image_Execution"))

    assert len(images) == len(links) == 1797
    assert sorted(Counter(row["Label"] for row in images)) == [str(digit) for digit in range(10)]
    assert content(catalog, images[0]).startswith(b"\x89PNG")


def test_the_dataset_has_a_released_version_with_all_images(catalog):
    """Version 1.0.0 holds them all."""
    (dataset,) = catalog.find_datasets()

    assert str(dataset.current_version) == "1.0.0"
    assert len(dataset.list_dataset_members(version="1.0.0")["Image"]) == 1797


def test_the_run_is_recorded_with_its_code_and_outputs(catalog, demo: Demo):
    """Status, code reference, input dataset, weights, metrics, chart, predictions, and the metadata files."""
    run = training(catalog)
    workflow = catalog.retrieve_rid(run["Workflow"])
    assets = outputs(catalog, "Execution_Asset", run["RID"])
    metadata = outputs(catalog, "Execution_Metadata", run["RID"])
    inputs = [row for row in catalog.get_table_as_dict("Dataset_Execution") if row["Execution"] == run["RID"]]

    assert run["Status"] == "Uploaded"
    assert workflow["Checksum"] == demo.git("rev-parse", "HEAD:src/models/digits_classifier.py")
    assert len(inputs) == 1
    assert set(assets) == {"model.joblib", "confusion_matrix.png", "predictions.csv"}
    assert {"configuration.json", "metrics.json", "uv.lock"} <= set(metadata)
    assert not any(name.endswith(".diff") for name in metadata)
    assert json.loads(content(catalog, metadata["metrics.json"]))["accuracy"] > 0.95
    assert content(catalog, assets["confusion_matrix.png"]).startswith(b"\x89PNG")
    predictions = list(csv.DictReader(io.StringIO(content(catalog, assets["predictions.csv"]).decode())))
    assert len(predictions) == 450
    assert {row["Image"] for row in predictions} <= {row["RID"] for row in catalog.get_table_as_dict("Image")}


def test_a_changed_model_is_recorded_with_its_difference(demo: Demo, catalog):
    """Run without committing: a warning, another workflow, and the diff among the files of the run."""
    model = demo.folder / "src" / "models" / "digits_classifier.py"
    committed = model.read_text()
    model.write_text(committed.replace("A small neural network", "A very small neural network"))
    try:
        demo.uv("run", "deriva-ml-run", "+experiment=quick")
    finally:
        model.write_text(committed)

    newest = max(catalog.get_table_as_dict("Execution"), key=lambda row: row["RCT"])
    diffs = [r for name, r in outputs(catalog, "Execution_Metadata", newest["RID"]).items() if name.endswith(".diff")]
    assert newest["Status"] == "Uploaded"
    assert newest["Workflow"] != training(catalog)["Workflow"]
    assert len(diffs) == 1
    assert '+"""A very small neural network' in content(catalog, diffs[0]).decode()


def test_earlier_weights_are_an_input(demo: Demo, catalog):
    """What src/configs/assets.py says in its comment works: training goes on from the weights of an earlier run."""
    weights = outputs(catalog, "Execution_Asset", training(catalog)["RID"])["model.joblib"]["RID"]
    module = demo.folder / "src" / "configs" / "assets.py"
    committed = module.read_text()
    entry = committed[committed.index("# asset_store") :].replace("\n# ", "\n").removeprefix("# ")
    module.write_text(committed + "\n" + entry.replace("1-ABC", weights))
    try:
        shown = demo.uv("run", "deriva-ml-run", "+experiment=quick", "assets=trained_weights")
    finally:
        module.write_text(committed)

    assert "going on from" in shown
    links = catalog.get_table_as_dict("Execution_Asset_Execution")
    assert weights in {row["Execution_Asset"] for row in links if row["Asset_Role"] == "Input"}


def test_a_second_demo_of_the_name_is_refused(demo: Demo):
    """Neither the folder nor the catalog is touched."""
    command = ("run", "deriva-ml-init", "--demo")
    before = demo.git("rev-parse", "HEAD")

    assert "is a project already; nothing was changed" in demo.uv(*command, str(demo.folder), code=2)
    assert "embedded catalog 'digits' already" in demo.uv(*command, "elsewhere/digits", code=2)
    assert demo.git("rev-parse", "HEAD") == before
    assert demo.git("status", "--porcelain") == ""


def test_its_notebook_compares_the_runs(demo: Demo, catalog):
    """deriva-ml-run-notebook on the demo: what it reads is its input, what it draws is its output."""
    demo.uv("run", "deriva-ml-run-notebook", "notebooks/digits_results.ipynb")

    workflow = next(row for row in catalog.get_table_as_dict("Workflow") if row["Name"] == "Digits Results")
    runs = [row for row in catalog.get_table_as_dict("Execution") if row["Workflow"] == workflow["RID"]]
    run = max(runs, key=lambda row: row["RCT"])
    assets = outputs(catalog, "Execution_Asset", run["RID"])
    links = catalog.get_table_as_dict("Execution_Metadata_Execution")
    inputs = [row for row in links if row["Execution"] == run["RID"] and row["Asset_Role"] == "Input"]
    text = content(catalog, assets["digits_results.md"]).decode()
    assert run["Status"] == "Uploaded"
    assert {"comparison.csv", "roc.png", "digits_results.ipynb", "digits_results.html"} <= set(assets)
    assert training(catalog)["RID"] in text
    assert text.count("](data:image/png;base64,") == 4
    assert inputs, "the metrics that it reads are its inputs"

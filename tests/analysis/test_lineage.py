"""`deriva-ml-executions lineage`: a chain of two executions, a dataset between them."""

import json

import pytest

from deriva_ml_core.cli.executions import main
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema


@pytest.fixture
def place(new_ml):
    return ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]


@pytest.fixture
def chain(new_ml, workflow):
    """Raw -> [load] -> image, member of dataset -> [train] -> weights -> [predict]: RIDs by name."""
    create_domain_schema(new_ml.session, "demo")
    create_asset_table(new_ml.session, "demo", "Image", columns=[ColumnDef("Label", "text", True)], comment="Images")
    new_ml.session.forget_model()
    new_ml.add_dataset_element_type("Image")
    with new_ml.create_execution(workflow=workflow, description="raw") as making:
        making.asset_file_path("Execution_Asset", "raw.txt").write_text("raw")
    (raw,) = making.upload_execution_outputs()["deriva-ml/Execution_Asset"]
    with new_ml.create_execution(workflow=workflow, description="load", assets=[raw.asset_rid]) as load:
        load.asset_file_path("Image", "a.png", Label="a").write_text("a")
        load.asset_file_path("Image", "b.png", Label="b").write_text("b")
    images = load.upload_execution_outputs()["demo/Image"]
    dataset = load.create_dataset(dataset_types=["Complete"], description="images")
    dataset.add_dataset_members([image.asset_rid for image in images])
    with new_ml.create_execution(workflow=workflow, description="train", datasets=[dataset.dataset_rid]) as train:
        train.asset_file_path("Execution_Asset", "weights.bin").write_text("w")
    (weights,) = train.upload_execution_outputs()["deriva-ml/Execution_Asset"]
    predict = new_ml.create_execution(workflow=workflow, description="predict", assets=[weights.asset_rid])
    return {
        "raw": raw.asset_rid,
        "load": load.execution_rid,
        "image": images[0].asset_rid,
        "dataset": dataset.dataset_rid,
        "train": train.execution_rid,
        "weights": weights.asset_rid,
        "predict": predict.execution_rid,
    }


@pytest.fixture
def edges(chain, place, capsys):
    """Call it with a name of the chain and options for the edges between named things."""
    names = {rid: name for name, rid in chain.items()}

    def call(name, *options):
        assert main(["lineage", chain[name], "--json", *options, *place]) == 0
        found = json.loads(capsys.readouterr().out)["edges"]
        return {(names.get(edge["source"]), edge["role"], names.get(edge["target"])) for edge in found}

    return call


def test_an_asset_leads_back_to_the_raw_input(edges):
    """Through the dataset that its maker used, to the makers of the members, to what these read."""
    found = edges("weights", "--back")

    assert {
        ("train", "made", "weights"),
        ("dataset", "used", "train"),
        ("load", "made", "dataset"),
        ("raw", "used", "load"),
    } <= found
    assert not [edge for edge in found if "predict" in edge]


def test_a_raw_input_leads_forward_to_all_that_came_of_it(edges):
    """An asset that is a member of a dataset goes on through it."""
    found = edges("raw", "--forward")

    assert {
        ("raw", "used", "load"),
        ("load", "made", "image"),
        ("image", "member of", "dataset"),
        ("dataset", "used", "train"),
        ("train", "made", "weights"),
        ("weights", "used", "predict"),
    } <= found


def test_depth_is_in_steps(edges):
    """From a dataset: its maker, and no further."""
    found = edges("dataset", "--depth", "1")

    assert ("load", "made", "dataset") in found
    assert ("raw", "used", "load") not in found


def test_a_person_reads_a_tree(chain, place, capsys):
    """Each node once, with file or status."""
    assert main(["lineage", chain["weights"], *place]) == 0
    text = capsys.readouterr().out

    assert f"Execution_Asset {chain['weights']}  weights.bin" in text
    assert "[used 0." in text
    assert "2 of its Image members" in text
    assert text.index("came from") < text.index(chain["load"]) < text.index("led to") < text.index(chain["predict"])


def test_a_parent_stands_for_its_children(new_ml, workflow, chain, place, capsys):
    """A sweep has no inputs of its own."""
    parent = new_ml.create_execution(workflow=workflow, description="sweep")
    parent.add_nested_execution(chain["train"], sequence=0)
    main(["lineage", parent.execution_rid, "--back", *place])

    text = capsys.readouterr().out
    assert chain["train"] in text
    assert chain["dataset"] in text


@pytest.mark.parametrize(
    ("rid", "said"), [("9-ZZZZ", "has no row 9-ZZZZ"), ("WORKFLOW", "is a row of deriva-ml:Workflow")]
)
def test_what_has_no_lineage_is_said(new_ml, workflow, place, capsys, rid, said):
    """In a line, exit code 2."""
    known = new_ml.create_execution(workflow=workflow, description="x").workflow_rid
    assert main(["lineage", known if rid == "WORKFLOW" else rid, *place]) == 2

    assert said in capsys.readouterr().err

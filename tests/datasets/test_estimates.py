"""What a download brings is told before it, and what of it is here already."""

import json

import pytest

from deriva_ml_core.cli.executions import main
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.dataset import create_dataset
from deriva_ml_core.datasets.estimates import bag_info
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.errors import DerivaMLDatasetNotFound, DerivaMLTableNotFound
from deriva_ml_core.executions.reporting import ConsoleReporter


@pytest.fixture
def spec(dataset):
    return DatasetSpec(rid=dataset.dataset_rid, version="1.0.0")


def test_the_estimate_is_what_comes(image_session, spec, tmp_path):
    """Files and bytes exactly; nothing is written; rows as many as the bag then has, save those only referred to."""
    told = bag_info(image_session, spec, tmp_path / "cache")

    assert (told.files, told.size_bytes, told.missing_files, told.missing_bytes) == (4, 28, 4, 28)
    assert (told.version, told.is_cached) == ("1.0.0", False)
    assert not (tmp_path / "cache" / "bags").exists()
    assert str(told).endswith("4 files, 28 bytes; 28 bytes to download")

    assert (told.rows["demo/Image"], told.rows["deriva-ml/Dataset_Version"]) == (4, 3)
    bag = fetch_bag(image_session, spec, tmp_path / "cache")
    assert told.rows == {
        name: len(list(bag.get_table_as_dict(name.replace("/", ":"))))
        for name in bag_info(image_session, spec, tmp_path / "cache").rows
        if name in told.rows
    }


def test_what_is_cached_is_told(image_session, spec, images, tmp_path):
    """Tables alone; all of it; and files that another dataset has brought."""
    fetch_bag(image_session, spec.model_copy(update={"materialize": False}), tmp_path / "cache")
    told = bag_info(image_session, spec, tmp_path / "cache")
    assert (told.is_cached, told.files, told.missing_files) == (True, 4, 4)
    assert told.rows["demo/Image"] == 4

    fetch_bag(image_session, spec, tmp_path / "cache")
    told = bag_info(image_session, spec, tmp_path / "cache")
    assert (told.is_cached, told.size_bytes, told.missing_bytes) == (True, 28, 0)
    assert str(told).endswith("; cached")

    other = create_dataset(image_session)
    other.add_dataset_members(images[2:])
    told = bag_info(image_session, DatasetSpec(rid=other.dataset_rid), tmp_path / "cache")
    assert (told.is_cached, told.files, told.missing_files) == (False, 4, 2)


def test_wrong_datasets_are_refused(image_session, spec, tmp_path):
    """A dataset or version that is not there, a table to exclude that is not there."""
    with pytest.raises(DerivaMLDatasetNotFound):
        bag_info(image_session, DatasetSpec(rid="9-ZZZZ"), tmp_path)
    with pytest.raises(DerivaMLDatasetNotFound, match=r"1\.0\.0"):
        bag_info(image_session, DatasetSpec(rid=spec.rid, version="7.0.0"), tmp_path)
    with pytest.raises(DerivaMLTableNotFound, match="'Image'"):
        bag_info(image_session, spec.model_copy(update={"exclude_tables": frozenset({"Imagee"})}), tmp_path)


def test_the_users_handle_tells_it(open_ml, image_session, dataset):
    """By RID, RID@version or spec."""
    ml = open_ml(image_session.catalog_id)

    assert ml.bag_info(f"{dataset.dataset_rid}@1.0.0").files == ml.bag_info(dataset.dataset_rid).files == 4


def test_the_command_tells_it(open_ml, image_session, dataset, capsys):
    """Of several datasets, for a person and for a program; a wrong one is one line."""
    ml = open_ml(image_session.catalog_id)
    place = ["--host", "local", "--catalog", ml.catalog_id, "--working-dir", str(ml.working_dir)]
    rid = dataset.dataset_rid

    assert main(["estimate", f"{rid}@1.0.0", rid, *place]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"dataset {rid}@1.0.0: ")
    assert told[0].endswith("4 files, 28 bytes; 28 bytes to download")
    assert "  demo/Image: 4" in told
    assert main(["estimate", rid, "--json", *place]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["missing_files"], document["rows"]["demo/Image"]) == (4, 4)
    assert main(["estimate", f"{rid}@7.0.0", *place]) == 2
    assert "its versions: 0.1.0, 0.2.0, 1.0.0" in capsys.readouterr().err


def test_a_dry_run_tells_it_before_anything_comes(open_ml, image_session, dataset, workflow, capsys):
    """And says of the next one that it is here."""
    ml = open_ml(image_session.catalog_id)
    for here in ("28 bytes to download", "cached"):
        execution = ml.create_execution(
            workflow=workflow, datasets=[dataset.dataset_rid], dry_run=True, reporter=ConsoleReporter()
        )
        execution.close("dry run")

        told = capsys.readouterr().err
        assert f"Input dataset {dataset.dataset_rid}@1.0.0: " in told
        assert f"4 files, 28 bytes; {here}" in told

"""`deriva-ml-catalog demo DOMAIN`: catalogs of real data to try things on."""

import json
import os
from pathlib import Path

import pytest

from deriva_ml_core.cli.catalog import main
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.projects.domains import DOMAINS

pytestmark = pytest.mark.xdist_group("domains")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One root folder for all of them; the command sets the variable that says where it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERIVA_ML_LOCAL_ROOT", str(tmp_path_factory.mktemp("domains")))
        yield Path(os.environ["DERIVA_ML_LOCAL_ROOT"])


@pytest.mark.parametrize(
    ("domain", "table", "feature", "tables"),
    [
        ("digits", "Image", "Digit", ["Image"]),
        ("licences", "Licence_Text", "Kind", ["Licence_Text", "Package"]),
        ("breast-cancer", "Sample", "Pathology", ["Sample", "Patient"]),
        ("wine", "Wine", "Origin", ["Wine"]),
        ("weather", "Day", "Weather", ["Day", "Month"]),
    ],
)
def test_a_domain_can_be_tried(root, tmp_path, capsys, domain, table, feature, tables):
    """Each has a released dataset, a stratified split of it, a feature of each member, and tables that join."""
    assert main(["demo", domain, "--root", str(root), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    with DerivaML("local", domain, working_dir=tmp_path) as ml:
        dataset = ml.lookup_dataset(made["dataset"])
        bag = dataset.download_dataset_bag(made["version"])
        parts = [ml.lookup_dataset(made["split"]), *ml.lookup_dataset(made["split"]).list_dataset_children()]

        members = bag.list_dataset_members()[table]
        assert str(bag.current_version) == "1.0.0"
        assert len(members) == made["members"] > 100
        assert len({value.target_rid for value in bag.list_feature_values(table, feature)}) == made["members"]
        assert len(list(bag.denormalize_as_dict(tables))) == made["members"]
        assert {kind for part in parts for kind in part.dataset_types} == {"Split", "Training", "Testing", "Labeled"}
        if bag.is_asset_table(table):
            assert all(Path(row["Filename"]).is_file() for row in members)


def test_a_time_series_is_divided_in_time(root, tmp_path, monkeypatch):
    """No day for training is later than one for testing."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(root))
    with DerivaML("local", "weather", working_dir=tmp_path) as ml:
        (split,) = (one for one in ml.find_datasets() if "Split" in one.dataset_types)
        days = {
            kind: [row["Day.Date"] for row in part.denormalize_as_dict(["Day"])]
            for part in split.list_dataset_children()
            for kind in part.dataset_types
        }

    assert len(days["Training"]) + len(days["Testing"]) == 1461
    assert max(days["Training"]) < min(days["Testing"])


def test_domains_are_listed(capsys):
    """Without a domain the command says which there are."""
    assert main(["demo"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(DOMAINS)


def test_a_wrong_domain_is_told(root, capsys):
    """One line with the nearest, and no catalog."""
    assert main(["demo", "wien", "--root", str(root)]) == 2
    assert "did you mean 'wine'" in capsys.readouterr().err


def test_a_demo_that_fails_leaves_no_catalog(root, capsys, monkeypatch):
    """Half a demo is none; and the name is free again."""
    monkeypatch.setattr("deriva_ml_core.projects.domains.tables.shipped", _broken)
    with pytest.raises(RuntimeError, match="broken"):
        main(["demo", "wine", "--name", "half", "--root", str(root)])
    main(["list", "--root", str(root)])

    assert "half" not in capsys.readouterr().out


def _broken(_loader):
    raise RuntimeError("broken")

"""AssetFilePath is a path first."""

import copy
import pickle
from pathlib import Path

import pytest

from deriva_ml_core.assets.paths import AssetFilePath


@pytest.fixture
def asset_path(tmp_path):
    return AssetFilePath.of(
        tmp_path / "a.png", asset_table="Image", file_name="a.png", asset_metadata={"Label": 3}, asset_types=["Image"]
    )


def test_it_is_a_path(asset_path, tmp_path):
    """Every library that takes a path takes it; what is derived from it is a place too."""
    asset_path.write_bytes(b"x")

    assert isinstance(asset_path, Path)
    assert (tmp_path / "a.png").read_bytes() == b"x"
    assert asset_path == tmp_path / "a.png"
    assert asset_path.with_suffix(".txt").parent == tmp_path
    assert (asset_path.parent / "b").name == "b"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda path: pickle.loads(pickle.dumps(path))])
def test_copies_keep_the_facts(asset_path, copied):
    """A path that is sent to a worker process still knows its asset."""
    other = copied(asset_path)

    assert other == asset_path
    assert (other.asset_table, other.file_name) == ("Image", "a.png")
    assert (other.metadata, other.asset_types, other.asset_rid) == ({"Label": 3}, ("Image",), None)


def test_assigning_metadata_replaces_it_all(asset_path):
    """`metadata` and `set_asset_types` replace, they do not add."""
    asset_path.metadata = {"Width": 8}
    asset_path.set_asset_types("Model_File")

    assert asset_path.asset_metadata == {"Width": 8}
    assert asset_path.asset_types == ("Model_File",)

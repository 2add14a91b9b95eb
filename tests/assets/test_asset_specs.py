"""Input assets as a configuration names them."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra_zen import instantiate, store
from omegaconf import OmegaConf

from deriva_ml_core.assets.specs import (
    AssetRIDConfig,
    AssetSpec,
    AssetSpecConfig,
    LocalFile,
    LocalFileConfig,
    as_input,
)
from deriva_ml_core.errors import DerivaMLValidationError


def test_a_bare_string_is_a_rid():
    """A bare string in an assets list is always a RID."""
    assert as_input("6-EPNR") == AssetSpec(rid="6-EPNR", cache=False)
    assert AssetSpec("6-EPNR").rid == "6-EPNR"
    assert AssetSpec.model_validate("1-ABCD-EF01@2Y-ABCD").rid == "1-ABCD-EF01@2Y-ABCD"


def test_a_mapping_with_path_is_a_local_file():
    """`path` makes a local file, `rid` an asset; the role that old configurations carry is let pass."""
    assert as_input({"path": "/tmp/x", "cache": True}) == LocalFile(path=Path("/tmp/x"), cache=True)
    assert as_input({"rid": "1-ABCD", "asset_role": "Input"}) == AssetSpec(rid="1-ABCD")


@pytest.mark.parametrize("bad", ["weights.pt", "1-abcd", "", "ABCDE", "1-ABC", {"rid": "X", "chache": True}, 7])
def test_what_is_no_asset_is_named(bad):
    """What is neither asset nor file is refused in one line that shows it."""
    with pytest.raises(DerivaMLValidationError) as error:
        as_input(bad)

    assert repr(bad) in str(error.value)
    assert "\n" not in str(error.value)


def test_configurations_are_instantiated_by_hydra():
    """The three configurations in a store's list become what they stand for."""
    node = OmegaConf.create(
        [
            OmegaConf.structured(AssetSpecConfig(rid="1-ABCD", cache=True)),
            OmegaConf.structured(AssetRIDConfig(rid="2-ABCD", description="weights")),
            OmegaConf.structured(LocalFileConfig(path="/tmp/x")),
            "3-ABCD",
        ]
    )
    spec, rid, local, bare = instantiate(node)

    assert spec == AssetSpec(rid="1-ABCD", cache=True)
    assert (rid, rid.description, rid.rid) == ("2-ABCD", "weights", "2-ABCD")
    assert local == LocalFile(path="/tmp/x")
    assert [as_input(item) for item in (rid, bare)] == [AssetSpec("2-ABCD"), AssetSpec("3-ABCD")]


def test_configurations_fit_a_hydra_zen_store():
    """A list of configurations can be stored in the assets group as the guide shows."""
    group = store(group="assets_of_this_test")
    group([AssetSpecConfig(rid="1-ABCD", cache=True)], name="weights")
    (entry,) = [item for item in store if item["group"] == "assets_of_this_test"]

    assert instantiate(OmegaConf.create(entry["node"])) == [AssetSpec(rid="1-ABCD", cache=True)]


def test_specs_do_not_load_hydra():
    """Start-up is a figure: naming an asset must not cost an import of Hydra."""
    code = (
        "import sys, deriva_ml_core.assets.specs, deriva_ml_core.datasets.specs as d; print('hydra_zen' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"

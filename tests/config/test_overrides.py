"""Overrides are checked against what the project's modules registered, before Hydra and anything else sees them."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hydra.core.config_store import ConfigStore

from deriva_ml_core.config.application import Application
from deriva_ml_core.config.overrides import check_overrides
from deriva_ml_core.errors import DerivaMLConfigurationError

pytestmark = pytest.mark.usefixtures("small_project")

RIGHT = [
    "model_config=quick",
    "model_config=quick,long",
    "model_config=glob(*)",
    "model_config=choice(quick,long)",
    "model_config.epochs=range(1,5)",
    "model_config.rate=interval(0,1)",
    "+experiment=first",
    "~assets",
    "++new.key={a: 1, b: [x, 'y z']}",
    "+note=free",
    "hydra.verbose=true",
    "hydra/launcher=basic",
    "description='a, b = c'",
]


@pytest.mark.parametrize("override", RIGHT)
def test_right_override_passes_unchanged(override):
    """What Hydra's grammar and the registered groups allow reaches Hydra as it was typed."""
    assert check_overrides([override]).tokens == [override]


WRONG = {
    "quick": "did you mean model_config=quick",
    "first": r"did you mean \+experiment=first",
    "model_config=slow": r"no option 'slow' \(model_config: default_model, long, quick\)",
    "model_config=choice(quick,slow)": "no option 'slow'",
    "model_config=[quick,slow]": "gives values, but model_config is a group",
    "model_config=[quick,quik]": "no option 'quik'; did you mean 'quick'",
    "+experimen=first": r"'\+experiment=first'",
    "model_config=null": r"names no option; write model_config=NAME \(model_config: default_model",
    "model_config={epochs: 3}": r"gives values, but model_config is a group: .* or set its values one by one",
    "assets=[1-ABCD]": r"write assets=NAME \(assets: default_asset\), or store an option",
    "datasets=[{rid: 1-ABCD, version: 1.0.0}]": r"'datasets\.items=\[\{rid: 1-ABCD, version: 1\.0\.0\}\]'",
    "datasets={rid: 1-ABCD}": r"'datasets\.items=\[\{rid: 1-ABCD\}\]'",
    "model_config=quick,3": "names no option",
    "a=b=c=[": "can't read the override",
    "description=été": r"needs quotes of its own: \"description='été'\"",
    'description=für "5$"': r"needs quotes of its own: 'description=",
    "model_config.epochs=[1,2": r"in a shell, quote it as a whole: 'model_config\.epochs=\[1,2'",
    "model_config.epochs": "write model_config.epochs=VALUE",
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_override_says_what_is_there(override):
    """Each refusal names the override's fault and the way out."""
    with pytest.raises(DerivaMLConfigurationError, match=WRONG[override]):
        check_overrides([override])


@pytest.mark.parametrize("override", ["hydra/launcher=joblib", "hydra/launcher=mine"])
def test_a_launcher_of_the_project_leaves_those_of_plugins(override, monkeypatch):
    """A group of Hydra's has options that no module of the project registered: Hydra checks them."""
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", deepcopy(store.repo))
    store.store(group="hydra/launcher", name="mine", node={"defaults": ["joblib"]})

    assert check_overrides([override]).tokens == [override]


def test_force_adding_a_key_like_a_group_is_allowed():
    """`++` says that the key is meant, however near to a group's name it is."""
    assert check_overrides(["++asset=x"]).tokens == ["++asset=x"]


def test_options_of_yaml_files_are_left_to_hydra():
    """With a folder of YAML files, options that no module registered may exist."""
    assert check_overrides(["model_config=from_yaml"], structured_only=False).tokens == ["model_config=from_yaml"]


@pytest.mark.parametrize(
    ("tokens", "experiment"),
    [(["+experiment=first"], "first"), (["+experiment=first,first"], None), ([], None), (["~experiment"], None)],
)
def test_experiment_of_a_command_is_known(tokens, experiment):
    """The job is named after its experiment; a sweep over several has none."""
    assert check_overrides(tokens).experiment == experiment


def test_unknown_key_is_refused_with_the_nearest_of_its_group():
    """Keys need the composed configuration: Hydra refuses, and the nearest key of that group is named."""
    with (
        Application("deriva_model", job_name="test") as application,
        pytest.raises(DerivaMLConfigurationError, match=r"no key 'model_config.epoch'; did you mean 'epochs'"),
    ):
        application.compose(["model_config.epoch=1"])


def test_two_wrong_keys_still_are_one_line():
    """A second fault of the same command does not hide the first."""
    with (
        Application("deriva_model", job_name="test") as application,
        pytest.raises(DerivaMLConfigurationError, match=r"no key 'model_config.epoch'"),
    ):
        application.compose(["model_config.epoch=1", "model_config.rat=2"])

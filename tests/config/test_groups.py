"""The configurations that a project writes: models, described lists, notebooks, the connection."""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra_zen import builds, instantiate, make_config, store
from omegaconf import OmegaConf
from pydantic import ValidationError

from deriva_ml_core.assets.specs import AssetRIDConfig
from deriva_ml_core.config import groups
from deriva_ml_core.config.application import Application
from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.config.descriptions import DescribedList, with_description
from deriva_ml_core.config.groups import create_model_config
from deriva_ml_core.config.hydra_folders import install_hydra_defaults
from deriva_ml_core.config.notebooks import BaseConfig, get_notebook_configuration, notebook_config
from deriva_ml_core.datasets.specs import DatasetSpec, DatasetSpecConfig
from deriva_ml_core.errors import DerivaMLConfigurationError


class Connection:
    """Stands for a project's own subclass of DerivaML."""


def test_model_config_has_the_signature_of_run_model():
    """What the configuration may set is exactly what run_model takes, with the same defaults."""
    from deriva_ml_core.runner import run_model

    config = OmegaConf.structured(create_model_config(Connection))

    assert config._target_ == f"{run_model.__module__}.{run_model.__qualname__}"
    assert list(inspect.signature(groups.run_model).parameters) == list(inspect.signature(run_model).parameters)
    for name, parameter in inspect.signature(run_model).parameters.items():
        assert parameter.default == inspect.signature(groups.run_model).parameters[name].default


def test_model_config_names_the_five_groups():
    """Each of the five groups has its documented default option."""
    defaults = OmegaConf.structured(create_model_config()).defaults

    assert list(defaults) == [
        "_self_",
        {"deriva_ml": "default_deriva"},
        {"datasets": "default_dataset"},
        {"assets": "default_asset"},
        {"workflow": "default_workflow"},
        {"model_config": "default_model"},
    ]


def test_model_config_keeps_what_it_is_given():
    """A project's own defaults, description and connection class are in the configuration."""
    config = create_model_config(Connection, "Ours", ["_self_", {"model_config": "x"}])
    node = OmegaConf.structured(config)

    assert node.description == "Ours"
    assert list(node.defaults) == ["_self_", {"model_config": "x"}]
    assert instantiate(node.ml_class) is Connection


def test_experiment_on_a_model_config_changes_groups_and_values():
    """The guide's experiments: `_global_`, `override /group`, a description, the model configuration as a base."""
    base = create_model_config(None, hydra_defaults=["_self_", {"model_config": "default_model"}])
    store(base, name="deriva_model")
    model = builds(dict, epochs=1, zen_partial=True)
    store(model, group="model_config", name="default_model")
    store(model, group="model_config", name="quick", epochs=3)
    experiment = make_config(
        hydra_defaults=["_self_", {"override /model_config": "quick"}], description="Fast", bases=(base,)
    )
    store(experiment, group="experiment", package="_global_", name="fast")
    store.add_to_hydra_store()

    with Application("deriva_model", job_name="test") as application:
        composed = application.compose(["+experiment=fast"])

    assert (composed.description, composed.model_config.epochs) == ("Fast", 3)
    assert application.choices["model_config"] == "quick"


def test_described_list_is_a_list_with_its_description():
    """with_description wraps RIDs and specs; what the run gets is a list of the real things."""
    config = with_description(
        [DatasetSpecConfig(rid="1-ABCD", version="1.0.0"), AssetRIDConfig(rid="6-EPNR", description="w"), "2-DEFG"],
        "Three inputs",
    )
    store(config, group="datasets", name="three")

    built = instantiate(config)

    assert isinstance(built, DescribedList)
    assert built == [DatasetSpec(rid="1-ABCD", version="1.0.0"), "6-EPNR", "2-DEFG"]
    assert built.description == "Three inputs"


@dataclass
class Analysis(BaseConfig):
    """A notebook's own fields."""

    threshold: float = 0.5
    num_samples: int = 100


def _store_groups():
    Conf = builds(DerivaMLConfig, populate_full_signature=True)
    store(Conf(hostname="dev.example.org"), group="deriva_ml", name="default_deriva")
    store(Conf(hostname="prod.example.org"), group="deriva_ml", name="production")
    store([], group="datasets", name="default_dataset")
    store(["1-ABCD"], group="datasets", name="training")
    store([], group="assets", name="default_asset")
    store(with_description(["6-EPNR"], "Weights"), group="assets", name="weights")


def test_notebook_config_with_own_fields(monkeypatch):
    """A notebook gets an object of its own class: groups chosen, values overridden, choices kept."""
    _store_groups()
    notebook_config("analysis", Analysis, defaults={"assets": "weights"}, num_samples=7)

    config = get_notebook_configuration(Analysis, "analysis", ["threshold=0.9", "deriva_ml=production"])

    assert isinstance(config, Analysis)
    assert (config.threshold, config.num_samples) == (0.9, 7)
    assert (config.assets, config.assets.description) == (["6-EPNR"], "Weights")
    assert config.deriva_ml.hostname == "prod.example.org"
    assert config.config_choices["assets"] == "weights"


def test_overrides_from_the_environment_come_first(monkeypatch):
    """What the command passed through the environment applies, and the notebook's own overrides win."""
    _store_groups()
    notebook_config("analysis", Analysis)
    monkeypatch.setenv("DERIVA_ML_HYDRA_OVERRIDES", json.dumps(["threshold=0.1", "num_samples=3"]))

    config = get_notebook_configuration(Analysis, "analysis", ["threshold=0.2"])

    assert (config.threshold, config.num_samples) == (0.2, 3)


@pytest.mark.parametrize("value", ["threshold=1", '{"a": 1}', "[1]"])
def test_damaged_overrides_in_the_environment_are_named(monkeypatch, value):
    """The variable is named when it holds something else than a JSON list of strings."""
    monkeypatch.setenv("DERIVA_ML_HYDRA_OVERRIDES", value)
    with pytest.raises(DerivaMLConfigurationError, match="DERIVA_ML_HYDRA_OVERRIDES"):
        get_notebook_configuration(BaseConfig, "analysis")


def test_unknown_field_of_a_notebook_config_is_refused():
    """A misspelt field is found where it is written."""
    with pytest.raises(DerivaMLConfigurationError, match=r"no field 'treshold'; did you mean 'threshold'"):
        notebook_config("analysis", Analysis, treshold=1)


def test_configuration_of_another_class_is_refused():
    """get_notebook_configuration promises the class that it was asked for."""
    _store_groups()
    notebook_config("plain")
    with pytest.raises(DerivaMLConfigurationError, match="builds a BaseConfig, not a Analysis"):
        get_notebook_configuration(Analysis, "plain")


def test_connection_config_fills_the_working_folder(tmp_path, monkeypatch):
    """Without a folder, files go below the home, by host and catalog; a snapshot shares its catalog's folder."""
    monkeypatch.setenv("HOME", str(tmp_path))

    assert DerivaMLConfig(hostname="h.org", catalog_id="5").working_dir == tmp_path / ".deriva-ml/h.org/5"
    assert DerivaMLConfig(hostname="h.org", catalog_id="5@2Z-AB").working_dir == tmp_path / ".deriva-ml/h.org/5"
    assert DerivaMLConfig(hostname="h.org", working_dir="/data/x").working_dir == Path("/data/x")


def test_working_folder_stays_where_it_belongs(tmp_path, monkeypatch):
    """No host or catalog name leads out of the working folder's parent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = DerivaMLConfig(hostname="../../etc", catalog_id="..").working_dir

    assert folder.is_relative_to(tmp_path / ".deriva-ml")
    assert ".." not in folder.parts


def test_credential_is_never_shown():
    """Neither printing, nor logging, nor JSON shows a credential; the connection still gets it."""
    config = DerivaMLConfig(hostname="h.org", credential={"bearer-token": "s3cret"})

    shown = [repr(config), str(config), config.model_dump_json(), json.dumps(config.model_dump(mode="json"))]
    assert [text for text in shown if "s3cret" in text] == []
    assert config.credential == {"bearer-token": "s3cret"}


def test_connection_config_has_the_documented_defaults():
    """Source: COMPAT.md section 4."""
    config = DerivaMLConfig(hostname="h.org")

    assert (config.catalog_id, config.ml_schema, config.mode) == (1, "deriva-ml", "online")
    assert config.logging_level == config.deriva_logging_level == logging.WARNING
    assert (config.use_minid, config.clean_execution_dir) == (False, True)
    assert DerivaMLConfig(hostname="h.org", s3_bucket="s3://b").use_minid is True


def test_unknown_setting_of_a_connection_is_refused():
    """A misspelt setting must not be ignored."""
    with pytest.raises(ValidationError, match="working_folder"):
        DerivaMLConfig(hostname="h.org", working_folder="x")


def test_compute_workdir_in_a_configuration(tmp_path, monkeypatch):
    """`${compute_workdir:DIR,CATALOG,HOST}` is a folder of this user's below DIR, else the default folder."""
    install_hydra_defaults()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ann")
    node = OmegaConf.create({"with": "${compute_workdir:/data,5,h.org}", "without": "${compute_workdir:null,5,h.org}"})

    assert node["with"] == "/data/ann/deriva-ml/h.org/5"
    assert node["without"] == str(tmp_path / ".deriva-ml/h.org/5")

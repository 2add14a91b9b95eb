"""Configurations are registered for the whole process; these fixtures give each test stores of its own."""

from __future__ import annotations

import copy

import hydra_zen
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins

from deriva_ml_core.config import multiruns
from deriva_ml_core.config.descriptions import with_description


@pytest.fixture(autouse=True)
def _own_stores(monkeypatch):
    """Hydra's store, hydra-zen's queue and the multiruns as they were, after each test."""
    Plugins.instance()  # plugins store their nodes when they are found, once a process
    monkeypatch.setattr(multiruns, "_registry", {})
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    state = hydra_zen.store._internal_repo, hydra_zen.store._queue
    hydra_zen.store._internal_repo, hydra_zen.store._queue = dict(state[0]), set()
    yield
    hydra_zen.store._internal_repo, hydra_zen.store._queue = state
    GlobalHydra.instance().clear()


@pytest.fixture
def small_project():
    """A top-level configuration with two groups, in Hydra's store."""
    store = hydra_zen.store
    store(
        hydra_zen.make_config(
            hydra_defaults=["_self_", {"model_config": "default_model"}, {"assets": "default_asset"}],
            model_config=hydra_zen.MISSING,
            assets=hydra_zen.MISSING,
            description="Model execution",
        ),
        name="deriva_model",
    )
    for name, epochs in {"default_model": 1, "quick": 3, "long": 100}.items():
        store({"epochs": epochs, "rate": 0.1}, group="model_config", name=name)
    store([], group="assets", name="default_asset")
    store(with_description([], "Nothing"), group="datasets", name="default_dataset")
    store({"description": "An experiment"}, group="experiment", package="_global_", name="first")
    store.add_to_hydra_store()

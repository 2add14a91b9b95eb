"""What a sweep checks of its model before anything is written."""

from __future__ import annotations

from hydra_zen import builds
from omegaconf import OmegaConf

from deriva_ml_core.runner import require_model
from deriva_ml_hydra_plugins.plan import model_of


def _train(epochs=1, *, ml_instance=None, execution=None):
    """A model."""


def test_fields_that_hydra_zen_keeps_from_the_model_are_no_arguments_of_it():
    """A described option (`zen_meta`) of the demo project was refused in every sweep, though each job would run."""
    described = builds(_train, populate_full_signature=True, zen_partial=True, zen_meta={"description": "Quick."})

    model, key = model_of(OmegaConf.create({"model_config": OmegaConf.structured(described)}))

    require_model(model, key)
    assert "epochs" in model.keywords
    assert "description" not in model.keywords

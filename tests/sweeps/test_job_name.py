"""Jobs, and so SLURM's, have the name of what they run."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from deriva_ml_hydra_plugins.launching import _job_name


@pytest.mark.parametrize(
    ("name", "choices", "expected"),
    [
        ("_implementations", {"experiment": "quick"}, "quick"),
        ("_implementations", {}, "deriva_model"),
        ("mine", {"experiment": "quick"}, "mine"),
    ],
)
def test_a_job_is_not_named_after_hydra_zens_module(name, choices, expected):
    """`zen(task).hydra_main` gives that name to every job of everybody."""
    config = {"hydra": {"job": {"name": name, "config_name": "deriva_model"}, "runtime": {"choices": choices}}}

    assert _job_name(OmegaConf.create(config)) == expected

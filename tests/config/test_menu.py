"""The menu of `--info`: every group and option with what it is for, the chosen ones marked, within the width."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hydra_zen import builds, store

from deriva_ml_core.assets.specs import AssetRIDConfig
from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.config.descriptions import with_description
from deriva_ml_core.config.menu import build_menu, plain_lines
from deriva_ml_core.config.multiruns import multirun_config
from deriva_ml_core.config.options import project_groups
from deriva_ml_core.datasets.specs import DatasetSpecConfig
from deriva_ml_core.workflows.workflow import Workflow

pytestmark = pytest.mark.usefixtures("small_project")


def train(epochs: int = 1, ml_instance=None, execution=None):
    """Train a classifier.

    At length.
    """


@dataclass
class Thresholds:
    lowest: float = 0.5


def _option(group, name):
    return next(option for option in project_groups()[group] if option.name == name)


def _menu(width=100, **options):
    return list(plain_lines(build_menu("deriva_model", command="deriva-ml-run", **options), width))


@pytest.mark.parametrize(
    ("config", "summary"),
    [
        (with_description(["6-EPNR"], "## Weights\n\nof MAE"), "Weights"),
        (with_description([], ""), "(none)"),
        (["1-ABCD", "2-ABCD", "3-ABCD", "4-ABCD"], "1-ABCD, 2-ABCD, 3-ABCD and 1 more"),
        ([AssetRIDConfig("1-ABCD", "MAE weights"), "2-ABCD"], "1-ABCD (MAE weights), 2-ABCD"),
        ([DatasetSpecConfig("1-ABCD", version="1.0.0")], "1-ABCD"),
        ([], "(none)"),
        (builds(train, zen_partial=True), "Train a classifier."),
        (builds(Thresholds), ""),
        (builds(train, zen_partial=True, zen_meta={"description": "Ours"}), "Ours"),
        (builds(DerivaMLConfig, hostname="h.org", catalog_id="5"), "h.org, catalog 5"),
        (builds(Workflow, name="W", workflow_type=["Training", "Testing"]), "W (Training, Testing)"),
        (builds(Workflow, name="W", workflow_type="Training", description="Finds cats"), "Finds cats"),
    ],
)
def test_summary_of_an_option(config, summary):
    """An option says what it is for: its description, else its values, else its function's docstring."""
    store(config, group="g", name="option")
    store.add_to_hydra_store()

    assert _option("g", "option").summary == summary


def test_defaults_are_marked():
    """The option that runs when nothing is said is marked in each group."""
    marked = [line.split()[1] for line in _menu() if line.strip().startswith("* ")]

    assert marked == ["default_asset", "default_model", "deriva_model"]


def test_choices_of_a_command_line_are_marked():
    """With overrides, the menu marks what they choose."""
    lines = _menu(choices={"model_config": "quick"})

    assert any(line.strip().startswith("* quick") for line in lines)
    assert not any(line.strip().startswith("* default_model") for line in lines)


def test_named_multiruns_are_listed_with_their_descriptions():
    """Named multiruns are options like all others; one without a description shows its overrides."""
    multirun_config("rates", ["model_config.rate=1,2"], "## Learning rates\n\nlong text")
    multirun_config("bare", ["model_config=quick,long"])

    text = "\n".join(_menu())

    assert "multirun  (+multirun=NAME)" in text
    assert "rates  Learning rates" in text
    assert "bare   model_config=quick,long" in text
    assert "multirun" not in "\n".join(_menu(multiruns=False))


def test_usage_names_real_options():
    """The usage lines can be typed as they stand."""
    lines = _menu()
    usage = [line.strip() for line in lines[lines.index("Usage") + 1 :]]

    assert usage == [
        "deriva-ml-run",
        "deriva-ml-run model_config=long",
        "deriva-ml-run +experiment=first",
        "deriva-ml-run dry_run=true",
        "deriva-ml-run --cfg job",
    ]


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_width_is_respected(width):
    """No line is longer than the terminal where its words can be broken; nothing of a description is lost."""
    words = [f"word{number}" for number in range(40)]
    store(with_description([], " ".join(words)), group="g", name="an_option")
    store.add_to_hydra_store()

    lines = _menu(width)
    body = [line for line in lines[: lines.index("Usage")] if "word" in line]

    assert max(len(line) for line in body) <= width
    assert [word for word in words if word not in " ".join(body).split()] == []


def test_hydras_own_groups_are_not_listed():
    """The menu shows the project's options; Hydra's have `--hydra-help`."""
    assert [group for group in project_groups() if group.startswith("hydra")] == []

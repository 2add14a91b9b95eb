"""The configuration of notebooks/digits_results.ipynb: run_notebook("digits_results") asks for it by name."""

from dataclasses import dataclass

from deriva_ml.execution import BaseConfig, notebook_config


@dataclass
class DigitsResultsConfig(BaseConfig):
    """Parameters of the notebook, beside datasets and assets."""

    most_runs: int = 8


notebook_config(
    "digits_results",
    config_class=DigitsResultsConfig,
    defaults={"datasets": "default_dataset", "assets": "default_asset"},
    description="How the runs on the digits compare.",
)

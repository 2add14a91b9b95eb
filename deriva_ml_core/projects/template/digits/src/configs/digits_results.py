"""The configuration of notebooks/digits_results.ipynb: run_notebook("digits_results") asks for it by name."""

from deriva_ml.execution import notebook_config

notebook_config(
    "digits_results",
    defaults={"datasets": "default_dataset", "assets": "default_asset"},
    description="What the runs on the digits came to.",
)

"""The configuration of notebooks/my_notebook.ipynb: run_notebook("my_notebook") asks for it by name."""

from dataclasses import dataclass

from deriva_ml.execution import BaseConfig, notebook_config


@dataclass
class MyNotebookConfig(BaseConfig):
    """Parameters of the notebook, beside datasets and assets."""

    threshold: float = 0.5


notebook_config(
    "my_notebook",
    config_class=MyNotebookConfig,
    defaults={"datasets": "default_dataset", "assets": "default_asset"},
)

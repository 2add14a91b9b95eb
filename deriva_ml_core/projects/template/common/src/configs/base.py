"""The base configuration: which option of each group a plain `deriva-ml-run` takes."""

from deriva_ml import DerivaML
from deriva_ml.execution import create_model_config
from hydra_zen import store

DerivaModelConfig = create_model_config(
    DerivaML,  # or your own subclass of it
    description="Model run",
    hydra_defaults=[
        "_self_",
        {"deriva_ml": "default_deriva"},
        {"datasets": "default_dataset"},
        {"assets": "default_asset"},
        {"workflow": "default_workflow"},
        {"model_config": "default_model"},
    ],
)

store(DerivaModelConfig, name="deriva_model")

# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.config.groups import create_model_config as create_model_config
from deriva_ml_core.runner import DerivaMLModel as DerivaMLModel
from deriva_ml_core.runner import run_model as run_model

__all__: list[str] = ['DerivaMLModel', 'create_model_config', 'run_model']

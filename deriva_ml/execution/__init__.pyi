# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.analysis.audit import ProvenanceAudit as ProvenanceAudit
from deriva_ml_core.analysis.experiments import Experiment as Experiment
from deriva_ml_core.analysis.lineage import Lineage as Lineage
from deriva_ml_core.assets.file_specs import FileSpec as FileSpec
from deriva_ml_core.assets.paths import AssetFilePath as AssetFilePath
from deriva_ml_core.assets.progress import UploadProgress as UploadProgress
from deriva_ml_core.assets.progress import UploadReport as UploadReport
from deriva_ml_core.assets.specs import AssetRIDConfig as AssetRIDConfig
from deriva_ml_core.assets.specs import AssetSpec as AssetSpec
from deriva_ml_core.assets.specs import AssetSpecConfig as AssetSpecConfig
from deriva_ml_core.assets.specs import LocalFile as LocalFile
from deriva_ml_core.assets.specs import LocalFileConfig as LocalFileConfig
from deriva_ml_core.config.descriptions import DescribedList as DescribedList
from deriva_ml_core.config.descriptions import with_description as with_description
from deriva_ml_core.config.discovery import load_configs as load_configs
from deriva_ml_core.config.groups import create_model_config as create_model_config
from deriva_ml_core.config.multiruns import MultirunSpec as MultirunSpec
from deriva_ml_core.config.multiruns import get_all_multirun_configs as get_all_multirun_configs
from deriva_ml_core.config.multiruns import get_multirun_config as get_multirun_config
from deriva_ml_core.config.multiruns import list_multirun_configs as list_multirun_configs
from deriva_ml_core.config.multiruns import multirun_config as multirun_config
from deriva_ml_core.config.notebooks import BaseConfig as BaseConfig
from deriva_ml_core.config.notebooks import DerivaBaseConfig as DerivaBaseConfig
from deriva_ml_core.config.notebooks import base_defaults as base_defaults
from deriva_ml_core.config.notebooks import get_notebook_configuration as get_notebook_configuration
from deriva_ml_core.config.notebooks import notebook_config as notebook_config
from deriva_ml_core.executions.asset import Asset as Asset
from deriva_ml_core.executions.configuration import ExecutionConfiguration as ExecutionConfiguration
from deriva_ml_core.executions.execution import Execution as Execution
from deriva_ml_core.executions.record import ExecutionRecord as ExecutionRecord
from deriva_ml_core.executions.states import Status as Status
from deriva_ml_core.executions.validation import ConfigurationReport as ConfigurationReport
from deriva_ml_core.runner import DerivaMLModel as DerivaMLModel
from deriva_ml_core.runner import run_model as run_model
from deriva_ml_core.workflows.workflow import Workflow as Workflow
from deriva_ml_notebook.session import run_notebook as run_notebook

__all__: list[str] = ['Asset', 'AssetFilePath', 'AssetRIDConfig', 'AssetSpec', 'AssetSpecConfig', 'BaseConfig', 'ConfigurationReport', 'DerivaBaseConfig', 'DerivaMLModel', 'DescribedList', 'Execution', 'ExecutionConfiguration', 'ExecutionRecord', 'Experiment', 'FileSpec', 'Lineage', 'LocalFile', 'LocalFileConfig', 'MultirunSpec', 'ProvenanceAudit', 'Status', 'UploadProgress', 'UploadReport', 'Workflow', 'base_defaults', 'create_model_config', 'get_all_multirun_configs', 'get_multirun_config', 'get_notebook_configuration', 'list_multirun_configs', 'load_configs', 'multirun_config', 'notebook_config', 'run_model', 'run_notebook', 'with_description']

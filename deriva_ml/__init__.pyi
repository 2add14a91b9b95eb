# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.assets.file_specs import FileSpec as FileSpec
from deriva_ml_core.assets.paths import AssetFilePath as AssetFilePath
from deriva_ml_core.assets.progress import UploadProgress as UploadProgress
from deriva_ml_core.assets.progress import UploadReport as UploadReport
from deriva_ml_core.assets.specs import AssetRIDConfig as AssetRIDConfig
from deriva_ml_core.assets.specs import AssetSpec as AssetSpec
from deriva_ml_core.assets.specs import AssetSpecConfig as AssetSpecConfig
from deriva_ml_core.assets.specs import LocalFile as LocalFile
from deriva_ml_core.assets.specs import LocalFileConfig as LocalFileConfig
from deriva_ml_core.assets.specs import RID as RID
from deriva_ml_core.config.connection_config import DerivaMLConfig as DerivaMLConfig
from deriva_ml_core.connection import DerivaML as DerivaML
from deriva_ml_core.datasets.bag import DatasetBag as DatasetBag
from deriva_ml_core.datasets.dataset import Dataset as Dataset
from deriva_ml_core.datasets.estimates import BagInfo as BagInfo
from deriva_ml_core.datasets.feature_records import FeatureRecord as FeatureRecord
from deriva_ml_core.datasets.features import Feature as Feature
from deriva_ml_core.datasets.specs import DatasetSpec as DatasetSpec
from deriva_ml_core.datasets.specs import DatasetSpecConfig as DatasetSpecConfig
from deriva_ml_core.datasets.versions import DatasetVersion as DatasetVersion
from deriva_ml_core.datasets.versions import VersionPart as VersionPart
from deriva_ml_core.errors import CatalogError as CatalogError
from deriva_ml_core.errors import CatalogUnreachable as CatalogUnreachable
from deriva_ml_core.errors import ChecksumMismatch as ChecksumMismatch
from deriva_ml_core.errors import ConfigModuleError as ConfigModuleError
from deriva_ml_core.errors import DerivaMLAuthenticationError as DerivaMLAuthenticationError
from deriva_ml_core.errors import DerivaMLConfigurationError as DerivaMLConfigurationError
from deriva_ml_core.errors import DerivaMLDatasetNotFound as DerivaMLDatasetNotFound
from deriva_ml_core.errors import DerivaMLDirtyWorkflowError as DerivaMLDirtyWorkflowError
from deriva_ml_core.errors import DerivaMLException as DerivaMLException
from deriva_ml_core.errors import DerivaMLExecutionError as DerivaMLExecutionError
from deriva_ml_core.errors import DerivaMLExecutionNotFound as DerivaMLExecutionNotFound
from deriva_ml_core.errors import DerivaMLInvalidTerm as DerivaMLInvalidTerm
from deriva_ml_core.errors import DerivaMLNotFoundError as DerivaMLNotFoundError
from deriva_ml_core.errors import DerivaMLReadOnlyError as DerivaMLReadOnlyError
from deriva_ml_core.errors import DerivaMLSchemaError as DerivaMLSchemaError
from deriva_ml_core.errors import DerivaMLStateInconsistency as DerivaMLStateInconsistency
from deriva_ml_core.errors import DerivaMLTableNotFound as DerivaMLTableNotFound
from deriva_ml_core.errors import DerivaMLTableTypeError as DerivaMLTableTypeError
from deriva_ml_core.errors import DerivaMLUploadError as DerivaMLUploadError
from deriva_ml_core.errors import DerivaMLValidationError as DerivaMLValidationError
from deriva_ml_core.errors import DerivaMLWorkflowError as DerivaMLWorkflowError
from deriva_ml_core.errors import InvalidTransitionError as InvalidTransitionError
from deriva_ml_core.errors import PluginError as PluginError
from deriva_ml_core.errors import PluginHookError as PluginHookError
from deriva_ml_core.errors import WorkingFolderError as WorkingFolderError
from deriva_ml_core.executions.asset import Asset as Asset
from deriva_ml_core.executions.configuration import ExecutionConfiguration as ExecutionConfiguration
from deriva_ml_core.executions.execution import Execution as Execution
from deriva_ml_core.executions.record import ExecutionRecord as ExecutionRecord
from deriva_ml_core.executions.states import Status as Status
from deriva_ml_core.schema.elements import ColumnDef as ColumnDefinition
from deriva_ml_core.schema.names import BuiltinTypes as BuiltinTypes
from deriva_ml_core.schema.names import DerivaSystemColumns as DerivaSystemColumns
from deriva_ml_core.schema.names import ExecAssetType as ExecAssetType
from deriva_ml_core.schema.names import ExecMetadataType as ExecMetadataType
from deriva_ml_core.schema.names import MLAsset as MLAsset
from deriva_ml_core.schema.names import MLVocab as MLVocab
from deriva_ml_core.workflows.workflow import Workflow as Workflow

__version__: str

__all__: list[str] = ['Asset', 'AssetFilePath', 'AssetRIDConfig', 'AssetSpec', 'AssetSpecConfig', 'BagInfo', 'BuiltinTypes', 'CatalogError', 'CatalogUnreachable', 'ChecksumMismatch', 'ColumnDefinition', 'ConfigModuleError', 'Dataset', 'DatasetBag', 'DatasetSpec', 'DatasetSpecConfig', 'DatasetVersion', 'DerivaML', 'DerivaMLAuthenticationError', 'DerivaMLConfig', 'DerivaMLConfigurationError', 'DerivaMLDatasetNotFound', 'DerivaMLDirtyWorkflowError', 'DerivaMLException', 'DerivaMLExecutionError', 'DerivaMLExecutionNotFound', 'DerivaMLInvalidTerm', 'DerivaMLNotFoundError', 'DerivaMLReadOnlyError', 'DerivaMLSchemaError', 'DerivaMLStateInconsistency', 'DerivaMLTableNotFound', 'DerivaMLTableTypeError', 'DerivaMLUploadError', 'DerivaMLValidationError', 'DerivaMLWorkflowError', 'DerivaSystemColumns', 'ExecAssetType', 'ExecMetadataType', 'Execution', 'ExecutionConfiguration', 'ExecutionRecord', 'Feature', 'FeatureRecord', 'FileSpec', 'InvalidTransitionError', 'LocalFile', 'LocalFileConfig', 'MLAsset', 'MLVocab', 'PluginError', 'PluginHookError', 'RID', 'Status', 'UploadProgress', 'UploadReport', 'VersionPart', 'Workflow', 'WorkingFolderError']

# Written by `python -m deriva_ml._names` from the table there; a test compares them.

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

__all__: list[str] = ['CatalogError', 'CatalogUnreachable', 'ChecksumMismatch', 'ConfigModuleError', 'DerivaMLAuthenticationError', 'DerivaMLConfigurationError', 'DerivaMLDatasetNotFound', 'DerivaMLDirtyWorkflowError', 'DerivaMLException', 'DerivaMLExecutionError', 'DerivaMLExecutionNotFound', 'DerivaMLInvalidTerm', 'DerivaMLNotFoundError', 'DerivaMLReadOnlyError', 'DerivaMLSchemaError', 'DerivaMLStateInconsistency', 'DerivaMLTableNotFound', 'DerivaMLTableTypeError', 'DerivaMLUploadError', 'DerivaMLValidationError', 'DerivaMLWorkflowError', 'InvalidTransitionError', 'PluginError', 'PluginHookError', 'WorkingFolderError']

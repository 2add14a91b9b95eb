# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.assets.file_specs import FileSpec as FileSpec
from deriva_ml_core.assets.paths import AssetFilePath as AssetFilePath
from deriva_ml_core.assets.specs import AssetRIDConfig as AssetRIDConfig
from deriva_ml_core.assets.specs import AssetSpec as AssetSpec
from deriva_ml_core.assets.specs import AssetSpecConfig as AssetSpecConfig
from deriva_ml_core.assets.specs import LocalFile as LocalFile
from deriva_ml_core.assets.specs import LocalFileConfig as LocalFileConfig
from deriva_ml_core.executions.asset import Asset as Asset

__all__: list[str] = ['Asset', 'AssetFilePath', 'AssetRIDConfig', 'AssetSpec', 'AssetSpecConfig', 'FileSpec', 'LocalFile', 'LocalFileConfig']

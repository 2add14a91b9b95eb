# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.schema.names import BuiltinTypes as BuiltinTypes
from deriva_ml_core.schema.names import DerivaSystemColumns as DerivaSystemColumns
from deriva_ml_core.schema.names import ExecAssetType as ExecAssetType
from deriva_ml_core.schema.names import ExecMetadataType as ExecMetadataType
from deriva_ml_core.schema.names import MLAsset as MLAsset
from deriva_ml_core.schema.names import MLVocab as MLVocab

__all__: list[str] = ['BuiltinTypes', 'DerivaSystemColumns', 'ExecAssetType', 'ExecMetadataType', 'MLAsset', 'MLVocab']

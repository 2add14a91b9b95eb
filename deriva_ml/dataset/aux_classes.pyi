# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.datasets.specs import DatasetSpec as DatasetSpec
from deriva_ml_core.datasets.specs import DatasetSpecConfig as DatasetSpecConfig
from deriva_ml_core.datasets.versions import DatasetVersion as DatasetVersion
from deriva_ml_core.datasets.versions import VersionPart as VersionPart

__all__: list[str] = ['DatasetSpec', 'DatasetSpecConfig', 'DatasetVersion', 'VersionPart']

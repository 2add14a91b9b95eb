# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.connection.loading import LoadResult as LoadResult
from deriva_ml_core.connection.loading import load_folder as load_folder
from deriva_ml_core.datasets.bag import DatasetBag as DatasetBag
from deriva_ml_core.datasets.dataset import Dataset as Dataset
from deriva_ml_core.datasets.estimates import BagInfo as BagInfo
from deriva_ml_core.datasets.specs import DatasetSpec as DatasetSpec
from deriva_ml_core.datasets.specs import DatasetSpecConfig as DatasetSpecConfig
from deriva_ml_core.datasets.versions import DatasetVersion as DatasetVersion
from deriva_ml_core.datasets.versions import VersionPart as VersionPart

__all__: list[str] = ['BagInfo', 'Dataset', 'DatasetBag', 'DatasetSpec', 'DatasetSpecConfig', 'DatasetVersion', 'LoadResult', 'VersionPart', 'load_folder']

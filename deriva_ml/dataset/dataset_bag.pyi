# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.datasets.bag import DatasetBag as DatasetBag
from deriva_ml_core.datasets.feature_records import FeatureRecord as FeatureValueRecord

__all__: list[str] = ['DatasetBag', 'FeatureValueRecord']

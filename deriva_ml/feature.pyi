# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.datasets.feature_records import FeatureRecord as FeatureRecord
from deriva_ml_core.datasets.features import Feature as Feature

__all__: list[str] = ['Feature', 'FeatureRecord']

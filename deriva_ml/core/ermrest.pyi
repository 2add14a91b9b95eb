# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.assets.progress import UploadProgress as UploadProgress
from deriva_ml_core.assets.progress import UploadReport as UploadReport
from deriva_ml_core.schema.elements import ColumnDef as ColumnDefinition

__all__: list[str] = ['ColumnDefinition', 'UploadProgress', 'UploadReport']

# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.cli.split import main as main
from deriva_ml_core.connection.splitting import SplitResult as SplitResult
from deriva_ml_core.connection.splitting import split_dataset as split_dataset
from deriva_ml_core.datasets.selection import SelectionFunction as SelectionFunction
from deriva_ml_core.datasets.selection import random_split as random_split
from deriva_ml_core.datasets.selection import stratified_split as stratified_split

__all__: list[str] = ['SelectionFunction', 'SplitResult', 'main', 'random_split', 'split_dataset', 'stratified_split']

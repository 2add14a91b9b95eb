"""Group datasets: the input datasets of a run, each at a released version."""

from deriva_ml.dataset import DatasetSpecConfig  # noqa: F401  for the entry below
from deriva_ml.execution import with_description
from hydra_zen import store

datasets_store = store(group="datasets")

datasets_store(with_description([], "No dataset."), name="default_dataset")

# Name your own:
#
# datasets_store(
#     with_description(
#         [DatasetSpecConfig(rid="1-ABC", version="1.0.0")],
#         "Training dataset with 1000 labeled images.",
#     ),
#     name="training",
# )

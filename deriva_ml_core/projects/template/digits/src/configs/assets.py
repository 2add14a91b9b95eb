"""Group assets: input files of a run, model weights for instance, by their RIDs."""

from deriva_ml.asset.aux_classes import AssetSpecConfig  # noqa: F401  for the entry below
from deriva_ml.execution import with_description
from hydra_zen import store

asset_store = store(group="assets")

asset_store(with_description([], "No input files: train from the start."), name="default_asset")

# `deriva-ml-executions show RID` lists the outputs of a run. Put the RID of its model.joblib here, and
# `deriva-ml-run assets=trained_weights` goes on training from these weights:
#
# asset_store(
#     with_description([AssetSpecConfig(rid="1-ABC", cache=True)], "Weights of an earlier run."),
#     name="trained_weights",
# )

"""Group assets: input files of a run, model weights for instance, by their RIDs."""

from deriva_ml.asset.aux_classes import AssetSpecConfig  # noqa: F401  for the entry below
from deriva_ml.execution import with_description
from hydra_zen import store

asset_store = store(group="assets")

asset_store(with_description([], "No input files."), name="default_asset")

# Name your own; cache=True keeps a copy for later runs:
#
# asset_store(
#     with_description([AssetSpecConfig(rid="6-EPNR", cache=True)], "Pretrained weights."),
#     name="pretrained_weights",
# )

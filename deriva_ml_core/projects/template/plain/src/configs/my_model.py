"""Group model_config: the parameters of models/my_model.py."""

from hydra_zen import builds, store
from models.my_model import train

model_store = store(group="model_config")

# zen_partial: deriva-ml-run adds ml_instance and execution when it calls the model.
ModelConfig = builds(
    train, populate_full_signature=True, zen_partial=True, zen_meta={"description": "10 epochs, the usual start."}
)

model_store(ModelConfig, name="default_model")
model_store(ModelConfig, name="quick", epochs=3, description="3 epochs, to see that all works.")
model_store(ModelConfig, name="long_training", epochs=100, learning_rate=1e-4, description="100 slow epochs.")

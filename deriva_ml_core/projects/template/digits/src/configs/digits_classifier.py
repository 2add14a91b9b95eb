"""Group model_config: the parameters of models/digits_classifier.py."""

from hydra_zen import builds, store
from models.digits_classifier import train_classifier

model_store = store(group="model_config")

# zen_partial: deriva-ml-run adds ml_instance and execution when it calls the model.
ClassifierConfig = builds(train_classifier, populate_full_signature=True, zen_partial=True)


def described(text: str, **parameters: object) -> type:
    """A variant of the classifier's configuration, with a description for --info."""
    return builds(train_classifier, builds_bases=(ClassifierConfig,), zen_meta={"description": text}, **parameters)


model_store(described("40 epochs, 64 hidden units: about 97 % right."), name="default_model")
model_store(described("5 epochs, to see that all works.", epochs=5), name="quick")
model_store(described("200 epochs at a low learning rate.", epochs=200, learning_rate=3e-4), name="long_training")
model_store(described("Two hidden layers.", hidden_units=(128, 64)), name="deep")

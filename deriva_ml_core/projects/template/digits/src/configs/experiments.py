"""Group experiment: named choices of options. This module is loaded last. Run one: deriva-ml-run +experiment=quick"""

from configs.base import DerivaModelConfig
from hydra_zen import make_config, store

experiment_store = store(group="experiment", package="_global_")

experiment_store(
    make_config(
        hydra_defaults=["_self_", {"override /model_config": "quick"}],
        description="Digits, quick: 5 epochs.",
        bases=(DerivaModelConfig,),
    ),
    name="quick",
)
experiment_store(
    make_config(
        hydra_defaults=["_self_", {"override /model_config": "long_training"}],
        description="Digits, long training.",
        bases=(DerivaModelConfig,),
    ),
    name="long",
)
experiment_store(
    make_config(
        hydra_defaults=["_self_", {"override /model_config": "deep"}],
        description="Digits with two hidden layers.",
        bases=(DerivaModelConfig,),
    ),
    name="deep",
)

"""Named sweeps. Run one: deriva-ml-run +multirun=learning_rates"""

from deriva_ml.execution import multirun_config

multirun_config(
    "learning_rates",
    overrides=["+experiment=quick", "model_config.learning_rate=0.0001,0.001,0.01"],
    description="""# Learning rates

One quick training for each learning rate.
""",
)

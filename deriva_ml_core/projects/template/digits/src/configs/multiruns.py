"""Named sweeps. Run one: deriva-ml-run +multirun=learning_rates"""

from deriva_ml.execution import multirun_config

multirun_config(
    "learning_rates",
    overrides=["+experiment=quick", "model_config.learning_rate=0.0003,0.001,0.003,0.01"],
    description="""# Learning rates for the digits

| Learning rate | Expected |
|---|---|
| 0.0003 | learns too little in 5 epochs |
| 0.001 | better |
| 0.003 | good |
| 0.01 | may overshoot |
""",
)

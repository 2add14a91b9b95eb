# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.config.connection_config import DerivaMLConfig as DerivaMLConfig

__all__: list[str] = ['DerivaMLConfig']

"""For people who write plugins: `pytest_plugins = ["deriva_ml.testing"]`, and suites to inherit."""

from deriva_ml._names import front_door

__all__, __getattr__, __dir__ = front_door(__name__)

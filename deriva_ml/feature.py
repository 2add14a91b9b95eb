"""Features: labels and other values that executions give to rows."""

from deriva_ml._names import front_door

__all__, __getattr__, __dir__ = front_door(__name__)

"""The connection, its configuration, names of the schema, and errors."""

from deriva_ml._names import front_door

__all__, __getattr__, __dir__ = front_door(__name__)

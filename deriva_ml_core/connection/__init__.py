"""DerivaML: the user's handle on a catalog. It composes the rooms and holds no logic of its own."""

from deriva_ml_core.connection.handle import DerivaML

__all__ = ["DerivaML"]

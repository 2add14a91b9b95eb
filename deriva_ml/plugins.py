"""What plugins import: the marker of hooks and the values that hooks take and return."""

from deriva_ml._names import front_door

__all__, __getattr__, __dir__ = front_door(__name__)

"""Datasets divided for training and testing."""

from deriva_ml._names import front_door

__all__, __getattr__, __dir__ = front_door(__name__)

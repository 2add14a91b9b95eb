"""deriva-ml: run models and notebooks against Deriva catalogs so that every run can be trusted and repeated.

This package is the front door: a table of names (`_names.py`), each loaded when it is first used.
"""

from deriva_ml._names import front_door

__all__, _public, __dir__ = front_door(__name__)


def __getattr__(name: str) -> object:
    if name != "__version__":
        return _public(name)
    from importlib.metadata import version

    return version("deriva-ml")

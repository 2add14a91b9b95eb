"""
The deriva-ml schema: what it is, how it is installed and checked, how its generations differ.

    definition.py   every table of the newer generation    former.py       the former one, as differences
    terms.py        the terms it starts with               annotations.py  what Chaise shows
    install.py      into a catalog                         check.py        against a catalog
    tables.py       tables that a project adds             generations.py  what a catalog has and which words it takes
"""

from deriva_ml_core.schema.generations import ML_SCHEMA, STATUSES, Generation, detect_generation

__all__ = ["ML_SCHEMA", "STATUSES", "Generation", "detect_generation"]

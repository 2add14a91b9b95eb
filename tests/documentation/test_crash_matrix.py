"""The crash matrix of the documentation is what the tests have seen."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_cells_say():
    """`python docs/crash_matrix.py` writes it; each cell is compared with a real run where that is done."""
    sys.path.insert(0, str(DOCS))
    try:
        crash_matrix = importlib.import_module("crash_matrix")
    finally:
        sys.path.pop(0)

    assert crash_matrix.PAGE.read_text() == crash_matrix.render()

"""The crash matrix of the documentation is what the tests have seen."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_no_cell_is_empty_that_a_test_could_fill():
    """What only SLURM can do to a job is in its column alone; all else has been done in each."""
    cells = {file.stem: json.loads(file.read_text()) for file in (DOCS / "crash-matrix").glob("*.json")}
    everywhere = cells.pop("basic").keys()

    assert [name for name, found in cells.items() if everywhere - found.keys()] == []


def test_the_page_is_what_the_cells_say():
    """`python docs/crash_matrix.py` writes it; each cell is compared with a real run where that is done."""
    sys.path.insert(0, str(DOCS))
    try:
        crash_matrix = importlib.import_module("crash_matrix")
    finally:
        sys.path.pop(0)

    assert crash_matrix.PAGE.read_text() == crash_matrix.render()

"""What the tests of sweeps share: the tree that a sweep has left in the catalog."""

from __future__ import annotations

import pytest


@pytest.fixture
def tree(demo_rows):
    """Call it for the only sweep's (parent, children in their order); a run outside of it fails the test."""

    def read():
        runs = {row["RID"]: row for row in demo_rows("Execution") if "sentinel" not in row["Description"]}
        links = sorted(demo_rows("Execution_Execution"), key=lambda link: link["Sequence"])
        (parent,) = {link["Execution"] for link in links}
        children = [{**runs[link["Nested_Execution"]], "Sequence": link["Sequence"]} for link in links]
        assert runs.keys() == {parent, *(child["RID"] for child in children)}
        return runs[parent], children

    return read

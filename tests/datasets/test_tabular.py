"""Tables of bags as CSV."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deriva_ml_core.datasets.tabular import distinct_by_rid, read_table, write_table

TYPES = {
    "RID": ("ermrest_rid", False),
    "Text": ("text", True),
    "Name": ("text", False),
    "Count": ("int8", True),
    "Size": ("float8", True),
    "Flag": ("boolean", True),
    "Words": ("text[]", True),
    "Doc": ("jsonb", True),
}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "RID": st.from_regex(r"[0-9A-Z]{4}", fullmatch=True),
            "Text": st.none() | texts.filter(bool),
            "Name": texts,
            "Count": st.none() | st.integers(-(2**63), 2**63 - 1),
            "Size": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "Flag": st.none() | st.booleans(),
            "Words": st.none() | st.lists(texts),
            "Doc": st.none() | st.dictionaries(texts, st.integers() | texts),
        }
    )
)


@given(rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(tmp_path, rows):
    """Whatever the catalog stores, the bag gives back: value and type."""
    path = tmp_path / "t.csv"
    written = write_table(path, list(TYPES), rows)

    assert list(read_table(path, TYPES)) == rows
    assert written.rows == len(rows)
    assert written.size_bytes == path.stat().st_size


def test_other_readers_understand_it(tmp_path):
    """The file is CSV to Python's own reader: quotes doubled, line breaks kept."""
    path = tmp_path / "t.csv"
    write_table(path, ["RID", "Text"], [{"RID": "1", "Text": 'a "b",\nc'}, {"RID": "2", "Text": None}])
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["RID", "Text"], ["1", 'a "b",\nc'], ["2", ""]]


@pytest.mark.parametrize("order", [1, -1])
def test_rows_of_several_ways_are_merged(order):
    """A row that two ways lead to is there once, and the order does not depend on theirs."""
    one = [{"RID": "2"}, {"RID": "1"}]
    two = [{"RID": "3"}, {"RID": "2"}]

    assert list(distinct_by_rid([one, two][::order])) == [{"RID": "1"}, {"RID": "2"}, {"RID": "3"}]

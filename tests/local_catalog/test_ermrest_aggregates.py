"""Aggregates of values that arithmetic has no plain answer for, as PostgreSQL gives them."""

import pytest


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([], None, None),
        ([None], None, None),
        ([1.5, None, 2.5], 4.0, 2.0),
        ([1.0, "NaN"], "NaN", "NaN"),
        ([1.0, "Infinity"], "Infinity", "Infinity"),
        (["-Infinity", "Infinity"], "NaN", "NaN"),
        (["Infinity", "NaN", None], "NaN", "NaN"),
    ],
)
def test_sums_of_what_is_no_number(rows, values, total, mean):
    """NaN and the infinities go through sums and averages as in PostgreSQL."""
    name = rows.table({"f": "float8"})
    assert rows.write("POST", f"entity/{name}", [{"f": value} for value in values]).status_code == 200

    assert rows.rows(f"aggregate/{name}/s:=sum(f),m:=avg(f)") == [{"s": total, "m": mean}]


@pytest.mark.parametrize("bins", ["n;10;0;0", "n;0;0;5", "d;10;2020-01-01;2020-01-01"])
def test_bins_that_nothing_fits_into_are_a_fault_of_the_first_value(rows, bins):
    """PostgreSQL's width_bucket looks at its bounds only when it has a value; deriva-py's own tests rely on it."""
    name = rows.table({"n": "int4", "d": "date"})
    rows.write("POST", f"entity/{name}", [{"n": None}])
    url = f"attributegroup/{name}/b:=bin({bins});c:=cnt(*)"

    empty = rows.rows(url)
    rows.write("POST", f"entity/{name}", [{"n": 1, "d": "2020-01-02"}])

    assert empty == [{"b": [None, None, None], "c": 1}]
    assert rows.get(url).status_code == 409


@pytest.mark.parametrize(
    ("values", "least", "most", "total", "mean"),
    [
        ([], None, None, None, None),
        ([None], None, None, None, None),
        (["1 mon", None, "29 days", "31 days"], "29 days", "31 days", "1 mon 60 days", "30 days"),
        (["1 mon", "2 mons"], "1 mon", "2 mons", "3 mons", "1 mon 15 days"),
        (["1 day", "2 days"], "1 day", "2 days", "3 days", "1 day 12:00:00"),
        (["02:00:00", "-00:00:01"], "-00:00:01", "02:00:00", "01:59:59", "00:59:59.5"),
    ],
)
def test_aggregates_of_intervals(rows, values, least, most, total, mean):
    """A month has thirty days in comparisons and where a part of one is left; sums keep the parts apart."""
    name = rows.table({"v": "interval"})
    assert rows.write("POST", f"entity/{name}", [{"v": value} for value in values]).status_code == 200

    found = rows.rows(f"aggregate/{name}/a:=min(v),b:=max(v),c:=sum(v),d:=avg(v)")

    assert found == [{"a": least, "b": most, "c": total, "d": mean}]


@pytest.mark.parametrize(
    ("typename", "values", "least", "most"),
    [
        ("int4[]", [[1, 10], [1, 2], None, [1]], [1], [1, 10]),
        ("text[]", [["b"], ["B", "z"], []], [], ["b"]),
        ("float8[]", [[1.5], [1, 0]], [1, 0], [1.5]),
        ("text[]", [None], None, None),
    ],
)
def test_least_and_greatest_array(rows, typename, values, least, most):
    """Arrays compare member by member, then by length."""
    name = rows.table({"v": typename})
    assert rows.write("POST", f"entity/{name}", [{"v": value} for value in values]).status_code == 200

    assert rows.rows(f"aggregate/{name}/a:=min(v),b:=max(v)") == [{"a": least, "b": most}]

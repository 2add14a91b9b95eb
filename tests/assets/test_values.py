"""Whether a value fits a column is said before it is sent."""

import datetime

import numpy as np
import pytest

from deriva_ml_core.assets.values import json_value, value_fault


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (None, "int4"),
        (-(2**31), "int4"),
        (2**63 - 1, "int8"),
        (1, "float8"),
        (0.5, "numeric"),
        ("x", "markdown"),
        (True, "boolean"),
        ("2024-02-29", "date"),
        ("2024-02-29T12:00:00+00:00", "timestamptz"),
        ({"a": [1]}, "jsonb"),
        (["a", None], "text[]"),
        ((1, 2), "int4[]"),
        (object(), "a type of a later server"),
    ],
)
def test_what_fits(value, type_name):
    """Values of the column's own kind fit; a type that we don't know is the server's to judge."""
    assert value_fault(value, type_name) == ""


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (2**31, "int4"),
        (1.0, "int4"),
        (True, "int8"),
        (float("nan"), "float8"),
        (float("inf"), "numeric"),
        ("1", "float4"),
        (1, "text"),
        ("a\x00b", "text"),
        ("true", "boolean"),
        ("2023-02-29", "date"),
        (20240229, "date"),
        ("noon", "timestamp"),
        ({1, 2}, "json"),
        ("a", "text[]"),
        ([1, "2"], "int4[]"),
    ],
)
def test_what_does_not_fit(value, type_name):
    """Anything else is told with value and type, on one line."""
    fault = value_fault(value, type_name)

    assert type_name.removesuffix("[]") in fault
    assert "\n" not in fault


def test_values_become_json():
    """Dates are ISO text, NumPy's numbers are numbers; lists are looked into."""
    assert json_value([datetime.date(2024, 2, 29), np.float64(0.5), np.int64(3), "x"]) == ["2024-02-29", 0.5, 3, "x"]
    assert type(json_value(np.int64(3))) is int

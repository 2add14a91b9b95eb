"""
For people who write plugins: fixtures on the embedded catalog, and contract suites to inherit.

A test module says `pytest_plugins = ["deriva_ml.testing"]` in its conftest.py. It is no `pytest11` entry point, which
every pytest of an environment with deriva-ml in it would import, whatever it tests.
"""

import pytest

pytest.register_assert_rewrite("deriva_ml_core.testing.suites")

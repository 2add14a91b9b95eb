"""Named multiruns: what is registered, how the command line expands it, and text that survives as an override."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deriva_ml_core.config.application import Application
from deriva_ml_core.config.multiruns import (
    get_all_multirun_configs,
    get_multirun_config,
    list_multirun_configs,
    multirun_config,
)
from deriva_ml_core.config.overrides import check_overrides
from deriva_ml_core.config.quoting import quote
from deriva_ml_core.errors import DerivaMLConfigurationError

MARKDOWN = """\
# Rates, "double" and 'single'

| rate | C:\\path\\ | ${not.an.interpolation} \\${nor.this} |
|------|-----------|-------------------------|
| a=b, | {x: [1]}  | ünï © 100 % # ~ ! ; |
"""


def test_multirun_is_registered_under_its_name():
    """A registered multirun is found by its name, listed, and returned as it was given."""
    spec = multirun_config("rates", ["model_config.rate=1,2"], "Rates")

    assert get_multirun_config("rates") == spec
    assert list_multirun_configs() == ["rates"]
    assert get_all_multirun_configs() == {"rates": spec}
    assert spec.overrides == ["model_config.rate=1,2"]


def test_unregistered_multirun_is_none():
    """Asking for a name that nobody registered is no error for code that asks."""
    assert get_multirun_config("rates") is None


def test_indentation_of_a_triple_quoted_description_goes():
    """A description indented like its source is Markdown without that indentation: a table stays a table."""
    spec = multirun_config("x", [], "## Title\n\n    | a |\n    |---|\n        code\n    ")

    assert spec.description == "## Title\n\n| a |\n|---|\n    code"


def test_overrides_must_be_a_list():
    """A single string would be taken for a list of letters."""
    with pytest.raises(DerivaMLConfigurationError, match="list of strings"):
        multirun_config("x", "model_config=a,b")


@pytest.mark.usefixtures("small_project")
@pytest.mark.parametrize("position", [0, 1, 2])
def test_multirun_expands_anywhere_and_the_command_line_wins(position):
    """Wherever +multirun stands, its overrides come first, and a key that the user gives is the user's."""
    multirun_config("rates", ["model_config=quick,long", "model_config.rate=1,2"], "From the registry")
    tokens = ["model_config.rate=5", "assets=default_asset"]
    tokens.insert(position, "+multirun=rates")

    checked = check_overrides(tokens)

    assert checked.tokens == [
        "model_config=quick,long",
        "description='From the registry'",
        "model_config.rate=5",
        "assets=default_asset",
    ]
    assert checked.multirun is get_multirun_config("rates")


@pytest.mark.usefixtures("small_project")
def test_description_on_the_command_line_replaces_the_registered_one():
    """A description typed by the user describes this sweep."""
    multirun_config("rates", ["model_config.rate=1,2"], "From the registry")

    assert check_overrides(["+multirun=rates", "description=mine"]).tokens == [
        "model_config.rate=1,2",
        "description=mine",
    ]


@pytest.mark.usefixtures("small_project")
def test_wrong_override_of_a_multirun_is_found_before_it_runs():
    """A registered multirun is checked like what the user types."""
    multirun_config("rates", ["model_config=quik,long"])

    with pytest.raises(DerivaMLConfigurationError, match="did you mean 'quick'"):
        check_overrides(["+multirun=rates"])


@pytest.mark.usefixtures("small_project")
def test_only_one_multirun_at_a_time():
    """Two named multiruns have no meaning together."""
    multirun_config("a", [])
    with pytest.raises(DerivaMLConfigurationError, match="one multirun at a time"):
        check_overrides(["+multirun=a", "+multirun=a"])


@pytest.mark.usefixtures("small_project")
@pytest.mark.parametrize("text", [MARKDOWN, "", "null", "true", "1.5", "a,b", "[1]", "aé", "\\", "'", "x'\\", "\t x\n"])
def test_text_survives_as_an_override(text):
    """Whatever a text holds, the configuration holds the same string."""
    assert _description_after(text) == text


@pytest.mark.usefixtures("small_project")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=st.text(alphabet=st.sampled_from("a '\"\\${}:,=[]()#\n|~é1"), max_size=12))
def test_any_text_survives_as_an_override(text):
    """The law behind the examples: quoting is exact for every sequence of Hydra's special characters."""
    assert _description_after(text) == text


def _description_after(text: str) -> str:
    with Application("deriva_model", job_name="test") as application:
        return application.compose([f"description={quote(text)}"]).description

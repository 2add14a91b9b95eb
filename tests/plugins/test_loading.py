"""Plugins are found, loaded by the same door as the built-in, and named where they are broken."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from deriva_ml_core.errors import PluginError
from deriva_ml_core.plugins import PluginChoice, Plugins

GOOD = """
@hookimpl
def deriva_allowed_variables():
    return ["ACME_*"]
"""


def info_of(plugins: Plugins, name: str):
    return next(info for info in plugins.infos if info.name == name)


def test_a_distribution_with_an_entry_point_is_found(install):
    """Installing is all that a user does."""
    install("acme", GOOD, name="Acme-Tools", version="3.1")

    info = info_of(Plugins(), "acme")

    assert (
        info.distribution,
        info.version,
        info.source,
        info.status,
    ) == ("Acme-Tools", "3.1", "entry point", "active")
    assert info.hooks == ("deriva_allowed_variables",)


def test_the_built_in_is_a_plugin_like_any_other():
    """What a third party can't do by this door, deriva-ml itself can't either."""
    info = info_of(Plugins(), "hatrac")

    assert info.source == "built-in"
    assert {"deriva_fetch_asset", "deriva_store_asset"} <= set(info.hooks)


def test_a_plugin_that_does_not_import_is_named_with_its_distribution_version_and_error(install, caplog):
    """A person must know what to repair or to block."""
    install("acme", "import no_such_module_anywhere", name="acme-s3", version="1.2")

    with caplog.at_level(logging.WARNING):
        info = info_of(Plugins(), "acme")

    assert info.status == "broken"
    for part in ("acme (acme-s3 1.2)", "No module named 'no_such_module_anywhere'", "plugins.block=[acme]"):
        assert part in info.failure
        assert part in caplog.text


def test_a_plugin_that_exits_when_it_is_imported_is_broken_and_no_more(install):
    """A module may raise anything."""
    install("acme", "raise SystemExit(3)")

    assert "SystemExit" in info_of(Plugins(), "acme").error


def test_a_misspelt_hook_is_named_with_the_nearest(install):
    """Without this it would never be called, in silence."""
    install("acme", "@hookimpl\ndef deriva_fetch_aset(asset): ...")

    assert "deriva_fetch_aset is no hook of deriva-ml; did you mean 'deriva_fetch_asset'" in (
        info_of(Plugins(), "acme").error
    )


def test_an_argument_that_a_hook_does_not_have_is_named(install):
    """Pluggy's own check, told with the plugin's name."""
    install("acme", "@hookimpl\ndef deriva_fetch_asset(ast): ...")

    error = info_of(Plugins(), "acme").error

    assert "deriva_fetch_asset" in error
    assert "ast" in error


def test_a_plugin_without_a_marked_function_is_told_what_is_missing(install):
    """The decorator is easily forgotten."""
    install("acme", "def deriva_fetch_asset(asset): ...")

    assert "mark deriva_fetch_asset with @hookimpl" in info_of(Plugins(), "acme").error


def test_a_wrapper_is_refused_where_none_is_called(install):
    """Observers are asked one by one, so that none can keep another from hearing."""
    install("acme", "@hookimpl(wrapper=True)\ndef deriva_model_finished(execution):\n    return (yield)")

    assert "deriva_model_finished takes no wrapper" in info_of(Plugins(), "acme").error


def test_a_broken_plugin_that_nobody_names_stops_nothing(install):
    """It may have nothing to do with this run."""
    install("acme", "import no_such_module_anywhere")

    Plugins().require()


@pytest.mark.parametrize("named", ["acme", "acme_local"])
def test_a_broken_plugin_that_the_configuration_names_stops_the_run(install, named):
    """By its entry point or by its module: the run needs it."""
    install("acme", "import no_such_module_anywhere")

    with pytest.raises(PluginError, match=f"plugin {named}"):
        Plugins(PluginChoice(load=(named,))).require()


def test_a_blocked_plugin_is_not_even_imported(install):
    """Blocking is the way out where importing does harm."""
    install("acme", "raise SystemExit(3)")

    plugins = Plugins(PluginChoice(block=("acme",)))
    plugins.require()

    assert info_of(plugins, "acme").status == "blocked"


def test_blocking_what_is_not_there_is_refused_with_the_nearest(install):
    """A typing mistake would let the plugin run."""
    install("acme", GOOD)

    with pytest.raises(PluginError, match="did you mean 'acme'"):
        Plugins(PluginChoice(block=("acne",))).require()


def test_the_configuration_may_name_a_module_or_a_class_in_it(install, tmp_path):
    """A project's own plugin needs no packaging; a class is made without arguments."""
    install("other", GOOD)
    (tmp_path / "site-packages" / "acme_own.py").write_text(
        "from deriva_ml.plugins import hookimpl\n"
        "class Mine:\n"
        "    @hookimpl\n"
        "    def deriva_allowed_variables(self):\n"
        "        return ['MINE']\n"
    )

    plugins = Plugins(PluginChoice(load=("acme_own:Mine",)))
    found = plugins.all("deriva_allowed_variables")
    sys.modules.pop("acme_own")

    assert [one for one in found if one[0] in ("other", "acme_own:Mine")] == [
        ("other", ["ACME_*"]),
        ("acme_own:Mine", ["MINE"]),
    ]


def test_what_fails_is_reported_with_the_plugins_name_and_the_others_are_heard(install, caplog):
    """An observer's failure never changes a run."""
    install("acme_a", "@hookimpl\ndef deriva_allowed_variables():\n    raise ValueError('not today')")
    install("acme_b", GOOD)

    with caplog.at_level(logging.WARNING):
        found = Plugins().gather("deriva_allowed_variables")

    assert ("acme_b", ["ACME_*"]) in found
    assert "plugin acme_a, deriva_allowed_variables: ValueError: not today" in caplog.text


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, PluginChoice()),
        (["a"], PluginChoice(load=("a",))),
        ({"load": ["a"], "block": "b"}, PluginChoice(("a",), ("b",))),
        ("a", PluginChoice(("a",))),
    ],
)
def test_a_configuration_says_it_as_a_list_or_as_a_mapping(value, choice):
    """`deriva_ml.plugins: [a]` is what most write."""
    assert choice == PluginChoice.of(value)


def test_a_wrong_key_of_the_configuration_is_named():
    """One line that says what there is instead."""
    with pytest.raises(PluginError, match="'blok'; did you mean 'block'"):
        PluginChoice.of({"blok": ["a"]})


def test_plugins_are_asked_for_subcommands_without_loading_what_they_work_with():
    """`--help` asks; it moves no bytes, and waits for no HTTP client."""
    code = (
        "import sys; from deriva_ml_core.plugins import Plugins; Plugins().gather('deriva_subcommands')\n"
        "print([m for m in ('urllib3', 'ssl', 'rich', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_importing_deriva_ml_loads_no_plugin_machinery():
    """Start-up time is a feature."""
    code = (
        "import sys, deriva_ml, deriva_ml.plugins; print([m for m in ('pluggy', 'deriva_ml_core') if m in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"

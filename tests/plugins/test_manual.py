"""The manual of hooks is whole: each is documented with its signature, says what it must, and has a test."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

from deriva_ml_core import hookspecs
from deriva_ml_core.plugin_loading import hook_names

ROOT = Path(__file__).parents[2]
TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


@pytest.fixture(scope="module")
def sections():
    """Name -> (signature, Markdown) as the page of hooks has them when it is built."""
    place = ROOT / "docs" / "extensions" / "inventory.py"
    spec = importlib.util.spec_from_file_location("inventory_of_hooks", place)
    inventory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inventory)
    return {name: (signature, "\n".join(lines)) for name, signature, lines in inventory.hooks()}


def test_the_page_is_written_from_the_specs():
    """So that it can't drift."""
    assert "```{hooks}" in (ROOT / "docs" / "reference" / "hooks.md").read_text()


@pytest.mark.parametrize("hook", hook_names())
def test_a_hook_is_documented_and_tested(sections, hook):
    """With its signature, argument by argument, and a test of its name."""
    signature, text = sections[hook]
    parameters = inspect.signature(getattr(hookspecs, hook)).parameters.values()

    assert signature.startswith(f"def {hook}(")
    assert [
        f"{one.name}: {one.annotation}" for one in parameters if f"{one.name}: {one.annotation}" not in signature
    ] == []
    assert "Called" in text, "when, and in which process?"
    assert "exception" in text, "what does an exception do?"
    assert f"def test_hook_{hook}(" in TESTS


def test_every_hook_is_a_spec():
    """A function of the prefix without the marker would never be called."""
    functions = [name for name in vars(hookspecs) if name.startswith("deriva_")]

    assert sorted(functions) == hook_names()

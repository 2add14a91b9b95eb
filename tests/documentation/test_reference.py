"""The reference is complete: every command, option, configuration field, error, name and variable stands in it."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("deriva_ml*/__init__.py"))

sys.path.insert(0, str(ROOT / "docs" / "extensions"))
inventory = importlib.import_module("inventory")
sys.path.pop(0)


def scripts() -> list[str]:
    return sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


def documented_classes() -> list[str]:
    """The arguments of every `{fields}` directive."""
    return re.findall(r"^```\{fields\} (.+)$", (REFERENCE / "configuration.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("script", scripts())
def test_every_command_has_its_place(script: str):
    """A command that the reference leaves out is one that nobody finds."""
    assert f"```{{command}} {script}\n" in (REFERENCE / "commands.md").read_text()


@pytest.mark.parametrize("script", scripts())
def test_every_option_and_subcommand_says_what_it_does(script: str):
    """The reference is the help: an option without a text there has none anywhere."""
    silent = [
        f"{parser.prog} {action.option_strings or action.dest}"
        for parser in inventory.parsers(inventory.command_parser(script))
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]

    assert silent == []


@pytest.mark.parametrize("arguments", documented_classes())
def test_every_configuration_field_says_what_it_means(arguments: str):
    """A field's name alone tells neither its unit nor what its default does."""
    kind, *_, told_by = arguments.split() * 2
    meanings = inventory.attribute_texts(inventory.load(told_by))
    untold = [name for name, *_, meaning in inventory.fields(inventory.load(kind), meanings) if not meaning]

    assert untold == []


def test_every_configuration_class_has_its_place():
    """Whatever users put into a hydra-zen store is documented."""
    names = {name for _, names in inventory.public_names() for name in names}
    named = {argument.partition(":")[2] for arguments in documented_classes() for argument in arguments.split()}

    assert {name for name in names if name.endswith("Config") and not name.startswith("Deriva")} <= named


@pytest.mark.parametrize(("path", "names"), inventory.public_names(), ids=lambda value: str(value)[:40])
def test_every_public_name_says_what_it_is(path: str, names: list[str]):
    """Names are for people who did not write them."""
    module = importlib.import_module(path)
    things = {name: getattr(module, name) for name in names}
    untold = [name for name, thing in things.items() if not inventory.summary(thing)]

    assert untold == []


def test_every_environment_variable_is_listed():
    """A variable that changes what happens, and that the reference does not name, is a trap."""
    ours = r"""["'](DERIVA_(?:ML|MCP)_[A-Z_]*[A-Z])["']"""
    read = r"""\b(?:os\.environ|env|variables)(?:\.(?:get|pop|setdefault)\(|\[)["']([A-Z_]+)["']"""
    asked = r"""["']([A-Z_]+)["'] (?:not )?in (?:os\.environ|env|variables)\b"""
    code = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    lines = [line for text in code for line in text.splitlines() if not line.lstrip().startswith("#")]
    used = {name for line in lines for pattern in (ours, read, asked) for name in re.findall(pattern, line)}
    listed = set(re.findall(r"`([A-Z_]+)`", (REFERENCE / "environment.md").read_text()))

    assert used - listed == set()


def test_every_error_says_what_to_do():
    """Whoever meets an error wants to know the next step, not the class."""
    assert [name for name, kind in inventory.public_errors() if len(inventory.to_do(kind).split()) < 3] == []


def test_every_error_is_drawn_in_the_tree():
    """The tree at the top of errors.py is what a reader looks at; a class that is not in it is lost."""
    tree = inspect.getdoc(importlib.import_module("deriva_ml_core.errors"))

    assert [name for name, _ in inventory.public_errors() if name not in tree] == []

"""
Directives that write the reference from the code, when the documentation is built: it can't drift.

    {command} deriva-ml-run       usage, options and subcommands of a console script
    {fields} module:Class         fields of a configuration class: name, type, default, what it means
    {fields} m:Config m:Class     the same, with the meanings that the class has which the configuration builds
    {errors}                      the exception tree: class, exit code, what it says, what to do
    {names}                       every public name of the front door, by import path
    {statuses}                    the words for how far an execution has come
    {hooks}                       every hook of plugins, its signature and manual; then the values they take and give
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from inventory import (
    attribute_texts,
    command_parser,
    fields,
    hook_values,
    hooks,
    load,
    parsers,
    public_errors,
    public_names,
    summary,
    to_do,
)
from sphinx.application import Sphinx

WIDTH = "90"  # columns of a command's help: what a page has room for
_HOME = re.compile(re.escape(str(Path.home())))


class Written(Directive):
    """A directive whose content is Markdown that we write, parsed as if it stood on the page."""

    required_arguments = 0
    optional_arguments = 2
    final_argument_whitespace = False

    def run(self) -> list[nodes.Node]:
        """The nodes of the written Markdown."""
        container = nodes.container()
        text = "\n".join(self.markdown()).splitlines()
        self.state.nested_parse(StringList(text, "reference.py"), self.content_offset, container, match_titles=1)
        return container.children

    def markdown(self) -> Iterable[str]:
        """What to write."""
        raise NotImplementedError


class CommandDirective(Written):
    """The help of one command, and of each of its subcommands."""

    def markdown(self) -> Iterator[str]:
        """A block for each parser."""
        with patch.dict(os.environ, COLUMNS=WIDTH):
            for parser in parsers(command_parser(self.arguments[0])):
                yield from (
                    "```text",
                    f"$ {parser.prog} --help",
                    _HOME.sub("~", parser.format_help().rstrip()),
                    "```",
                    "",
                )


class FieldsDirective(Written):
    """A table of a class's fields."""

    def markdown(self) -> Iterator[str]:
        """Name, type, default, meaning."""
        yield from ("| field | type | default | meaning |", "|---|---|---|---|")
        kind, told_by = load(self.arguments[0]), load(self.arguments[-1])
        for name, annotation, default, meaning in fields(kind, attribute_texts(told_by)):
            yield f"| `{name}` | {_code(annotation)} | {_code(default)} | {_cell(meaning)} |"


class ErrorsDirective(Written):
    """Every exception."""

    def markdown(self) -> Iterator[str]:
        """In the order of the tree that is drawn at the top of errors.py."""
        from deriva_ml_core import errors

        tree = inspect.getdoc(errors) or ""
        yield from ("```text", tree, "```", "")
        for name, kind in public_errors():
            yield from (f"`{name}` (exit code {getattr(kind, 'exit_code', 1)})", f": {_cell(summary(kind))}", "")
            yield from (f"  *To do:* {to_do(kind)}", "")


class NamesDirective(Written):
    """Every public name."""

    def markdown(self) -> Iterator[str]:
        """One table for each import path."""
        for path, names in public_names():
            yield from (f"`from {path} import …`", "", "| name | what it is |", "|---|---|")
            yield from (
                f"| `{name}` | {_cell(summary(getattr(importlib.import_module(path), name)))} |" for name in names
            )
            yield ""


class HooksDirective(Written):
    """What plugins can implement, and the values that go in and out."""

    def markdown(self) -> Iterator[str]:
        """A section each."""
        for name, signature, manual in [*hooks(), *hook_values()]:
            yield from (f"## {name}", "", "```python", signature, "```", "", *manual, "")


class StatusesDirective(Written):
    """The states of an execution and what may follow."""

    def markdown(self) -> Iterator[str]:
        """From the state machine's own table."""
        from deriva_ml_core.executions.states import TRANSITIONS

        yield from ("| status | may be followed by |", "|---|---|")
        for status, following in TRANSITIONS.items():
            yield f"| `{status.value}` | {', '.join(f'`{one.value}`' for one in sorted(following)) or 'nothing'} |"


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name, directive in (
        ("command", CommandDirective),
        ("fields", FieldsDirective),
        ("errors", ErrorsDirective),
        ("names", NamesDirective),
        ("statuses", StatusesDirective),
        ("hooks", HooksDirective),
    ):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True}

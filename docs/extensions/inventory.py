"""What the reference says of the code: parsers, fields, errors and names, found by looking at it. Needs no Sphinx."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

LINE = 88  # columns of code that a page has room for


def command_parser(name: str) -> argparse.ArgumentParser:
    """The argparse parser of a console script of ours: `build_parser()` of the module that holds its `main`."""
    (script,) = entry_points(group="console_scripts", name=name)
    parser: argparse.ArgumentParser = importlib.import_module(script.module).build_parser()
    return parser


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and those of its subcommands."""
    yield parser
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to its subparsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # see above
            for child in dict.fromkeys(action.choices.values()):
                yield from parsers(child)


def fields(kind: type, meanings: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each field of a pydantic model or dataclass."""
    if hasattr(kind, "model_fields"):
        for name, field in kind.model_fields.items():
            default = "required" if field.is_required() else _default(field.default, field.default_factory)
            yield name, _type_name(kind.__annotations__.get(name, field.annotation)), default, meanings.get(name, "")
        return
    for field in dataclasses.fields(kind):
        if not field.name.startswith("_"):  # hydra-zen's _target_
            default = _default(field.default, field.default_factory)
            yield field.name, _type_name(field.type), default, meanings.get(field.name, "")


def attribute_texts(kind: type) -> dict[str, str]:
    """`name: meaning` lines of the Args and Attributes sections of a docstring, those of its bases included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        for section in re.findall(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE):
            joined = re.sub(r"\n {5,}", " ", section)
            for line in joined.splitlines():
                for part in re.split(r"; (?=\w+: )", line.strip()):
                    name, colon, meaning = part.partition(": ")
                    if colon and name.isidentifier():
                        found[name] = meaning
    return found


def public_errors() -> list[tuple[str, type]]:
    """Name and class of every exception in errors.py, in its order."""
    from deriva_ml_core import errors

    return [
        (name, kind)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    ]


def public_names() -> list[tuple[str, list[str]]]:
    """Import path and names, as the front door's table has them."""
    from deriva_ml._names import _TABLE

    return [(f"deriva_ml.{path}".rstrip("."), sorted(names)) for path, names in _TABLE.items()]


def summary(thing: Any) -> str:
    """The first paragraph of a docstring of its own, or what an alias stands for; "" where there is none."""
    if not (inspect.isroutine(thing) or isinstance(thing, type)):
        return f"`{thing}`"
    text = thing.__doc__ and inspect.getdoc(thing)
    return " ".join((text or "").split("\n\n")[0].split())


def to_do(kind: type) -> str:
    """What somebody does who meets this error: the paragraph of its own docstring that says so; "" without one."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    said = (" ".join(one.split()) for one in paragraphs)
    return next((one.removeprefix("To do: ") for one in said if one.startswith("To do: ")), "")


def load(path: str) -> type:
    """The class at `module:Class`."""
    module, _, name = path.partition(":")
    kind: type = getattr(importlib.import_module(module), name)
    return kind


def _default(value: Any, factory: Any) -> str:
    """A default as code; a factory's name where it is not simply an empty container."""
    if factory in (None, dataclasses.MISSING):
        return "required" if value is dataclasses.MISSING else repr(value)
    return repr(factory()) if factory in (list, dict, set) else "as it is at that moment"


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def hooks() -> Iterator[tuple[str, str, list[str]]]:
    """Every hook, in the manual's order: name, signature, and its docstring as Markdown."""
    from deriva_ml_core import hookspecs

    for name, function in vars(hookspecs).items():
        if name.startswith("deriva_"):
            yield name, f"def {name}{_signature(function)}", list(_manual(function))


def hook_values() -> Iterator[tuple[str, str, list[str]]]:
    """Every value that hooks take or give: name, how it is made, and its docstring as Markdown."""
    from deriva_ml_core import hookvalues

    for name, kind in vars(hookvalues).items():
        if dataclasses.is_dataclass(kind):
            yield name, f"{name}{_signature(kind)}".removesuffix(" -> None"), list(_manual(kind))


def _signature(function: Any) -> str:
    """As it is written: annotations are text there. A long one has a line for each parameter."""
    signature = inspect.signature(function)
    text = str(signature)
    if len(text) > LINE:
        parameters = ", ".join(map(str, signature.parameters.values()))
        lines = "".join(f"\n    {one}," for one in signature.parameters.values())
        text = text.replace(parameters, f"{lines}\n")
    return re.sub(r"(: |-> )([\"'])(.*?)\2", r"\1\3", text).replace("<factory>", "...")


def _manual(function: Any) -> Iterator[str]:
    """A docstring of Google's form; its arguments become a list."""
    for line in (inspect.getdoc(function) or "").splitlines():
        argument = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
        yield f"- `{argument[1]}`: {argument[2]}" if argument else re.sub("^ {4,}", "  ", line)
        if line in ("Args:", "Returns:"):
            yield ""

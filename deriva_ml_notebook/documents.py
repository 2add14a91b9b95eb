"""Notebook files: read and checked before anything starts, looked through without being run, written piece by piece."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import DerivaMLConfigurationError

SUFFIX = ".ipynb"
ERROR_TAG = "papermill-error-cell-tag"
"""Papermill's own: whoever runs the marked notebook again removes the marks."""
_IRI_SYNTAX = "rfc3987_syntax"
_OPENERS = ("run_notebook", "create_execution")
_READERS = ("get_notebook_configuration", "DERIVA_ML_HYDRA_OVERRIDES")


def read_notebook(path: Path) -> Any:
    """
    A notebook as nbformat's newest document, with papermill's metadata.

    Raises:
        DerivaMLConfigurationError: no such file, no notebook, or one that nbformat can't read or calls invalid.
    """
    _check_file(path)
    with _quick_jsonschema():
        from nbformat.reader import NotJSONError

    try:
        document = _parsed(path)
    except DerivaMLConfigurationError:
        raise
    except (NotJSONError, UnicodeDecodeError) as err:
        raise DerivaMLConfigurationError(f"{path} is not a notebook: {_first_line(err)}") from err
    except Exception as err:  # nbformat's validators raise what their schema library raises
        raise DerivaMLConfigurationError(f"{path} is a damaged notebook: {_first_line(err)}") from err
    return _for_papermill(document)


@contextmanager
def _quick_jsonschema() -> Iterator[None]:
    """
    Let nbformat import jsonschema without its check of IRIs, which no notebook's schema asks for.

    JupyterLab brings rfc3987_syntax along, which compiles a grammar as it is imported: that takes longer than all the
    rest of this command's start.
    """
    if "jsonschema" in sys.modules or _IRI_SYNTAX in sys.modules:
        yield
        return
    sys.modules[_IRI_SYNTAX] = None  # type: ignore[assignment]  # what Python's import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[_IRI_SYNTAX]


def _parsed(path: Path) -> Any:
    import nbformat

    document = nbformat.reader.reads(path.read_text(encoding="utf-8"))
    if document.get("nbformat", 0) < 4:
        raise DerivaMLConfigurationError(
            f"{path} is a notebook of format {document.get('nbformat')}: bring it to the present one with "
            f"`jupyter nbconvert --to notebook --nbformat 4 {path}`"
        )
    nbformat.validate(document)
    return nbformat.convert(document, 4)


def _for_papermill(document: Any) -> Any:
    from nbformat.v4 import upgrade

    document = upgrade(document) or document  # papermill.iorw.load_notebook_node, which reads from a file by itself
    document.metadata.setdefault(
        "papermill", {"default_parameters": {}, "parameters": {}, "environment_variables": {}, "version": ""}
    )
    for cell in document.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata.setdefault("papermill", {})
    document.cells = [cell for cell in document.cells if ERROR_TAG not in cell.metadata.tags]
    return document


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DerivaMLConfigurationError(f"{path} is a folder: name a notebook in it")
    if path.suffix != SUFFIX:
        raise DerivaMLConfigurationError(f"{path} is not a notebook: its name does not end in {SUFFIX}")
    if not path.is_file():
        from deriva_ml_core.errors import nearest

        there = [str(other) for other in sorted(path.parent.glob(f"*{SUFFIX}"))] if path.parent.is_dir() else []
        near = nearest(str(path), there) or (f" (there: {', '.join(there[:8])})" if there else "")
        raise DerivaMLConfigurationError(f"no such notebook: {path}{near}")


def _first_line(err: BaseException) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return (lines[0] if lines else type(err).__name__)[:300]


def require_python(path: Path, document: Any) -> None:
    """
    Refuse a notebook in another language.

    Raises:
        DerivaMLConfigurationError: its metadata names one.
    """
    info, kernel = document.metadata.get("language_info", {}), document.metadata.get("kernelspec", {})
    language = str(info.get("name") or kernel.get("language") or "python")
    if not re.match(r"i?python\d*$", language.lower()):
        raise DerivaMLConfigurationError(f"{path} is a notebook in {language}: deriva-ml runs notebooks in Python")


@dataclass(frozen=True, slots=True)
class Opening:
    """
    What can be told of how a notebook opens its execution, without running it.

    Args:
        mentioned: some cell names a function that opens one.
        configured: some cell takes the overrides, whether by such a function or by itself.
        config_name: the configuration that run_notebook is called with: None where it is the notebook's own name.
        certain: whether that is known; it may be worked out while the notebook runs.
    """

    mentioned: bool = False
    configured: bool = False
    config_name: str | None = None
    certain: bool = False


def find_opening(document: Any) -> Opening:
    """Look through the code cells for the call of run_notebook."""
    mentioned = configured = False
    for cell in code_cells(document):
        mentioned |= any(name in cell.source for name in _OPENERS)
        configured |= any(name in cell.source for name in _READERS)
        call = _call_in(cell.source)
        if call is not None:
            return _opening_of(call)
    return Opening(mentioned, mentioned or configured)


def code_cells(document: Any) -> list[Any]:
    """The cells that run."""
    return [cell for cell in document.cells if cell.cell_type == "code" and cell.source.strip()]


def _call_in(source: str) -> ast.Call | None:
    lines = ("" if re.match(r"\s*[%!?]", line) else line for line in source.splitlines())  # IPython's own syntax
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "run_notebook":
                return node
    return None


def _opening_of(call: ast.Call) -> Opening:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "config_name"]
    given = call.args[0] if call.args else (named[0] if named else None)
    if given is None:
        return Opening(mentioned=True, configured=True, certain=all(keyword.arg for keyword in call.keywords))
    if isinstance(given, ast.Constant) and (given.value is None or isinstance(given.value, str)):
        return Opening(mentioned=True, configured=True, config_name=given.value, certain=True)
    return Opening(mentioned=True, configured=True)


def write_notebook(document: Any, path: Path) -> None:
    """
    Write a notebook, one cell at a time: a cell's outputs may be large, and all together much larger.

    A reader sees the former file or the new one.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write('{\n "cells": [')
            for number, cell in enumerate(document.cells):
                file.write(",\n" if number else "\n")
                file.write(json.dumps(_split(cell), ensure_ascii=False, sort_keys=True))
            file.write("\n ]")
            for key in ("metadata", "nbformat", "nbformat_minor"):
                file.write(f',\n "{key}": ' + json.dumps(document[key], ensure_ascii=False, sort_keys=True))
            file.write("\n}\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _split(cell: Any) -> dict[str, Any]:
    """Text as lists of lines, as Jupyter writes it: so two runs can be compared line by line."""
    return {**cell, "source": cell["source"].splitlines(keepends=True)}

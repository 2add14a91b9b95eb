"""A dataset in a few words of Markdown, for notebooks and reports."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deriva_ml_core.datasets.dataset import Dataset


def to_markdown(dataset: Dataset, *, show_children: bool = False, indent: int = 0) -> str:
    """
    One line of a list: a link, version, types and description.

    Args:
        show_children: with the datasets nested in it below, and theirs.
        indent: how deep in the list.
    """
    version = f" {dataset.current_version}" if dataset.current_version else ""
    names = dataset.dataset_types  # asks the catalog
    types = f" ({', '.join(names)})" if names else ""
    description = f": {' '.join(dataset.description.split())}" if dataset.description else ""
    line = f"{'  ' * indent}- [{dataset.dataset_rid}]({dataset.get_chaise_url()}){version}{types}{description}"
    children = dataset.list_dataset_children() if show_children else []
    return "\n".join([line, *(to_markdown(child, show_children=True, indent=indent + 1) for child in children)])


def display_markdown(text: str) -> None:
    """Show it: as a notebook does, else on the terminal."""
    shell = sys.modules.get("IPython")
    if shell is not None and shell.get_ipython() is not None:
        display = importlib.import_module("IPython.display")
        display.display(display.Markdown(text))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))

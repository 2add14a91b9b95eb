"""One name where several are asked for: who writes "Image" means the table, not its letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Name = TypeVar("Name")


def names_of(names: str | Iterable[Name] | None) -> list[str | Name]:
    """Names as a list; None is none."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)

"""Descriptions of configuration options: a list that carries one, and how to read one from any option."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hydra_zen import builds


class DescribedList(list[Any]):
    """A list, of datasets or assets, that knows what it is for.

    Attributes:
        description: Markdown for the menu and the record.
    """

    def __init__(self, items: Iterable[Any] = (), description: str = "") -> None:
        super().__init__(items)
        self.description = description


def with_description(items: Iterable[Any], description: str) -> Any:
    """A configuration of `items` with a description, for `store(…, name=…)`.

    Args:
        items: RIDs, or configurations of specs (DatasetSpecConfig, AssetSpecConfig, …).
        description: Markdown; its first line is shown by `deriva-ml-run --info`.

    Returns:
        A hydra-zen configuration that instantiates to a DescribedList.

    Example:
        >>> from hydra_zen import instantiate
        >>> instantiate(with_description(["1-ABCD"], "Images of 2024")).description
        'Images of 2024'
    """
    config = builds(DescribedList, items=list(items), description=description, hydra_convert="all")
    return config()

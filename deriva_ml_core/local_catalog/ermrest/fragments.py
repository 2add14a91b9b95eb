"""Pieces of SQL with their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

_MANY = 100


@dataclass(frozen=True, slots=True)
class Fragment:
    """
    An SQL expression.

    Attributes:
        parameters: for its question marks, in order.
        uses: the numbers of the table instances that it refers to.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    uses: frozenset[int] = frozenset()


def combine(word: Literal["AND", "OR"], fragments: Sequence[Fragment]) -> Fragment:
    """
    Join one or more conditions.

    The expression is a balanced tree: SQLite bounds the depth of expressions (1,000), not the number of terms. Its
    planner takes time by the square of the number of terms, so that a long expression is hidden from it by a plus.
    """
    if len(fragments) == 1:
        return fragments[0]
    return Fragment(
        ("+" if len(fragments) > _MANY else "") + _tree(word, [fragment.sql for fragment in fragments]),
        tuple(parameter for fragment in fragments for parameter in fragment.parameters),
        frozenset().union(*(fragment.uses for fragment in fragments)),
    )


def _tree(word: str, terms: list[str]) -> str:
    while len(terms) > 1:
        pairs = [f"({a} {word} {b})" for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]

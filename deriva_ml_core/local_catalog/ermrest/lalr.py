"""
Parse by LALR(1) tables that lark has made (urltables.py): the loop of every such parser, linear and without recursion.

Source: the shift-reduce algorithm of any compiler textbook; lark's own loop needs all of lark loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

END = "$END"
Action = Callable[..., Any]


class ParseError(Exception):
    """The tokens are no sentence; `position` is the index of the first token that does not fit."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class Parser:
    """A table with an action for each rule."""

    def __init__(self, tables: Path, actions: Mapping[str, Action]) -> None:
        document = json.loads(tables.read_text(encoding="utf-8"))
        self.tokens: dict[str, str] = document["tokens"]
        self._states: list[dict[str, int]] = document["states"]
        self._starts: dict[str, int] = document["starts"]
        self._ends: dict[str, int] = document["ends"]
        self._rules = [(symbol, actions[action], size, kept) for symbol, action, size, kept in document["rules"]]

    def parse(self, start: str, tokens: Sequence[tuple[str, Any]]) -> Any:
        """
        The value of the start symbol's action.

        Args:
            tokens: (token, value) pairs; the last is (END, None).

        Raises:
            ParseError: no sentence.
        """
        states, rules, end = self._states, self._rules, self._ends[start]
        stack: list[int] = [self._starts[start]]
        values: list[Any] = []
        for position, (token, value) in enumerate(tokens):
            while stack[-1] != end:
                step = states[stack[-1]].get(token)
                if step is None:
                    raise ParseError(position)
                if step >= 0:
                    stack.append(step)
                    values.append(value)
                    break
                symbol, action, size, kept = rules[-1 - step]
                arguments = values[-size:] if size else []
                if size:
                    del stack[-size:], values[-size:]
                values.append(action(*[arguments[i] for i in kept]))
                stack.append(states[stack[-1]][symbol])
        return values[0]

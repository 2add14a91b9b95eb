"""Conditions on what executions recorded, as a person types them: accuracy>0.9, model_config=quick*."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from deriva_ml_core.errors import DerivaMLConfigurationError

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_FORM = re.compile(r"(?P<name>[^<>=!]+?)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A name, an operator and a value.

    Args:
        operator: "=" and "!=" compare numbers as numbers and texts with `*` and `?` as patterns; <, <=, > and >=
            compare numbers.
    """

    name: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """
        Read one.

        Raises:
            DerivaMLConfigurationError: it has no operator, or one that needs a number beside none.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise DerivaMLConfigurationError(f"{text!r} is no condition: write NAME=VALUE, NAME>NUMBER, NAME!=VALUE, …")
        condition = cls(found["name"], found["operator"].replace("==", "="), found["value"].strip())
        if condition.operator in _ORDER and _number(condition.value) is None:
            raise DerivaMLConfigurationError(
                f"{text!r}: {condition.operator} compares numbers, {found['value']!r} is none"
            )
        return condition

    def holds(self, value: Any) -> bool:
        """Whether a value fulfills it; one that was not recorded (None) fulfills none."""
        if value is None:
            return False
        if self.operator in _ORDER:
            number, bound = _number(value), _number(self.value)
            return number is not None and bound is not None and _ORDER[self.operator](number, bound)
        return self._equals(value) is (self.operator == "=")

    def _equals(self, value: Any) -> bool:
        one, other = _number(value), _number(self.value)
        if one is not None and other is not None:
            return math.isclose(one, other, rel_tol=1e-9)
        return fnmatchcase(str(value).lower(), self.value.lower())


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None

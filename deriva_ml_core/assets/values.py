"""Whether a value fits a column's type, said before it is sent: the server's own refusal would come at upload."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from typing import Any

_INTEGER_BITS = {"int2": 16, "serial2": 16, "int4": 32, "serial4": 32, "int8": 64, "serial8": 64}
_TEXT = {"text", "longtext", "markdown", "ermrest_rid", "ermrest_curie", "ermrest_uri", "color_rgb_hex"}


def value_fault(value: Any, type_name: str) -> str:
    """
    Why `value` can't be stored in a column of this ERMrest type, or "".

    A type that we don't know is left to the server. None is a question of nullability, not of type.
    """
    if value is None:
        return ""
    if type_name.endswith("[]"):
        if not isinstance(value, list | tuple):
            return f"{_shown(value)} is not a list, the column holds {type_name}"
        return next(filter(None, (value_fault(item, type_name[:-2]) for item in value)), "")
    return "" if _check(type_name)(value) else f"{_shown(value)} is not of type {type_name}"


def json_value(value: Any) -> Any:
    """The value as JSON carries it: dates as ISO text, numbers of NumPy as Python's, everything else itself."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return item()
    return value


def _check(type_name: str) -> Callable[[Any], bool]:
    if type_name in _INTEGER_BITS:
        bits = _INTEGER_BITS[type_name]
        return lambda value: _is_integer(value) and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    if type_name in _TEXT:
        return lambda value: isinstance(value, str) and "\x00" not in value
    return {
        "float4": _is_number,
        "float8": _is_number,
        "numeric": _is_number,
        "boolean": lambda value: isinstance(value, bool),
        "date": _is_date,
        "timestamp": _is_timestamp,
        "timestamptz": _is_timestamp,
        "json": _is_json,
        "jsonb": _is_json,
    }.get(type_name, lambda _value: True)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_date(value: Any) -> bool:
    return _parses(datetime.date.fromisoformat, value)


def _is_timestamp(value: Any) -> bool:
    return _parses(datetime.datetime.fromisoformat, value)


def _is_json(value: Any) -> bool:
    return _parses(lambda item: json.dumps(item, allow_nan=False), value)


def _parses(parser: Callable[[Any], object], value: Any) -> bool:
    try:
        parser(value)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

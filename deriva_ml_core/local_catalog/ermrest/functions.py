"""
SQL functions for what SQLite itself cannot say about PostgreSQL's values.

All are pure. A pattern comes as a bound Python object (apsw.pyobject), compiled once for a query.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deriva_ml_core.local_catalog.ermrest import arrays, intervals, jsonb, times
from deriva_ml_core.local_catalog.ermrest.bins import pg_bin, pg_conflict
from deriva_ml_core.local_catalog.ermrest.types import shortest_single

if TYPE_CHECKING:
    import apsw

    from deriva_ml_core.local_catalog.ermrest.regexps import Matcher


def install(db: apsw.Connection) -> None:
    """Make the functions known to a connection."""
    for function, arguments in _FUNCTIONS:
        db.create_scalar_function(function.__name__, function, arguments, deterministic=True)


def pg_match(matcher: Matcher, *texts: Any) -> bool | None:
    """Whether a regular expression has a match in some value's text form; null if it has none and a value is null."""
    unknown = False
    for text in texts:
        if text is None:
            unknown = True
        elif matcher(text if type(text) is str else str(text)):
            return True
    return None if unknown else False


def pg_float8(number: float | str | None) -> str | None:
    """A float8 in PostgreSQL's text form: shortest, `1e+15`, `1e-05`, `Infinity`."""
    return _float_text(number, 15) if isinstance(number, (int, float)) else number


def pg_float4(number: float | str | None) -> str | None:
    """The same for a float4."""
    return _float_text(shortest_single(float(number)), 6) if isinstance(number, (int, float)) else number


def pg_json_number(text: str | None) -> str | None:
    """The text of a float as JSON, which has no infinity and no NaN: they become strings."""
    return text if text is None or text[-1].isdigit() else json.dumps(text)


def _float_text(number: float, digits: int) -> str:
    number = float(number)
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = repr(number)
    size = Decimal(shortest).adjusted()
    if -4 <= size < digits and "e" not in shortest:
        return shortest.removesuffix(".0")
    if -4 <= size < digits:
        return f"{number:f}".rstrip("0").rstrip(".")
    significant = _significant(shortest)
    mantissa = significant[0] + ("." + significant[1:] if significant[1:] else "")
    return f"{'-' if number < 0 else ''}{mantissa}e{'-' if size < 0 else '+'}{abs(size):02}"


def _significant(shortest: str) -> str:
    """The significant digits of a float's repr."""
    return shortest.lstrip("-").partition("e")[0].replace(".", "").lstrip("0").rstrip("0") or "0"


def pg_numeric_avg(total: int | None, count: int) -> str | None:
    """
    The average of integers as PostgreSQL's numeric prints it: at least 16 significant digits.

    Source: PostgreSQL documentation, "Arbitrary Precision Numbers"; the scale counts groups of four decimal digits.
    """
    if not count or total is None:
        return None
    scale = _quotient_scale(abs(int(total)), count)
    quotient, rest = divmod(abs(int(total)) * 10**scale, count)
    quotient += 2 * rest >= count
    digits = f"{quotient:0{scale + 1}d}"
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{'-' if int(total) < 0 and quotient else ''}{whole}{'.' if fraction else ''}{fraction}"


def _quotient_scale(dividend: int, divisor: int) -> int:
    def groups(number: int) -> tuple[int, int]:
        """How many groups of four digits follow the first one, and the first one."""
        digits = str(number)
        weight = (len(digits) - 1) // 4
        return weight, int(digits[: len(digits) - 4 * weight])

    (weight1, first1), (weight2, first2) = groups(dividend), groups(divisor)
    weight = weight1 - weight2 - (first1 <= first2)
    return max(16 - weight * 4, 0)


def pg_wide_sum(high: int | None, low: int | None) -> str | None:
    """A sum of int8 from the sums of its upper and lower 32 bits, exact where SQLite's own would overflow."""
    return None if high is None or low is None else str((high << 32) + low)


def pg_array_text(stored: str | None, kind: str) -> str | None:
    """An array in PostgreSQL's text form, `{a,"b c",NULL}`; `kind` is the type of its members."""
    if stored is None:
        return None
    return arrays.join([None if member is None else member_text(member, kind) for member in json.loads(stored)])


def member_text(member: Any, kind: str) -> str:
    """A member of a stored array in PostgreSQL's text form."""
    if kind == "json":
        return json.dumps(member, ensure_ascii=False)
    if kind == "jsonb":
        return jsonb.write(member)
    if isinstance(member, bool):
        return "t" if member else "f"
    if kind in {"float4", "float8"} and isinstance(member, (int, float)):
        return _float_text(member, 6 if kind == "float4" else 15)
    if kind in {"timestamp", "timestamptz"}:
        return str(member).replace("T", " ").removesuffix(":00" if kind == "timestamptz" else "")
    return str(member)


def pg_array_order(stored: str | None) -> bytes | None:
    """Bytes that compare as the arrays do: member by member, null last, a shorter one first."""
    if stored is None:
        return None
    return b"".join(_member_order(member) for member in json.loads(stored)) + b"\x00"


def _member_order(member: Any) -> bytes:
    if member is None:
        return b"\x02"
    if isinstance(member, str):
        return b"\x01" + member.encode() + b"\x00"
    if isinstance(member, (bool, int)):
        return b"\x01" + (member + (1 << 63)).to_bytes(9, "big")
    if isinstance(member, float):
        return b"\x01" + jsonb.number_key(member)
    return b"\x01" + jsonb.order_of(json.dumps(member))


def pg_float_array_order(stored: str | None) -> bytes | None:
    """The same for arrays of floats, whose whole numbers are stored without a point."""
    if stored is None:
        return None
    members = [float(m) if isinstance(m, (int, float)) and not isinstance(m, bool) else m for m in json.loads(stored)]
    return pg_array_order(json.dumps(members))


def pg_jsonb_order(stored: str | None) -> bytes | None:
    """Bytes that compare as jsonb documents do."""
    return None if stored is None else jsonb.order_of(stored)


def pg_interval_order(stored: str | None) -> float | None:
    """A number that compares as intervals do."""
    return None if stored is None else intervals.order_of(stored)


def pg_seconds(stored: str | None) -> float | None:
    """Seconds since 1970 of a stored date or timestamp."""
    return None if stored is None else times.seconds_of(stored)


_FUNCTIONS: list[tuple[Any, int]] = [
    (pg_match, -1),
    (pg_float8, 1),
    (pg_float4, 1),
    (pg_json_number, 1),
    (pg_numeric_avg, 2),
    (pg_wide_sum, 2),
    (pg_array_text, 2),
    (pg_array_order, 1),
    (pg_float_array_order, 1),
    (pg_jsonb_order, 1),
    (pg_interval_order, 1),
    (pg_seconds, 1),
    (pg_bin, 2),
    (pg_conflict, 2),
]

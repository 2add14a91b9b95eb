"""
Filters of ERMrest's URLs: what may be asked for in one request, escaped, and no longer than every server takes.

Source: ERMrest docs, "Entity Filters"; NOTES, "URL grammar".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deriva_ml_core.catalog.model import Table

Filters = Mapping[str, Any]

# Apache refuses request lines of more than 8,190 bytes (LimitRequestLine), nginx of more than 8,192.
MAX_URL_BYTES = 6_000


@dataclass(frozen=True, slots=True)
class Between:
    """A filter's value: from `low`, included, to `high`, excluded; None has no bound on that side."""

    low: Any = None
    high: Any = None


_LISTS = (list, tuple, set, frozenset)
_RID = re.compile(r"[0-9A-Z]{1,4}(-[0-9A-Z]{4})*")


def is_rid(text: str) -> bool:
    """Whether the text has the form of a RID: 1-4 characters, then groups of 4 after hyphens."""
    return bool(_RID.fullmatch(normal_rid(text)))


def normal_rid(text: str) -> str:
    """A RID as the catalog writes it: upper case, no blanks around, no snapshot."""
    return text.strip().upper().partition("@")[0]


def filter_paths(table: Table, filters: Filters) -> Iterator[str]:
    """
    The filters as parts of URLs, usually one: Status=Running&Workflow=any(1-A,1-B).

    A list that is too long for a URL is divided, each part with all the other filters; an empty list gives no part,
    since nothing matches it (ERMrest would take `any()` for a list of one empty text).

    Args:
        filters: column to value; a list means any of its values, None means that there is none.
    """
    lists = {name: list(dict.fromkeys(value)) for name, value in filters.items() if isinstance(value, _LISTS)}
    if not all(lists.values()):
        return
    longest = max(lists, key=lambda name: _size(lists[name]), default=None)
    if longest is None:
        yield filter_path(table, filters)
        return
    rest = {name: value for name, value in filters.items() if name != longest}
    room = MAX_URL_BYTES - len(filter_path(table, rest))
    for part in _parts(lists[longest], room):
        yield filter_path(table, {**rest, longest: part})


def filter_path(table: Table, filters: Filters) -> str:
    """The filters as one part of a URL, however long."""
    return "&".join(_filter(table.column(name).name, value) for name, value in filters.items())


def any_rids(rids: Iterable[str]) -> Iterator[str]:
    """any(...) lists of RIDs, each short enough for a URL. What can't be a RID matches nothing and is left out."""
    wanted = list(dict.fromkeys(normal_rid(rid) for rid in rids if is_rid(rid)))
    for part in _parts(wanted, MAX_URL_BYTES):
        yield f"any({','.join(part)})"


def column_names(columns: Iterable[str]) -> str:
    """Column names, escaped, with commas between."""
    return ",".join(quote(name, safe="") for name in columns)


def _filter(column: str, value: Any) -> str:
    name = quote(column, safe="")
    if isinstance(value, Between):
        bounds = (("geq", value.low), ("lt", value.high))
        return "&".join(f"{name}::{operator}::{_literal(at)}" for operator, at in bounds if at is not None)
    if value is None:
        return f"{name}::null::"
    if not isinstance(value, _LISTS):
        return f"{name}={_literal(value)}"
    there = [_literal(member) for member in value if member is not None]
    given = f"{name}=any({','.join(there)})"
    if None not in value:
        return given
    # Null is no value that any() could find.
    return f"({given};{name}::null::)" if there else f"{name}::null::"


def _literal(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return quote(text, safe="")


def _size(values: Iterable[Any]) -> int:
    return sum(len(_literal(value)) + 1 for value in values)


def _parts(values: list[Any], room: int) -> Iterator[list[Any]]:
    """The values in lists that fit into `room` bytes each, at least one value a list."""
    part: list[Any] = []
    size = 0
    for value in values:
        weight = _size([value])
        if part and size + weight > room:
            yield part
            part, size = [], 0
        part.append(value)
        size += weight
    if part:
        yield part

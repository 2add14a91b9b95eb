"""What the data resources answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A successful answer; refusals are exceptions (errors.py).

    Attributes:
        body: chunks, made while they are read. A list of at most one chunk is complete; any other body must be read
            inside the `with` of the view that it came from.
    """

    status: int = 200
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()

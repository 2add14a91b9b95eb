"""How patiently files travel: time-outs, repeats and the pauses between them, chunks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from deriva_ml_core.errors import CatalogError, CatalogUnreachable, DerivaMLConfigurationError

_LONGEST_PAUSE_S = 120.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Manner:
    """
    How to upload.

    Args:
        max_retries: how often files that got no answer are tried again, beyond the repeats of single requests.
        retry_delay_s: pause before the first of these; each further one is twice as long, up to two minutes.
        timeout_s: to connect and to wait for an answer; None is the connection's own.
        chunk_size: bytes; larger files go in chunks and go on at the last accepted one; None is the engine's own.

    Raises:
        DerivaMLConfigurationError: a value that can't be meant.
    """

    max_retries: int = 0
    retry_delay_s: float = 5.0
    timeout_s: tuple[float, float] | None = None
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise DerivaMLConfigurationError(f"max_retries={self.max_retries}: 0 or more")
        if self.retry_delay_s < 0:
            raise DerivaMLConfigurationError(f"retry_delay={self.retry_delay_s}: 0 or more seconds")
        if self.chunk_size is not None and self.chunk_size < 1:
            raise DerivaMLConfigurationError(f"chunk_size={self.chunk_size}: 1 or more bytes")
        if self.timeout_s is not None and (len(tuple(self.timeout_s)) != 2 or min(self.timeout_s) <= 0):
            raise DerivaMLConfigurationError(
                f"timeout={self.timeout_s!r}: two numbers of seconds above 0, to connect and to wait for an answer"
            )

    def pauses_s(self) -> Iterator[float]:
        """One pause for each retry; with jitter, so that the runs of a sweep do not all come back at once."""
        pause = self.retry_delay_s
        for _ in range(self.max_retries):
            yield pause * random.uniform(0.75, 1.25)  # noqa: S311  # no secret
            pause = min(2 * pause, _LONGEST_PAUSE_S)


DEFAULT_MANNER = Manner()


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed: no answer, or an answer by which a server says that it has trouble."""
    return isinstance(error, CatalogUnreachable) or (isinstance(error, CatalogError) and error.status in _TRANSIENT)

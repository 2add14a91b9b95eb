"""
Models of catalogs that this process has read, so that its next connection need not read them again.

A connection asks whether the model has changed (If-None-Match). The jobs of a sweep don't even ask, after the first in
a process: each would wait for an answer that nearly always is the same. What they do not find in the model they look
for in the catalog, so that a table made meanwhile is there for them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from deriva_ml_core.catalog.model import CatalogModel

_MOST = 8


class KnownModel(NamedTuple):
    """A model, and by which ETag its server knows it."""

    model: CatalogModel
    etag: str


_known: dict[Hashable, KnownModel] = {}
_trusted: ContextVar[bool] = ContextVar("deriva_ml_models_trusted", default=False)


@contextmanager
def known_models_trusted(yes: bool = True) -> Iterator[None]:
    """Whether connections that are made inside take a known model as it is."""
    token = _trusted.set(yes)
    try:
        yield
    finally:
        _trusted.reset(token)


def are_trusted() -> bool:
    """Whether a connection that is made now takes a known model as it is."""
    return _trusted.get()


def known_model(catalog: Hashable) -> KnownModel | None:
    """The model of a catalog as it was last read; None where this process has not read it."""
    return _known.get(catalog)


def keep_model(catalog: Hashable, model: CatalogModel, etag: str | None) -> None:
    """
    Remember a model.

    Args:
        catalog: names the catalog, and all that the model depends on: the login, the schemas that were asked for.
    """
    _known.pop(catalog, None)
    if etag:
        _known[catalog] = KnownModel(model, etag)
    for oldest in list(_known)[:-_MOST]:
        _known.pop(oldest, None)


def forget_known_model(catalog: Hashable) -> None:
    """Somebody of this process has changed it."""
    _known.pop(catalog, None)

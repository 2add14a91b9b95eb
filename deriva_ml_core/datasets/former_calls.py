"""What calls of existing projects may carry and means nothing here: taken and told, unless it looks like a slip."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from deriva_ml_core.errors import nearest

log = logging.getLogger(__name__)


def ignore_extras(method: str, extras: Mapping[str, object], known: Iterable[str]) -> None:
    """
    Say that arguments without a meaning are ignored.

    Raises:
        TypeError: one is nearly the name of an argument that has one: ignoring it would answer another question.
    """
    for name in extras:
        if meant := nearest(name, known):
            msg = f"{method}() has no argument {name!r}{meant}"
            raise TypeError(msg)
        log.warning("%s: the argument %r has no meaning here and is ignored", method, name)

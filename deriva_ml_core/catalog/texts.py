"""Text that a catalog can hold: PostgreSQL's takes neither NUL nor half of a surrogate pair."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str | None) -> str | None:
    """
    Text with U+FFFD in the place of each character that no catalog can hold.

    For what we write of a run ourselves: an exception's message may name a file whose name is no UTF-8, and that must
    not keep the catalog from hearing that the run has failed.
    """
    return _UNSTORABLE.sub("\ufffd", text) if text else text

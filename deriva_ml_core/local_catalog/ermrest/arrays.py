"""
PostgreSQL's text form of arrays: `{a,"b c",NULL,""}`, one dimension.

Source: PostgreSQL documentation, "Array Input and Output Syntax".
"""

from __future__ import annotations

import re

_MEMBER = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s{},"\\]|\\.)(?:[^{},"\\]|\\.)*))\s*([,}])', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_QUOTES = re.compile(r'[\s{},"\\]')
_TO_ESCAPE = re.compile(r'(["\\])')


def split(text: str) -> list[str | None]:
    """
    The members of an array's text form.

    Raises:
        ValueError: not such a form, or more than one dimension.
    """
    text = text.strip()
    if not text.startswith("{") or not text.endswith("}"):
        raise ValueError("an array is written {a,b}")
    if not text[1:-1].strip():
        return []
    members: list[str | None] = []
    position, closer = 1, ","
    while closer == ",":
        found = _MEMBER.match(text, position)
        if not found:
            raise ValueError("malformed array, or more than one dimension")
        members.append(_member(found[1], found[2]))
        position, closer = found.end(), found[3]
    if position != len(text):
        raise ValueError("something follows the array")
    return members


def _member(quoted: str | None, bare: str | None) -> str | None:
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted)
    text = (bare or "").rstrip()
    return None if text.upper() == "NULL" else _ESCAPE.sub(r"\1", text)


def join(members: list[str | None]) -> str:
    """The text form of an array with these members."""
    return "{" + ",".join("NULL" if member is None else _quoted(member) for member in members) + "}"


def _quoted(member: str) -> str:
    if member and member.upper() != "NULL" and not _NEEDS_QUOTES.search(member):
        return member
    return '"' + _TO_ESCAPE.sub(r"\\\1", member) + '"'

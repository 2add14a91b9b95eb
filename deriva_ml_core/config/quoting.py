"""Text as the value of a Hydra override."""

from __future__ import annotations

import re

from hydra.core.override_parser.types import Quote, QuotedString

_PLAIN_VALUE = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


def quote(value: str) -> str:
    """Any text as the value of an override that means exactly this string.

    Quotes, newlines, commas, `=` and `${…}` stay what they are.
    """
    if _PLAIN_VALUE.fullmatch(value) and value.lower() not in ("true", "false", "null", "inf", "nan"):
        return value
    # Hydra unquotes first; OmegaConf would then resolve ${…}, and counts the backslashes before it.
    literal = re.sub(r"(\\*)\$\{", lambda match: match.group(1) * 2 + r"\${", value)
    return QuotedString(literal, Quote.single).with_quotes()

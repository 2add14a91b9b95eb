r"""
PostgreSQL's regular expressions, by the `regex` package.

The advanced regular expressions of PostgreSQL and those of `regex` differ in a few places: `$` and `^` are the ends of
the whole text, `.` matches a newline, `\y`, `\m` and `\M` are word boundaries, some escapes have other meanings, and
there is nothing like possessive or fuzzy quantifiers. We only need to know whether there is a match, so that the
difference between longest and first match does not matter.

Source: PostgreSQL documentation, "POSIX Regular Expressions" (9.7.3).
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

if TYPE_CHECKING:
    import regex

MAX_LENGTH = 5_000
MAX_REPEAT = 255
MAX_SIZE = 20_000
"""Characters of a pattern whose bounds are written out: compiling `((a{255}){255}){255}` would take a minute."""
SECONDS_PER_QUERY = 20.0
"""What all searches of one pattern in one query may take together."""
SECONDS_PER_SEARCH = 2.0
_SHORT_TEXT = 2_000

_ESCAPES = {
    "y": r"\b",
    "Y": r"\B",
    "b": r"\x08",
    "B": r"\\",
    "e": r"\x1b",
    "0": r"\x00",
    **{letter: f"\\{letter}" for letter in "mMAZdDsSwWafnrtv"},
}
_HEX = {"x": re.compile(r"[0-9A-Fa-f]{1,8}"), "u": re.compile(r"[0-9A-Fa-f]{4}"), "U": re.compile(r"[0-9A-Fa-f]{8}")}
_BOUND = re.compile(r"\{(\d{1,5})(?:(,)(\d{1,5})?)?\}")
_CLASS = re.compile(r"\[:(\w+):\]")
_CLASSES = {
    *("alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"),
    *("word", "ascii"),
}
_GROUPS = ("(?:", "(?=", "(?!", "(?<=", "(?<!")
_OPTIONS = re.compile(r"\(\?([a-z]+)\)")
_COMMENT = re.compile(r"\(\?#[^)]*\)")


class Translation:
    """One pass over a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.flags = ""
        self.newline_sensitive = False
        self.quantifiable = False
        self._sizes = [0]  # how many characters each open group stands for when its bounds are written out
        self._last_size = 0
        self.repetitions = 0
        """How many parts may be repeated: with at most one a search cannot take long in a short text."""

    def run(self) -> str:
        """
        The pattern in the syntax of `regex`.

        Raises:
            Conflict: PostgreSQL would not take it.
        """
        if self.pattern.startswith("***="):
            return re.escape(self.pattern[4:])
        self.pattern = self.pattern.removeprefix("***:")
        self._read_options()
        parts = []
        while self.position < len(self.pattern):
            parts.append(self._next())
        return "".join(parts)

    def _read_options(self) -> None:
        found = _OPTIONS.match(self.pattern)
        if not found:
            return
        if set(found[1]) - set("cimnpstwx"):
            raise _invalid("unknown embedded options")
        self.position = found.end()
        self.flags = "".join(flag for flag in "ix" if flag in found[1])
        self.newline_sensitive = bool(set("mn") & set(found[1]))

    def _next(self) -> str:
        character = self.pattern[self.position]
        if "x" in self.flags and (character.isspace() or character == "#"):
            return self._blank(character)
        if character in "*+?":
            return self._quantifier(character)
        if character == "{" and self.pattern[self.position + 1 : self.position + 2].isdigit():
            return self._bound()
        return self._atom(character)

    def _atom(self, character: str) -> str:
        self.quantifiable = character not in "(|^"
        self.position += 1
        self._measure(character)
        if compound := self._COMPOUND.get(character):
            return compound(self)
        if character in "^$.":
            return self._newline_dependent(character)
        if character in "|)":
            return character
        return re.escape(character)

    def _measure(self, character: str) -> None:
        if character == "(":
            self._sizes.append(0)
        elif character == ")" and len(self._sizes) > 1:
            self._last_size = self._sizes.pop()
            self._grow(self._last_size)
        else:
            self._last_size = 1
            self._grow(1)

    def _grow(self, size: int) -> None:
        self._sizes[-1] += size
        if self._sizes[-1] > MAX_SIZE:
            raise _invalid("it is too complex")

    def _newline_dependent(self, character: str) -> str:
        self.quantifiable = character == "."
        if self.newline_sensitive:
            return {"^": r"(?m:^)", "$": r"(?m:$)", ".": r"[^\n]"}[character]
        return {"^": r"\A", "$": r"\Z", ".": r"(?s:.)"}[character]

    def _blank(self, character: str) -> str:
        """What means nothing in expanded syntax: blanks, and comments to the end of the line."""
        end = self.pattern.find("\n", self.position) if character == "#" else self.position
        self.position = len(self.pattern) if end < 0 else end + 1
        return ""

    def _quantifier(self, sign: str) -> str:
        self.position += 1
        return sign + self._lazy()

    def _bound(self) -> str:
        found = _BOUND.match(self.pattern, self.position)
        if not found:
            raise _invalid("invalid repetition count")
        least, most = int(found[1]), int(found[3] or found[1])
        if least > MAX_REPEAT or most > MAX_REPEAT or most < least:
            raise _invalid(f"a repetition count must be at most {MAX_REPEAT}")
        self.position = found.end()
        self._grow(self._last_size * max(most - 1, 0))
        return found[0] + self._lazy()

    def _lazy(self) -> str:
        if not self.quantifiable:
            raise _invalid("quantifier operand invalid")
        self.quantifiable = False
        self.repetitions += 1
        if self.pattern[self.position : self.position + 1] == "?":
            self.position += 1
            return "?"
        return ""

    def _group(self) -> str:
        start = self.position - 1
        if comment := _COMMENT.match(self.pattern, start):
            self.position = comment.end()
            return ""
        for opening in sorted(_GROUPS, key=len, reverse=True):
            if self.pattern.startswith(opening, start):
                self.position = start + len(opening)
                return opening
        if self.pattern.startswith("(?", start):
            raise _invalid("unknown kind of group")
        return "("

    def _escape(self) -> str:
        letter = self.pattern[self.position : self.position + 1]
        if not letter:
            raise _invalid("invalid escape \\ sequence")
        self.position += 1
        if letter in _HEX:
            return self._code_point(_HEX[letter])
        if letter == "c" and self.position < len(self.pattern):
            self.position += 1
            return f"\\x{ord(self.pattern[self.position - 1]) & 0x1F:02x}"
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter.isalpha():
            raise _invalid(f"invalid escape \\{letter}")
        return f"\\{letter}"

    def _code_point(self, shape: re.Pattern[str]) -> str:
        found = shape.match(self.pattern, self.position)
        if not found or int(found[0], 16) > 0x10FFFF:
            raise _invalid("invalid escape \\ sequence")
        self.position = found.end()
        return f"\\U{int(found[0], 16):08x}"

    def _bracket(self) -> str:
        if word := re.compile(r"\[\[:([<>]):\]\]").match(self.pattern, self.position - 1):
            self.position = word.end()
            return r"\m" if word[1] == "<" else r"\M"
        parts = ["["]
        if self.pattern[self.position : self.position + 1] == "^":
            parts.append("^\\n" if self.newline_sensitive else "^")
            self.position += 1
        first = True
        while first or self.pattern[self.position : self.position + 1] != "]":
            if self.position >= len(self.pattern):
                raise _invalid("brackets [] not balanced")
            parts.append(self._bracket_member())
            first = False
        self.position += 1
        return "".join(parts) + "]"

    def _bracket_member(self) -> str:
        if named := _CLASS.match(self.pattern, self.position):
            if named[1] not in _CLASSES:
                raise _invalid("invalid character class")
            self.position = named.end()
            return named[0]
        character = self.pattern[self.position]
        self.position += 1
        if character == "[" and self.pattern[self.position : self.position + 1] in {".", "="}:
            return self._collating(self.pattern[self.position])
        if character == "\\":
            return self._escape()
        return character if character == "-" else re.escape(character)

    def _collating(self, mark: str) -> str:
        end = self.pattern.find(f"{mark}]", self.position + 1)
        name = self.pattern[self.position + 1 : end]
        if end < 0 or len(name) != 1:
            raise _invalid("invalid collating element")
        self.position = end + 2
        return re.escape(name)

    _COMPOUND: ClassVar = {"\\": _escape, "[": _bracket, "(": _group}


def _invalid(words: str) -> Conflict:
    return Conflict(f"Invalid regular expression: {words}.")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, *, ignore_case: bool) -> tuple[regex.Pattern[str], bool]:
    """
    A compiled pattern, and whether it is harmless in short texts.

    Raises:
        Conflict: the pattern is invalid, or too long.
    """
    import regex  # takes tens of milliseconds to load, and few requests need it

    if len(pattern) > MAX_LENGTH:
        raise _invalid(f"it has more than {MAX_LENGTH} characters")
    translation = Translation(pattern)
    translated = translation.run()
    flags = regex.V0
    flags |= regex.IGNORECASE if ignore_case or "i" in translation.flags else 0
    try:
        return regex.compile(translated, flags), translation.repetitions <= 1
    except (regex.error, OverflowError, RecursionError) as err:
        raise _invalid(str(err)) from err


class Matcher:
    """A pattern in one query, with the time that it may still take."""

    def __init__(self, pattern: str, *, ignore_case: bool) -> None:
        """
        Compile the pattern.

        Raises:
            Conflict: it is invalid.
        """
        compiled, harmless = compile_pattern(pattern, ignore_case=ignore_case)
        self._search = compiled.search
        self._unwatched_size = _SHORT_TEXT if harmless else 0
        self._rest_s = SECONDS_PER_QUERY

    def __call__(self, text: str) -> bool:
        """
        Whether the text has a match.

        Raises:
            BadRequest: the time is used up.
        """
        if len(text) <= self._unwatched_size:  # watching the time costs ten times as much as a simple search
            return self._search(text) is not None
        start = time.monotonic()
        try:
            found = self._search(text, timeout=min(max(self._rest_s, 0.01), SECONDS_PER_SEARCH), concurrent=True)
        except TimeoutError as err:
            raise _too_slow() from err
        self._rest_s -= time.monotonic() - start
        if self._rest_s < 0:
            raise _too_slow()
        return found is not None


def _too_slow() -> BadRequest:
    return BadRequest("The regular expression takes too long; make it simpler.")

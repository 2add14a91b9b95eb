"""What cells print, as a terminal would show it: a line that was redrawn is its last state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def joined(outputs: Sequence[Any]) -> list[Any]:
    """
    A cell's outputs with what it printed between two rich outputs as one output for each stream.

    nbclient has the same by coalesce_streams, but moves what was printed after a picture to before it, and takes time
    that grows with the square of the longest line: minutes for one of a megabyte.
    """
    made: list[Any] = []
    pieces: dict[str, list[str]] = {}
    streams: dict[str, Any] = {}

    def finish() -> None:
        for name, stream in streams.items():
            stream["text"] = shown("".join(pieces[name]))
        pieces.clear()
        streams.clear()

    for output in outputs:
        if output.output_type != "stream":
            finish()
            made.append(output)
            continue
        if output.name not in streams:
            streams[output.name] = output
            made.append(output)
        pieces.setdefault(output.name, []).append(output.text)
    finish()
    return made


def shown(text: str) -> str:
    """A text without what was drawn over."""
    if "\r" not in text and "\b" not in text:
        return text
    return "\n".join(last_state(line) for line in text.split("\n"))


def last_state(line: str) -> str:
    """What a terminal shows of a line that was redrawn, by carriage returns or by backspaces."""
    states = [state for state in re.split(r"\r+", line) if state.strip()]
    state = states[-1] if states else ""
    if "\b" not in state:
        return state
    left: list[str] = []
    for character in state:
        if character != "\b":
            left.append(character)
        elif left:
            left.pop()
    return "".join(left)

"""What cells print is kept as a person saw it in the end."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_output

from deriva_ml_notebook.streams import joined, shown


def printed(text: str, name: str = "stdout"):
    return new_output("stream", name=name, text=text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\nlines\n", "plain\nlines\n"),
        ("\r 10%\r 50%\r100%\n", "100%\n"),
        ("before\n\r 1/2\r 2/2\nafter", "before\n 2/2\nafter"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("1/2\b\b\b2/2\n", "2/2\n"),
        ("\b\bx", "x"),
        ("kept\r      \r", "kept"),
    ],
)
def test_a_line_that_was_redrawn_is_its_last_state(text, seen):
    assert shown(text) == seen


def test_streams_are_joined_between_rich_outputs():
    """What was printed after a picture stays after it; a bar's states are one line, whoever printed in between."""
    picture = new_output("display_data", data={"text/plain": "picture"})
    outputs = [
        printed("one"),
        printed("\r 1/2", "stderr"),
        printed(" line\n"),
        printed("\r 2/2\n", "stderr"),
        picture,
        printed("after\n"),
    ]

    made = joined(outputs)

    assert [(output.get("name"), output.get("text")) for output in made] == [
        ("stdout", "one line\n"),
        ("stderr", " 2/2\n"),
        (None, None),
        ("stdout", "after\n"),
    ]


def test_a_long_line_takes_no_longer_than_many_short_ones():
    """By the square of its length this would take hours."""
    text = "x" * 5_000_000

    assert joined([printed(text + "\r"), printed(text)])[0].text == text

"""The guide's troubleshooting table is the first part of ours; test_pages runs the page, and compares its messages."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "troubleshoot.md"
# The guide's own words for the symptoms that it lists, in its order.
SYMPTOMS = [
    "Config directory not found",
    "Uncommitted changes",
    "Kernel not found",
    "Override syntax errors",
    "Notebook ignores Hydra overrides",
]


def test_every_symptom_of_the_guide_has_its_row_and_its_section():
    """Who looks for the guide's words finds them."""
    text = PAGE.read_text()
    rows = re.findall(r"^\| \[(.+?)\]\(#(.+?)\)", text, re.MULTILINE)
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert [name for name, _ in rows[: len(SYMPTOMS)]] == SYMPTOMS
    assert [name for name in SYMPTOMS if name not in sections] == []


def test_every_section_runs_what_it_is_about():
    """A symptom whose message nobody provokes is a claim."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]

    assert [part.splitlines()[0] for part in sections if "$ uv run " not in part and "    uv run " not in part] == []

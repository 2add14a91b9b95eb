"""README, tutorial and how-to pages: every command and snippet works as it stands, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from demo_fixture import DEMO, Demo
from pages import Reader, blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "howto").glob("[!i]*.md"))]


@pytest.mark.parametrize("page", [pytest.param(page, marks=DEMO, id=page.stem) for page in PAGES])
def test_a_page_works_as_it_stands(page: Path, demo_copy: Demo):
    """A page that fails its reader at one line has failed."""
    Reader(demo_copy, demo_copy.folder.parent if page.stem in ("README", "tutorial") else demo_copy.folder).follow(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_says_why(page: Path):
    """An exception without a reason is a hole."""
    reasons = re.findall(r"<!-- not run:(.*?)-->", page.read_text(), re.DOTALL)

    assert all(len(reason.split()) >= 3 for reason in reasons)
    assert list(blocks(page)) or reasons, "neither a command nor a snippet: is it a how-to?"

"""The pictures of the pages: each is shown somewhere, says what it shows, and tells nothing of who drew it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def images() -> list[tuple[Path, str, Path]]:
    """Page, description and file of every picture that a page shows."""
    return [
        (page, description, (page.parent / target).resolve())
        for page in PAGES
        for description, target in _IMAGE.findall(page.read_text())
    ]


def test_every_picture_that_a_page_shows_is_there_and_described():
    """Who can't see a picture reads what it shows."""
    assert images()
    assert [f"{page.name}: {file.name}" for page, _, file in images() if not file.is_file()] == []
    assert [f"{page.name}: {file.name}" for page, described, file in images() if len(described.split()) < 5] == []


def test_every_picture_is_shown():
    """One that no page shows goes stale unseen."""
    assert {file.name for file in PICTURES.iterdir()} == {file.name for *_, file in images() if file.parent == PICTURES}


@pytest.mark.parametrize("picture", sorted(PICTURES.iterdir()), ids=lambda picture: picture.name)
def test_a_picture_tells_nothing_of_the_machine_and_fetches_nothing(picture: Path):
    """They are drawn from real runs, on whatever machine; a page that shows them works without a network."""
    text = picture.read_text()

    assert re.findall(r"/(?:tmp|root|home|work|Users)/[\w./-]*", text) == []
    assert re.findall(r"https?://[^\s\"'<)]+", text.replace('xmlns="http://www.w3.org/2000/svg"', "")) == []

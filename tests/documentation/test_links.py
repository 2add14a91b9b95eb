"""Links lead somewhere: those of the pages as they are here, and of the built site by a program that this tries."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")

sys.path.insert(0, str(ROOT / "docs" / "extensions"))
links = importlib.import_module("links")
sys.path.pop(0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_files_and_headings_that_are_there(page: Path):
    """On a page of the repository, where no build has looked."""
    dead = [link for link in _LINK.findall(page.read_text()) if not leads_somewhere(page, link)]

    assert dead == []


def leads_somewhere(page: Path, link: str) -> bool:
    if link.startswith(("http://", "https://")):
        return re.fullmatch(r"https?://[\w.-]+\.\w+(?:/\S*)?", link) is not None
    path, _, place = link.partition("#")
    there = (page.parent / path).resolve() if path else page
    return there.exists() and (not place or place in anchors(there))


def anchors(page: Path) -> set[str]:
    """Headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("more/b.html", None),
        ("more/b.html#there", None),
        ("#here", None),
        ("more/", None),
        ("picture.svg", None),
        ("https://example.org/x#y", None),
        ("mailto:someone@example.org", None),
        ("more/c.html", "no such page"),
        ("more/b.html#gone", "no such place"),
        ("#gone", "no such place"),
        ("../outside.html", "outside"),
        ("https:///x", "no address"),
        ("file:///etc/passwd", "neither"),
    ],
)
def test_a_link_of_the_site_that_leads_nowhere_is_found(tmp_path: Path, link: str, said: str | None):
    """What `nox -s docs` runs over the site that it has built."""
    site = tmp_path / "site"
    (site / "more").mkdir(parents=True)
    (tmp_path / "outside.html").write_text("")
    (site / "index.html").write_text(f'<h1 id="here">A</h1><a href="{link}">x</a><img src="picture.svg">')
    for name in ("index.html", "b.html"):
        (site / "more" / name).write_text('<a name="there"></a>')
    (site / "picture.svg").write_text("<svg/>")
    found = list(links.broken_links(site))

    assert [one for one in found if not one.startswith(f"index.html: {link} (")] == []
    assert (said in found[0]) if said else found == []

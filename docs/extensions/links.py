"""
Links of the built documentation: each leads to a page, a file and a place that are there. Needs no Sphinx.

    python docs/extensions/links.py site

Links to other hosts are only looked at, not followed: https, a host, and no space in them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_TARGETS = {"a": "href", "link": "href", "img": "src", "script": "src", "form": "action", "use": "href"}


class _Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.places |= {name for name in (found.get("id"), found.get("name") if tag == "a" else None) if name}
        if (link := found.get(_TARGETS.get(tag, ""))) is not None:
            self.links.append(link)

    handle_startendtag = handle_starttag


def broken_links(site: Path) -> Iterator[str]:
    """`page: link (why)` of each link that leads nowhere."""
    for path in sorted(site.rglob("*.html")):
        for link in dict.fromkeys(_page(path).links):
            if why := _trouble(site.resolve(), path, link):
                yield f"{path.relative_to(site)}: {link} ({why})"


def _trouble(site: Path, path: Path, link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        return None if parts.hostname and " " not in link else "no address"
    if parts.scheme or parts.netloc:
        return None if parts.scheme in ("mailto", "data") else "neither of this site nor of the web"
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if not there.is_relative_to(site):
        return "outside of the site"
    if there.is_dir():
        there /= "index.html"
    if not there.is_file():
        return "no such page"
    is_there = not parts.fragment or there.suffix != ".html" or unquote(parts.fragment) in _page(there).places
    return None if is_there else "no such place on that page"


@cache
def _page(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    found = list(broken_links(Path(sys.argv[1])))
    sys.exit("\n".join(found) if found else 0)

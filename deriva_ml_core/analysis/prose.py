"""Descriptions on a page: people write them in Markdown, and anybody may have written them."""

from __future__ import annotations

HIGHEST_HEADING = 2
"""A description stands right below a page's title; its own highest heading, whichever that is, becomes this one."""


def markdown_html(text: str) -> str:
    """
    A description as HTML, to stand inside a page.

    HTML in it is text, only harmless links become links, and nothing in it needs a style of its own, which the pages'
    policy refuses.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    highest = min((int(token.tag[1:]) for token in headings), default=1)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1:]) - highest + HIGHEST_HEADING)}"
    for token in tokens:
        token.attrs.pop("style", None)  # a column's alignment
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html

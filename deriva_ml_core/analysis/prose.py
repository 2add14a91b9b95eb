"""Descriptions on a page: people write them in Markdown, and anybody may have written them."""

from __future__ import annotations

HIGHEST_HEADING = 3
"""A page's own headings stand above those of a description."""


def markdown_html(text: str) -> str:
    """
    A description as HTML, to stand inside a page.

    HTML in it is text, only harmless links become links, and nothing in it needs a style of its own, which the pages'
    policy refuses.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        token.attrs.pop("style", None)  # a column's alignment
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + HIGHEST_HEADING - 1)}"
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html

"""HTML tables of DataFrames as Markdown tables: wide, with several levels of index or columns, styled, truncated."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

_NUMBER = re.compile(r"[-+\u2212]?(?:\d[\d,_ ]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s?%?|nan|inf|-inf|…|\.\.\.")
Grid = list[list[str]]


def html_to_markdown(html: str) -> str | None:
    """
    An output's HTML as Markdown, where tables are what it holds.

    Returns:
        None where it holds no table, a table in a table, or more than tables and words about them.
    """
    if "<table" not in html.lower():
        return None
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for element in soup(["style", "script"]):
        element.decompose()
    tables = soup.find_all("table")
    if not tables or any(table.find("table") for table in tables) or soup.find(["img", "svg", "iframe", "canvas"]):
        return None
    parts: list[str] = []
    for table in tables:
        before = _words_before(table)
        parts += [before] if before else []
        parts.append(table_to_markdown(table))
    after = " ".join(
        _words(piece) for piece in tables[-1].find_all_next(string=True) if tables[-1] not in piece.parents
    )
    return "\n\n".join([*parts, *([after.strip()] if after.strip() else [])])


def _words_before(table: Any) -> str:
    """Text between the table before and this one: a heading of polars' or of the notebook's own."""
    pieces = []
    for piece in table.find_all_previous(string=True):
        if piece.find_parent("table") is not None:
            break
        pieces.append(_words(piece))
    return " ".join(piece for piece in reversed(pieces) if piece)


def table_to_markdown(table: Any) -> str:
    """One table, as a pipe table; its caption above it in bold."""
    caption = table.find("caption")
    head, body = _sections(table)
    header = _merged_header(head)
    columns = max([len(header), *(len(row) for row in body)], default=0)
    rows = [_padded(row, columns) for row in [header, *body]]
    right = [_is_numeric([row[column] for row in rows[1:]]) for column in range(columns)]
    lines = _lines(rows, right)
    text = _words(caption.get_text(" ")) if caption else ""
    return "\n".join([f"**{_escaped(text)}**\n", *lines] if text else lines)


def _sections(table: Any) -> tuple[Grid, Grid]:
    """Rows of the head and of the body; a table without a head has its first rows of headings as one."""
    rows = [row for row in table.find_all("tr") if row.find_parent("table") is table]
    grid = _spread(rows)
    heads = sum(1 for row in rows if row.find_parent("thead") is not None)
    if not heads:
        heads = next((n for n, row in enumerate(rows) if row.find("td") is not None), len(rows))
    return grid[:heads], grid[heads:]


def _spread(rows: Sequence[Any]) -> Grid:
    """The cells in a grid; one that spans several columns or rows stands in the first of its places."""
    grid: Grid = []
    hanging: dict[int, int] = {}  # column -> rows that a cell above still covers
    for row in rows:
        line: list[str] = []
        for cell in row.find_all(["th", "td"], recursive=False):
            while hanging.get(len(line), 0):
                hanging[len(line)] -= 1
                line.append("")
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            text = _cell_text(cell)
            for offset in range(width):
                if height > 1:
                    hanging[len(line)] = height - 1
                # A heading holds for each of its columns; a value stands once.
                line.append(text if offset == 0 or cell.name == "th" else "")
        while hanging.get(len(line), 0):
            hanging[len(line)] -= 1
            line.append("")
        grid.append(line)
    return grid


def _span(cell: Any, name: str) -> int:
    text = str(cell.get(name, "1"))
    return max(1, int(text)) if text.isdigit() else 1


def _cell_text(cell: Any) -> str:
    for line_break in cell.find_all("br"):
        line_break.replace_with("\n")
    lines = [_words(line) for line in cell.get_text().splitlines()]
    return "<br>".join(_escaped(line) for line in lines if line)


def _words(text: str) -> str:
    return " ".join(str(text).replace("\xa0", " ").split())


def _escaped(text: str) -> str:
    """Characters that would end the cell, or begin emphasis or HTML."""
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", text).replace("<", "&lt;")


def _merged_header(head: Grid) -> list[str]:
    """Several rows of headings as one: the levels of a column joined, the names of the index where they belong."""
    if not head:
        return []
    width = max(len(row) for row in head)
    columns = zip(*(_padded(row, width) for row in head), strict=True)
    return [" / ".join(dict.fromkeys(level for level in levels if level)) for levels in columns]


def _padded(row: Sequence[str], width: int) -> list[str]:
    return [*row, *([""] * (width - len(row)))]


def _is_numeric(values: Sequence[str]) -> bool:
    filled = [value.replace("\\", "") for value in values if value]
    return bool(filled) and all(_NUMBER.fullmatch(value) or value in ("NaN", "⋮", "…") for value in filled)


def _lines(rows: Grid, right: Sequence[bool]) -> list[str]:
    widths = [max(3, *(_width(row[column]) for row in rows)) for column in range(len(right))]
    wide = sum(widths) > 400  # nobody reads the source of such a table: only the cells themselves
    header, *body = (
        [_aligned(value, 3 if wide else width, flag) for value, width, flag in zip(row, widths, right, strict=True)]
        for row in rows
    )
    rule = [
        ("-" * ((3 if wide else width) - 1)) + (":" if flag else "-") for width, flag in zip(widths, right, strict=True)
    ]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *body)]


def _aligned(text: str, width: int, right: bool) -> str:
    space = " " * max(0, width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns of a terminal: East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)

"""A table of many rows, a line each. rich's own measures every cell twice: of a thousand rows that costs a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deriva_ml_core.cli.executions.commands import console
from deriva_ml_core.cli.words import STYLES

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; numbers stand at its right."""

    name: str
    right: bool = False


def print_table(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> None:
    """Print; the last column gives way where the terminal is narrow. A cell that is a status has its color."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    output = console()
    fixed = columns[:-1]
    widths = [max(cell_len(column.name), *(cell_len(line[at]) for line in lines)) for at, column in enumerate(fixed)]
    room = max(1, output.width - sum(widths) - len(GAP) * len(fixed))

    def cells(line: Sequence[str]) -> list[str]:
        sized = (
            " " * (width - cell_len(text)) + text if column.right else set_cell_size(text, width)
            for text, width, column in zip(line, widths, fixed, strict=False)
        )
        last = line[-1]
        return [*sized, last if cell_len(last) <= room else set_cell_size(last, room - 1).rstrip() + "…"]

    if not output.is_terminal:
        print(*(GAP.join(cells(line)).rstrip() for line in ([column.name for column in columns], *lines)), sep="\n")
        return
    output.print(Text(GAP.join(cells([column.name for column in columns])), "bold"), soft_wrap=True)
    for line in lines:
        styled = (Text(cell, STYLES.get(cell.strip(), "")) for cell in cells(line))
        output.print(Text(GAP).join(styled), soft_wrap=True)

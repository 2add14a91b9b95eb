"""The menu of `--info` on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deriva_ml_core.config.menu import CHOSEN, Menu, Section


def print_rich(menu: Menu) -> None:
    """Print the menu with colours, in the terminal's width."""
    console = Console(highlight=False)
    console.print(Text.assemble((menu.title, "bold"), f"  ({CHOSEN} = chosen)"))
    for section in menu.sections:
        console.print(Text.assemble("\n", (section.title, "bold cyan"), "  ", (f"({section.usage})", "dim")))
        console.print(_table(section))
    console.print(Text("\nUsage", style="bold cyan"))
    for line in menu.usage:
        console.print(Text(f"  {line}"))


def _table(section: Section) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for style in ("green", "", "dim"):
        table.add_column(style=style)
    for option in section.options:
        chosen = option.name == section.chosen
        # Text, not markup: a description may hold square brackets.
        table.add_row(
            f"  {CHOSEN if chosen else ' '}", Text(option.name, "green" if chosen else ""), Text(option.summary)
        )
    return table

"""
Pictures of the commands at work, for the README and the pages: real runs in a real terminal, kept as SVG.

    uv run nox -s screens

Makes the demo in a scratch folder, runs each command of SCREENS in a pseudo-terminal, and draws what stands on the
screen at its end. deriva-ml's own environment runs them, so that the pictures show this checkout.
"""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from termios import TIOCSWINSZ

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from deriva_ml_core.projects.tools import project_environment

PICTURES = Path(__file__).parent / "pictures"
COMMANDS = Path(sys.executable).parent
COLUMNS = 110
# As rich draws it, without the fonts that it would fetch from another host.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
    <style>
    .{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
        line-height: {line_height}px; }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


@dataclass(frozen=True)
class Screen:
    """One picture: its file, the command, and how many lines of the terminal it shows at most."""

    name: str
    command: str
    lines: int = 40


SCREENS = (
    Screen("sweep", "uv run deriva-ml-run +multirun=learning_rates"),
    Screen("list", "uv run deriva-ml-executions list"),
    Screen("info", "uv run deriva-ml-run --info", 60),
)


def main() -> None:
    """Draw all of them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = _environment(folder)
        subprocess.run([COMMANDS / "deriva-ml-init", "--demo", "digits"], cwd=folder, env=env, check=True)
        for screen in SCREENS:
            (PICTURES / f"{screen.name}.svg").write_text(_draw(screen, folder / "digits", env), encoding="utf-8")


def _environment(folder: Path) -> Mapping[str, str]:
    (folder / "home").mkdir()
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    ours = {name: value for name, value in project_environment().items() if not name.startswith(("XDG_", "DERIVA_"))}
    return ours | {
        "HOME": str(folder / "home"),
        "UV_CACHE_DIR": cache,  # what this machine has need not come again
        "DERIVA_ML_LOCAL_ROOT": str(folder / "catalogs"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }


def _draw(screen: Screen, folder: Path, env: Mapping[str, str]) -> str:
    terminal = pyte.Screen(COLUMNS, screen.lines)
    stream = pyte.ByteStream(terminal)
    stream.feed(f"\x1b[1m$ {screen.command}\x1b[0m\r\n".encode())
    for data in _run(screen, folder, env):
        stream.feed(data)
    shown = [_line(terminal, row) for row in range(screen.lines)]
    while shown and not shown[-1].plain.strip():
        shown.pop()
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    for line in shown:
        console.print(line, no_wrap=True, crop=True)
    return console.export_svg(title="deriva-ml", theme=DIMMED_MONOKAI, code_format=SVG, unique_id=screen.name)


def _run(screen: Screen, folder: Path, env: Mapping[str, str]) -> Iterator[bytes]:
    """What the command writes to its terminal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", screen.lines, COLUMNS, 0, 0))
    running = subprocess.Popen(
        screen.command.split(), cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: the last process that had the terminal has gone
            break
        if not data:
            break
        yield data
    os.close(ours)
    if running.wait():
        raise SystemExit(f"{screen.command} ended with {running.returncode}")


def _line(terminal: pyte.Screen, row: int) -> Text:
    text = Text()
    for column in range(terminal.columns):
        cell = terminal.buffer[row][column]
        text.append(cell.data, Style(color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold))
    text.rstrip()
    return text


def _colour(name: str) -> str | None:
    """Pyte's name of a colour as rich has it."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name.lower()):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_"))


if __name__ == "__main__":
    main()

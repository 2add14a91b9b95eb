"""The page of the documentation, from what the benchmarks have left in benchmarks/results."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from _harness import FIGURE_HEAD, SAMPLE_HEAD, Figure, Sample

HEAD = """\
# Measurements

`uv run nox -s bench` measures all of this and writes the page; `uv run nox -s bench -- startup` does one benchmark and
leaves the others as they are. The subjects of a table took turns on one machine, so that a drift of the machine meets
all of them alike; what takes long has fewer of them. A figure is a median, its spread is least to greatest. `a / b` is
a ratio of times, or of speeds where the table tells speeds. Ratios travel to another machine; seconds don't. Where we
set ourselves a bound, the table says whether it is held.
"""


def write(page: Path, benchmarks: Path, order: Sequence[str]) -> None:
    """Put the page in its place, whole."""
    part = page.with_suffix(".part")
    part.write_text(render(benchmarks, order), encoding="utf-8")
    part.replace(page)


def render(benchmarks: Path, order: Sequence[str]) -> str:
    """The page, as Markdown."""
    found = {name: results(benchmarks, name) for name in order}
    machines = {one["machine"] for one in found.values() if one}
    lines = [HEAD]
    if len(machines) == 1:
        lines += [f"Measured on {machines.pop()}.", ""]
    lines += summary(found)
    for name, one in found.items():
        lines += section(benchmarks / f"{name}.py", one, tell_machine=bool(machines))
    return "\n".join(lines).rstrip() + "\n"


def results(benchmarks: Path, name: str) -> dict | None:
    """What the last whole run of a benchmark has found; None when there was none."""
    file = benchmarks / "results" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def keep(benchmarks: Path, name: str, found: dict) -> None:
    """In place of what an earlier run has found."""
    folder = benchmarks / "results"
    folder.mkdir(exist_ok=True)
    part = folder / f"{name}.part"
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / f"{name}.json")


def summary(found: dict[str, dict | None]) -> Iterator[str]:
    """Each question with its first figure, and every bound that is missed."""
    parts = [part for one in found.values() if one for part in one["parts"]]
    if not parts:
        yield from ("Nothing has been measured for this checkout yet.", "")
        return
    yield from ("## In short", "")
    answers = [_answer(part) for part in parts if part.get("figures") or "absent" in part]
    yield from table(("question", "answer", "bound", "outcome", "bounds held"), answers)
    missed = [(part, figure) for part in parts for figure in figures(part) if not figure.holds]
    bounds = sum(figure.bound is not None for part in parts for figure in figures(part))
    yield from (f"Of {bounds} bounds {bounds - len(missed)} are held{'; missed are:' if missed else '.'}", "")
    for part, figure in missed:
        name, value, _, bound, _ = figure.cells
        yield f"- {cell(name)}: {value}, where {bound} is wanted ([{part['title']}](#{anchor(part['title'])}))"
    if missed:
        yield ""


def _answer(part: dict) -> tuple[str, ...]:
    link = f"[{part['title']}](#{anchor(part['title'])})"
    told = figures(part)
    if not told:
        return link, part.get("absent", ""), "", "", ""
    name, value, _, bound, outcome = told[0].cells
    bounds = [figure for figure in told if figure.bound is not None]
    held = f"{sum(figure.holds for figure in bounds)} of {len(bounds)}" if bounds else ""
    return link, f"{name}: {value}", bound, outcome, held


def section(script: Path, found: dict | None, *, tell_machine: bool) -> Iterator[str]:
    """One benchmark: its question, how it is measured, and its tables."""
    question, _, how = (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").partition("\n\n")
    yield from (f"## {question}", "", how, "")
    if found is None:
        yield from (f"Not measured for this checkout: `uv run nox -s bench -- {script.stem}` does it.", "")
        return
    where = f" on {found['machine']}" if tell_machine else ""
    commit = f" at commit {found['commit']}" if found["commit"] else ""
    yield from (f"Measured on {found['measured']}{commit}{where}, in {found['minutes']:.1f} minutes.", "")
    if not found["ended"]:
        yield from ("It failed on its way: what stands here is right, and not all.", "")
    for part in found["parts"]:
        yield from (f"### {part['title']}", "")
        if "absent" in part:
            yield from (f"Not measured: {part['absent']}", "")
            continue
        if part["about"]:
            yield from (part["about"], "")
        yield from table(SAMPLE_HEAD, [Sample(**one).cells for one in part["samples"]])
        yield from table(FIGURE_HEAD, [figure.cells for figure in figures(part)])


def figures(part: dict) -> list[Figure]:
    """Those of one part."""
    return [Figure(**{**one, "values": tuple(one["values"])}) for one in part.get("figures", ())]


def table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown, without the columns in which nothing stands; nothing without rows."""
    rows = list(rows)
    if not rows:
        return
    used = [column for column in range(len(head)) if any(row[column] for row in rows)]
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell(row[column]) for column in used)} |"
    yield ""


def cell(text: str) -> str:
    """As a table of Markdown takes it; an option keeps its two dashes as code alone."""
    return re.sub(r"[\w-]+ --\w[\w-]*", r"`\g<0>`", text.replace("|", r"\|"))


def anchor(title: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")

"""`deriva-ml-executions compare`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command, console
from deriva_ml_core.cli.words import STYLES, counted, value_words, when

if TYPE_CHECKING:
    from rich.table import Table

    from deriva_ml_core.analysis.comparison import Comparison

SIDE_BY_SIDE = 4
"""So many executions are columns; more are rows."""
_TITLES = {
    "configuration": "Configuration",
    "code": "Code",
    "inputs": "Inputs",
    "environment": "Environment",
}


def add(commands: Any) -> None:
    """Its options."""
    parser = add_command(commands, "compare", "what differs between executions, and their metrics side by side", run)
    parser.add_argument("rids", metavar="RID", nargs="+", help="two or more; or one parent, for its children")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print tables, or JSON."""
    from deriva_ml_core.analysis.comparison import compare

    with connect(options) as ml:
        found = compare(ml.session, ml.cache_dir, options.rids)
    if options.json:
        print(json.dumps(found.document(), indent=2))
        return 0
    output = console()
    parts = _columns(found) if len(found.executions) <= SIDE_BY_SIDE else _rows(found, output.width)
    for number, part in enumerate(parts):
        lines = [part] if isinstance(part, str) else part
        for line in (*([""] if number else []), *lines):
            output.print(line, markup=False, highlight=False, style="")
    return 0


Part = str | tuple[Any, Any]
"""What is printed with a blank line before it: a line, or a title and its table."""


# --- few: names are rows, executions columns ------------------------------------------------------------------------


def _columns(found: Comparison) -> Iterator[Part]:
    rids = [one.rid for one in found.executions]
    heads: dict[str, dict[str, Any]] = {
        "status": {one.rid: one.record.status.value for one in found.executions},
        "created": {one.rid: when(one.record.created) for one in found.executions},
        "time (s)": {one.rid: one.record.durations.get("execution") for one in found.executions},
    }
    yield _table("Executions", rids, heads)
    for section, title in _TITLES.items():
        yield _differing(title, rids, found.differences[section], found.same[section])
    yield _table("Metrics", rids, found.metrics) if found.metrics else "Metrics: none recorded"


def _differing(title: str, rids: Sequence[str], names: Mapping[str, Any], same: int) -> Part:
    if not names:
        return f"{title}: the same ({counted(same, 'value')})" if same else f"{title}: nothing recorded"
    return _table(f"{title}: {_summary(len(names), same)}", rids, names)


def _summary(differing: int, same: int) -> str:
    words = "differs" if differing == 1 else "differ"
    return f"{counted(differing, 'value')} {words}, {same} {'is' if same == 1 else 'are'} the same"


def _table(title: str, rids: Sequence[str], names: Mapping[str, Mapping[str, Any]]) -> Part:
    table = _empty_table()
    table.add_column("", no_wrap=True)
    for rid in rids:
        table.add_column(rid, overflow="fold")
    for name, values in names.items():
        table.add_row(*map(_cell, (name, *(value_words(values[rid]) for rid in rids))))
    return _cell(title, "bold"), table


# --- many: executions are rows --------------------------------------------------------------------------------------


def _rows(found: Comparison, width: int) -> Iterator[Part]:
    title = f"{len(found.executions)} executions: parameters that differ, and metrics"
    for columns in _pages({**found.differences["configuration"], **_metric_columns(found)}, width):
        yield _cell(title, "bold"), _page(found, columns)
        title = "and"
    for section, name in _TITLES.items():
        if section != "configuration":
            yield "\n".join(_grouped(name, found.differences[section], found.same[section]))
    yield f"Configuration: {_summary(len(found.differences['configuration']), found.same['configuration'])}"


def _metric_columns(found: Comparison) -> dict[str, Mapping[str, Any]]:
    """Metrics by name; one that is called as a parameter is, is told from it."""
    clashes = found.differences["configuration"].keys()
    return {f"{name} (metric)" if name in clashes else name: values for name, values in found.metrics.items()}


def _pages(columns: Mapping[str, Mapping[str, Any]], width: int) -> Iterator[dict[str, Mapping[str, Any]]]:
    """The columns in tables that fit the terminal."""
    page: dict[str, Mapping[str, Any]] = {}
    room = width - _HEAD_WIDTH
    for name, values in columns.items():
        wide = 2 + max(len(name), *(len(value_words(value)) for value in values.values()))
        if page and wide > room:
            yield page
            page, room = {}, width - _HEAD_WIDTH
        page[name] = values
        room -= wide
    yield page


_HEAD_WIDTH = 24  # of RID and status


def _page(found: Comparison, columns: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _empty_table()
    table.add_column("RID", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    for name in columns:
        table.add_column(_cell(name), justify="right", overflow="fold")
    for one in found.executions:
        status = one.record.status.value
        values = (_cell(value_words(values[one.rid])) for values in columns.values())
        table.add_row(one.rid, _cell(status, STYLES.get(status, "")), *values)
    return table


def _grouped(title: str, names: Mapping[str, Mapping[str, Any]], same: int) -> Iterator[str]:
    """Each name with its values and how many executions have each."""
    yield f"{title}: {_summary(len(names), same)}" if names or same else f"{title}: nothing recorded"
    for name, values in names.items():
        counts = Counter(value_words(value) for value in values.values())
        shown = "; ".join(f"{value} ({count} of them)" for value, count in counts.most_common(4))
        yield f"  {name}: {shown}" + (f"; … {len(counts)} different" if len(counts) > 4 else "")


def _empty_table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, header_style="bold")


def _cell(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text, style)

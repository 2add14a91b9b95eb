"""`deriva-ml-executions list`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command
from deriva_ml_core.cli.words import value_words, when

if TYPE_CHECKING:
    from deriva_ml_core.analysis.selection import Selection

DEFAULT_LIMIT = 20
_KEYS = "created, status, time, type, workflow, a metric, a parameter or a group"


def add(commands: Any) -> None:
    """Its options."""
    parser = add_command(commands, "list", "executions that fulfill all conditions, the newest first", run)
    which = parser.add_argument_group("which")
    which.add_argument("--status", action="append", default=[], help="only these, e.g. Failed; repeatable: any of them")
    which.add_argument("--workflow", metavar="RID|NAME", help="only those of this workflow")
    which.add_argument("--workflow-type", metavar="TERM", help="only those of this kind, e.g. Training")
    which.add_argument("--dataset", metavar="RID", help="only those that used this dataset")
    which.add_argument("--parent", metavar="RID", help="only the children of this execution")
    which.add_argument(
        "--no-jobs", action="store_true", help="leave out the jobs of sweeps: their parents stand for them"
    )
    which.add_argument("--since", metavar="TIME", help="not older: 2026-11-01, 2026-11-01T12:00, 36h, 7d or 2w")
    which.add_argument("--until", metavar="TIME", help="older: as --since; a date is its end")
    for name, example in (
        ("choice", "model_config=quick*"),
        ("param", "learning_rate<0.01"),
        ("metric", "accuracy>0.9"),
    ):
        about = f"only where this holds, e.g. '{example}'; repeatable: all of them"
        which.add_argument(f"--{name}", metavar="CONDITION", action="append", default=[], help=about)
    how = parser.add_argument_group("how")
    how.add_argument("--sort", metavar="KEY", help="by " + _KEYS)
    how.add_argument("--descending", "--desc", action="store_true", help="the largest first")
    how.add_argument(
        "--show",
        metavar="NAME",
        action="append",
        default=[],
        help="a metric, a parameter or the choice of a group to show too",
    )
    how.add_argument("--limit", "-n", type=_count, default=DEFAULT_LIMIT, help="how many (%(default)s)")
    how.add_argument("--all", action="store_true", help="however many")
    how.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    from deriva_ml_core.analysis.selection import list_documents

    selection = _selection(options)
    one_more = selection if selection.limit is None else replace(selection, limit=selection.limit + 1)
    with connect(options) as ml:
        found = list_documents(ml.session, ml.cache_dir, one_more)
        place = f"catalog {ml.catalog_id} of {ml.hostname}"
    there_are_more = len(found) > len(found[: selection.limit])
    found = found[: selection.limit]
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        _print_table(found, selection.named)
        if there_are_more:
            no_jobs = ", --no-jobs leaves the jobs of sweeps out" if selection.jobs else ""
            print(f"(the first {selection.limit}; --all shows all{no_jobs})")
    elif selection.narrows:
        print(f"no such execution in {place}")
    else:
        print(f"there are no executions in {place} yet")
    return 0


def _selection(options: argparse.Namespace) -> Selection:
    from deriva_ml_core.analysis.conditions import Condition
    from deriva_ml_core.analysis.selection import Selection
    from deriva_ml_core.cli.executions.times import end_of, read_time

    return Selection(
        statuses=tuple(options.status),
        workflow=options.workflow,
        workflow_type=options.workflow_type,
        dataset=options.dataset,
        parent=options.parent,
        jobs=not options.no_jobs,
        since=read_time(options.since) if options.since else None,
        until=end_of(options.until) if options.until else None,
        choices=tuple(map(Condition.parse, options.choice)),
        parameters=tuple(map(Condition.parse, options.param)),
        metrics=tuple(map(Condition.parse, options.metric)),
        sort=options.sort,
        descending=options.descending,
        limit=None if options.all else options.limit,
        show=tuple(options.show),
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _print_table(found: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    from deriva_ml_core.cli.executions.tables import Column, print_table
    from deriva_ml_core.executions.durations import duration_words

    heads = [Column(name) for name in ("RID", "Status", "Created", "Time", "Workflow")]
    typed = any("types" in one for one in found)
    heads += [Column("Type")] if typed else []
    heads += [*(Column(name, right=_numbers(found, name)) for name in names), Column("Description")]
    lines = [
        [
            one["rid"],
            one["status"],
            when(one["created"]),
            duration_words(one["durations"].get("execution")),
            one["workflow"] or "",
            *([", ".join(one["types"])] if typed else []),
            *(value_words(one["values"][name]) for name in names),
            _last_word(one),
        ]
        for one in found
    ]
    print_table(heads, lines)


def _numbers(found: Sequence[dict[str, Any]], name: str) -> bool:
    return all(isinstance(one["values"][name], int | float | None) for one in found)


def _last_word(one: dict[str, Any]) -> str:
    """Why it failed; else what it was for."""
    text = (one["status"] == "Failed" and one["status_detail"]) or one["description"].lstrip("# ")
    return " ".join(str(text).split())

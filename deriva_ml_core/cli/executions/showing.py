"""`deriva-ml-executions show`."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import PROGRAM, add_command, as_typed, console
from deriva_ml_core.cli.words import size, when
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.connection import DerivaML

log = logging.getLogger(__name__)

METADATA_TABLE = "Execution_Metadata"


def add(commands: Any) -> None:
    """Its options."""
    parser = add_command(commands, "show", "one execution, with all that hangs on it", run)
    parser.add_argument("rid", metavar="RID", help="of an execution")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print its lines, or JSON."""
    from deriva_ml_core.executions.listing import show_document

    with connect(options) as ml:
        document = show_document(ml.session, ml.working_dir, options.rid)
        document["code"] = _recorded_code(ml, document["rid"])
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    lines = [*lines_of(document)]
    if document["outputs"]:
        lines.append(f"\nTo get the files: {PROGRAM} download {document['rid']}{as_typed(options)}")
    output = console()
    for line in lines:
        output.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _recorded_code(ml: DerivaML, rid: str) -> dict[str, Any] | None:
    """
    The code of this run, by its own word. Runs of the same source file share a workflow, whose URL and version are
    those of the first of them.
    """
    from deriva_ml_core.analysis.facts import read_facts

    try:
        environment = read_facts(ml.session, ml.cache_dir, [rid], ["environment"])[rid].environment
    except DerivaMLException as err:  # a file that can't be had must not hide the record
        log.warning("the code of %s is shown as its workflow has it: %s", rid, err)
        return None
    code = environment.get("code")
    return code if isinstance(code, dict) else None


def lines_of(one: dict[str, Any]) -> Iterator[str]:
    """A person's view of a `show_document`."""
    detail = f": {one['status_detail']}" if one["status_detail"] else ""
    yield f"Execution {one['rid']}  {one['status']}{detail}"
    if one["description"]:
        yield from (f"  {line}" for line in one["description"].splitlines())
    yield ""
    yield from _facts(one)
    yield from _section(
        "Input datasets", [f"{d['rid']} {d['version'] or ''}".rstrip() for d in one["inputs"]["datasets"]]
    )
    yield from _section("Input assets", _aligned(map(_asset_cells, one["inputs"]["assets"])))
    metadata = [asset for asset in one["outputs"] if asset["table"].endswith(f"/{METADATA_TABLE}")]
    outputs = [asset for asset in one["outputs"] if asset not in metadata]
    yield from _section("Outputs", _aligned(map(_asset_cells, outputs)))
    yield from _section("Metadata", _aligned(map(_asset_cells, metadata)))
    yield from _section("Part of", _aligned(map(_relative_cells, one["parents"])))
    yield from _section("Children", _aligned(map(_relative_cells, one["children"])))


def _facts(one: dict[str, Any]) -> Iterator[str]:
    from deriva_ml_core.executions.durations import duration_words

    workflow = one["workflow"] or {}
    code = one.get("code") or workflow
    times = [f"{phase} {duration_words(seconds)}" for phase, seconds in one["durations"].items()]
    facts = {
        "Workflow": f"{workflow.get('name')} ({', '.join(workflow.get('types', []))}), {workflow.get('rid')}",
        "Code": code.get("url"),
        "Version": code.get("version"),
        "Created": when(one["created"]),
        "Started": when(one["start_time"]),
        "Stopped": when(one["stop_time"]),
        "Time": ", ".join(times),
        "Host": one["host"],
        "SLURM job": _slurm_job(one),
        "Restarts": one["restarts"],
        "Files": one["folder"],
        "Not yet in the catalog": ", ".join(one["not_in_catalog"]),
        "Link": one["url"],
    }
    yield from (f"{name + ':':<11}{value}" for name, value in facts.items() if value)


def _slurm_job(one: dict[str, Any]) -> str | None:
    places = (f"{name} {one['slurm'][name]}" for name in ("partition", "node") if one["slurm"].get(name))
    return ", ".join([one["slurm_job_id"], *places]) if one["slurm_job_id"] else None


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        yield from (f"  {line}" for line in lines)


def _aligned(lines: Iterable[Sequence[str]]) -> list[str]:
    """Lines whose cells stand below each other; the last one of each is as long as it is."""
    kept = list(lines)
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)][:-1]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in kept
    ]


def _asset_cells(asset: dict[str, Any]) -> Sequence[str]:
    return asset["rid"], asset["table"], f"{asset['file']}  ({size(asset['bytes'])})"


def _relative_cells(other: dict[str, Any]) -> Sequence[str]:
    """Its number, and what tells it from its siblings: the overrides of a job, else the description."""
    from deriva_ml_core.executions.durations import duration_words

    number = "" if other["sequence"] is None else f"{other['sequence']}: "
    time = other["durations"].get("execution")
    reason = f"  ({other['status_detail']})" if other["status_detail"] else ""
    return (
        f"{number}{other['rid']}",
        other["status"],
        "" if time is None else duration_words(time),
        f"{other['overrides'] or other['description']}{reason}",
    )

"""deriva-ml-executions: what ran, how it ended, what it used and made, and where its files are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import add_connection_options, connect
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, configure_logging, run_command
from deriva_ml_core.executions.states import Status

if TYPE_CHECKING:
    from rich.console import Console

    from deriva_ml_core.assets.progress import UploadReport
    from deriva_ml_core.connection import DerivaML

PROGRAM = "deriva-ml-executions"
DEFAULT_LIMIT = 20
METADATA_TABLE = "Execution_Metadata"
PLAIN_WIDTH = 120
_STYLES = {"Uploaded": "green", "Failed": "red", "Aborted": "yellow", "Running": "cyan"}


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog=PROGRAM, description="Executions of a catalog: list them, show one, get its files, upload what waits."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    listing = _add(commands, "list", "the newest executions first")
    listing.add_argument("--status", metavar="STATUS", help="only these, e.g. Failed")
    listing.add_argument("--workflow", metavar="RID", help="only those of this workflow")
    listing.add_argument("--workflow-type", metavar="TERM", help="only those of this kind, e.g. Training")
    listing.add_argument("--limit", "-n", type=_count, default=DEFAULT_LIMIT, help="how many (%(default)s)")
    listing.add_argument("--all", action="store_true", help="however many")
    listing.add_argument("--json", action="store_true", help="print JSON")
    showing = _add(commands, "show", "one execution, with all that hangs on it")
    showing.add_argument("rid", metavar="RID")
    showing.add_argument("--json", action="store_true", help="print JSON")
    fetching = _add(commands, "download", "the files that an execution made, for you to look at")
    fetching.add_argument("rid", metavar="RID")
    fetching.add_argument("names", metavar="FILE", nargs="*", help="only these, by name or RID")
    fetching.add_argument("--to", metavar="DIR", type=Path, help="a new folder (outputs/RID, which is no code)")
    _add(commands, "recover", "give executions whose process is gone their true end; those that may run are left alone")
    uploading = _add(commands, "upload", "upload the outputs that executions of this working folder have left on disk")
    uploading.add_argument("rids", metavar="RID", nargs="*", help="these; all that wait where none is named")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _dispatch(build_parser().parse_args(arguments)), debug="--debug" in arguments)


def _add(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    add_connection_options(parser)
    add_common_options(parser)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _dispatch(options: argparse.Namespace) -> int:
    configure_logging(quiet=options.quiet or not options.debug, debug=options.debug)
    commands = {"list": _list, "show": _show, "download": _download, "recover": _recover, "upload": _upload}
    return commands[options.command](options)


# --- list ---------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from deriva_ml_core.executions.listing import list_documents

    with connect(options) as ml:
        found = list_documents(
            ml.session,
            status=options.status,
            workflow=options.workflow,
            workflow_type=options.workflow_type,
            limit=None if options.all else options.limit,
        )
        place = f"catalog {ml.catalog_id} of {ml.hostname}"
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        _print_table(found)
    else:
        print(f"no such execution in {place}")
    return 0


def _print_table(found: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from deriva_ml_core.executions.durations import duration_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("RID", "Status", "Created", "Time", "Workflow"):
        table.add_column(name, no_wrap=True)
    table.add_column("Description", ratio=1)  # may wrap, so that it alone gives way; its texts do not
    for one in found:
        table.add_row(
            one["rid"],
            Text(one["status"], _STYLES.get(one["status"], "")),
            _when(one["created"]),
            duration_words(one["durations"].get("execution")),
            Text(one["workflow"] or ""),
            Text(_last_word(one), no_wrap=True, overflow="ellipsis"),
        )
    _console().print(table)


def _last_word(one: dict[str, Any]) -> str:
    """Why it failed; else what it was for."""
    return str((one["status"] == "Failed" and one["status_detail"]) or one["description"])


# --- show ---------------------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> int:
    from deriva_ml_core.executions.listing import show_document

    with connect(options) as ml:
        document = show_document(ml.session, ml.working_dir, options.rid)
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    lines = [*_show_lines(document)]
    if document["outputs"]:
        lines.append(f"\nTo get the files: {PROGRAM} download {document['rid']}{_as_typed(options)}")
    console = _console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _as_typed(options: argparse.Namespace) -> str:
    """The options by which this command found its catalog, for the next one."""
    typed = {"--host": options.host, "--catalog": options.catalog, "--config-dir": options.config_dir}
    return "".join(f" {name} {value}" for name, value in typed.items() if value is not None)


def _show_lines(one: dict[str, Any]) -> Iterator[str]:
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
    yield from _section("Input assets", [_asset_line(asset) for asset in one["inputs"]["assets"]])
    metadata = [asset for asset in one["outputs"] if asset["table"].endswith(f"/{METADATA_TABLE}")]
    yield from _section("Outputs", [_asset_line(asset) for asset in one["outputs"] if asset not in metadata])
    yield from _section("Metadata", [_asset_line(asset) for asset in metadata])
    yield from _section("Part of", [_relative_line(parent) for parent in one["parents"]])
    yield from _section("Children", [_relative_line(child) for child in one["children"]])


def _facts(one: dict[str, Any]) -> Iterator[str]:
    from deriva_ml_core.executions.durations import duration_words

    workflow = one["workflow"] or {}
    times = [f"{phase} {duration_words(seconds)}" for phase, seconds in one["durations"].items()]
    facts = {
        "Workflow": f"{workflow.get('name')} ({', '.join(workflow.get('types', []))}), {workflow.get('rid')}",
        "Code": workflow.get("url"),
        "Version": workflow.get("version"),
        "Created": _when(one["created"]),
        "Started": _when(one["start_time"]),
        "Stopped": _when(one["stop_time"]),
        "Time": ", ".join(times),
        "Host": one["host"],
        "SLURM job": one["slurm_job_id"],
        "Files": one["folder"],
        "Not yet in the catalog": ", ".join(one["not_in_catalog"]),
        "Link": one["url"],
    }
    yield from (f"{name + ':':<11}{value}" for name, value in facts.items() if value)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        yield from (f"  {line}" for line in lines)


def _asset_line(asset: dict[str, Any]) -> str:
    return f"{asset['rid']}  {asset['table']}  {asset['file']}  ({_size(asset['bytes'])})"


def _relative_line(other: dict[str, Any]) -> str:
    number = "" if other["sequence"] is None else f"{other['sequence']}: "
    return f"{number}{other['rid']}  {other['status']}"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown size"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} bytes"


def _when(text: str | None) -> str:
    """A time of a catalog or journal in the reader's own zone."""
    from datetime import datetime

    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def _console() -> Console:
    """In the terminal's width, or COLUMNS, or wide enough for a log file."""
    import os

    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 0) or PLAIN_WIDTH
    return Console(width=width)


# --- download -----------------------------------------------------------------------------------------------------


def _download(options: argparse.Namespace) -> int:
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.executions.fetching import fetch_outputs

    folder = options.to or Path("outputs", options.rid.upper())  # where files do not count as uncommitted code
    with connect(options) as ml, reporting.current().transfer("Downloading") as progress:
        paths = fetch_outputs(ml.session, options.rid, folder, ml.cache_dir, names=options.names, progress=progress)
    for path in paths:
        print(path)
    return 0


# --- recover ------------------------------------------------------------------------------------------------------


def _recover(options: argparse.Namespace) -> int:
    """Say what was done about each, and which outputs wait."""
    from deriva_ml_core.executions.recovery import recover
    from deriva_ml_core.executions.reopening import waiting_executions

    with connect(options, recover=False) as ml:
        found = False
        for one in recover(ml):
            found = True
            detail = f" ({one.detail})" if one.detail else ""
            print(f"{one.rid}: {one.left_alone}" if one.left_alone else f"{one.rid}: {one.status.value}{detail}")
        if not found:
            print(f"nothing to recover in {ml.working_dir}")
        if waiting := waiting_executions(ml.working_dir):
            print(f"outputs wait on disk: deriva-ml-executions upload {' '.join(waiting)}")
    return 0


# --- upload -------------------------------------------------------------------------------------------------------


def _upload(options: argparse.Namespace) -> int:
    """Finish what waits; the first problem's exit code, after all have been tried."""
    from deriva_ml_core.errors import DerivaMLException
    from deriva_ml_core.executions.reopening import waiting_executions

    code = 0
    with connect(options) as ml:
        rids = options.rids or waiting_executions(ml.working_dir)
        if not rids:
            print(f"nothing waits in {ml.working_dir}")
        for rid in rids:
            try:
                report = _finish(ml, rid)
                print(f"{rid}: uploaded {report.total_uploaded} file(s)")
            except DerivaMLException as err:
                print(f"error: {rid}: {' '.join(str(err).split())}", file=sys.stderr)
                code = code or err.exit_code
    return code


def _finish(ml: DerivaML, rid: str) -> UploadReport:
    """Upload what one execution has left; one whose process was killed is Failed, and stays it."""
    execution = ml.resume_execution(rid)
    if execution.status in (Status.created, Status.running):
        execution.update_status(Status.failed, error="its process ended without recording an end")
    return execution.commit_output_assets()


if __name__ == "__main__":
    sys.exit(main())

"""deriva-ml-load-dataset: a folder of files, with a CSV of labels, becomes a dataset."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.cli.connecting import add_connection_options, connect
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, completed, configure_logging, run_command

if TYPE_CHECKING:
    from deriva_ml_core.connection.loading import LoadResult

PROGRAM = "deriva-ml-load-dataset"


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description="Load a folder of files, with a CSV of labels, as a dataset. The same command again goes on where "
        "it was interrupted; files that the catalog has already are not sent again.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="all files in it, hidden ones excepted")
    parser.add_argument("labels", type=Path, nargs="?", metavar="LABELS", help="a CSV or TSV with a row for each file")
    what = parser.add_argument_group("what is read")
    what.add_argument("--pattern", default="*", metavar="GLOB", help='names of files to take, such as "*.png"')
    what.add_argument("--file-column", metavar="COLUMN", help="names the file (file, filename, path, image, …)")
    what.add_argument("--folder-label", metavar="COLUMN", help="make the name of each file's folder a label")
    what.add_argument("--follow-links", action="store_true", help="take files that links outside of FOLDER lead to")
    what.add_argument("--skip-problems", action="store_true", help="load what is right, and leave out the rest")
    made = parser.add_argument_group("what is made")
    made.add_argument("--table", metavar="TABLE", help="asset table (Image where all files are images, else Data_File)")
    made.add_argument("--schema", metavar="SCHEMA", help="where to make it (the catalog's own, else data)")
    made.add_argument("--feature", type=_names, default=[], metavar="COLUMN,…", help="labels that are a feature too")
    made.add_argument("--dataset", metavar="RID", help="add to this dataset")
    made.add_argument("--types", type=_names, default=[], metavar="TERM,TERM", help="types of the dataset")
    made.add_argument("--description", default="", help='of the dataset ("TABLE files of FOLDER")')
    made.add_argument("--update-labels", action="store_true", help="write other labels of files that are there")
    made.add_argument("--workflow-type", default="Ingest", metavar="TERM", help="(%(default)s)")
    made.add_argument("--dry-run", action="store_true", help="only say what would be loaded")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(parser)
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _load(arguments), debug="--debug" in arguments)


def _load(arguments: Sequence[str]) -> int:
    from deriva_ml_core.connection.loading import load_folder
    from deriva_ml_core.executions import reporting

    options = completed(build_parser()).parse_args(arguments)
    configure_logging(quiet=options.quiet or options.json, debug=options.debug)
    reporter = reporting.SILENT if options.quiet else reporting.ConsoleReporter()
    with reporting.use(reporter), connect(options) as ml:
        result = load_folder(
            ml,
            options.folder,
            options.labels,
            table=options.table,
            schema=options.schema,
            dataset=options.dataset,
            file_column=options.file_column,
            pattern=options.pattern,
            folder_label=options.folder_label,
            follow_links=options.follow_links,
            features=options.feature,
            dataset_types=options.types,
            description=options.description,
            skip_problems=options.skip_problems,
            update_labels=options.update_labels,
            workflow_type=options.workflow_type,
            dry_run=options.dry_run,
            transfer=reporter.transfer("Loading"),
        )
    if options.json:
        print(json.dumps(dataclasses.asdict(result), indent=1))
    else:
        _print(result, dry_run=options.dry_run)
    return 0


def _print(result: LoadResult, *, dry_run: bool) -> None:
    from rich.filesize import decimal

    would = "would be " if dry_run else ""
    there = result.files - result.new_files
    print(
        f"{result.table}: {result.files} files ({decimal(result.size_bytes)}), {result.new_files} of them {would}new"
        + (f", {there} there already" if there else "")
        + (f", {result.duplicates} more are copies of these" if result.duplicates else "")
    )
    if result.columns:
        print("labels: " + ", ".join(f"{name} ({kind})" for name, kind in result.columns.items()))
    for problem in result.skipped:
        print(f"left out: {problem}")
    if result.changed_labels:
        print(f"{result.changed_labels} files {would}given other labels")
    if result.execution_rid:
        print(f"execution {result.execution_rid}")
    if result.dataset_rid:
        print(f"dataset {result.dataset_rid}, version {result.version}")
    elif dry_run:
        print("a new dataset would be made")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())

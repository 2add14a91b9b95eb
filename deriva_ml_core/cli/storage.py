"""deriva-ml-storage: what a working folder holds, and making room in it. It asks no catalog."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import add_connection_options, connection_fields
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, configure_logging, run_parsed
from deriva_ml_core.cli.words import counted
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.executions.local_storage import ExecutionFolder

PROGRAM = "deriva-ml-storage"
_SORT_KEYS = ("size", "location", "type", "modified")
Item = dict[str, Any]


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description="What this working folder holds: cached, waiting, uploaded, stale; and deleting.",
    )
    parser.add_argument(
        "--list", choices=("cache", "executions", "all"), default="all", help="what to show (%(default)s)"
    )
    parser.add_argument("--sort", choices=_SORT_KEYS, default="type", help="the order, largest and newest first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--delete", metavar="RID", nargs="+", help="folders of these executions, cached bags of these datasets"
    )
    parser.add_argument(
        "--clean", action="store_true", help="delete the folders of executions that are wholly in the catalog"
    )
    parser.add_argument("--clear-cache", action="store_true", help="delete what is cached: it comes again when needed")
    parser.add_argument(
        "--older-than", metavar="DAYS", type=float, help="with --clean and --clear-cache: only what is older"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="delete without asking")
    parser.add_argument(
        "--discard-outputs", action="store_true", help="with --delete: also outputs that are not in the catalog"
    )
    add_connection_options(parser)
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_parsed(build_parser, _run, argv)


def _run(options: argparse.Namespace) -> int:
    configure_logging(quiet=options.quiet or not options.debug, debug=options.debug)
    working_dir, cache_dir = _folders(options)
    if options.delete:
        return _delete(options, working_dir, cache_dir)
    if options.clean or options.clear_cache:
        return _tidy(options, working_dir, cache_dir)
    if options.discard_outputs:
        raise DerivaMLConfigurationError("--discard-outputs goes with --delete RID: say whose outputs shall be lost")
    _show(options, working_dir, cache_dir)
    return 0


def _folders(options: argparse.Namespace) -> tuple[Path, Path]:
    """The working folder and the cache that this folder's commands use."""
    from deriva_ml_core.config.working_folder import default_working_folder

    if options.working_dir is not None and options.host is None:
        working_dir = Path(options.working_dir).expanduser().absolute()
        return working_dir, working_dir / "cache"
    fields = connection_fields(options)
    place = fields.get("working_dir") or default_working_folder(fields["hostname"], fields["catalog_id"])
    working_dir = Path(place).expanduser().absolute()
    return working_dir, Path(fields.get("cache_dir") or working_dir / "cache").expanduser().absolute()


# --- what there is --------------------------------------------------------------------------------------------------


def _items(options: argparse.Namespace, working_dir: Path, cache_dir: Path) -> list[Item]:
    from deriva_ml_core.assets.storage import cached_bags, cached_objects
    from deriva_ml_core.executions.local_storage import execution_folders

    items: list[Item] = []
    if options.list in ("executions", "all"):
        items += [_execution_item(folder) for folder in execution_folders(working_dir)]
    if options.list in ("cache", "all"):
        items += [
            {"type": "bag", "rid": bag.dataset_rid, "state": "cached", "size_bytes": bag.size_bytes}
            | {"modified": bag.used.isoformat(), "location": str(bag.path)}
            for bag in cached_bags(cache_dir)
        ]
        objects = cached_objects(cache_dir)
        if objects.file_count:
            about = f"cached ({counted(objects.file_count, 'file')})"
            items.append(
                {"type": "objects", "rid": "", "state": about, "size_bytes": objects.total_bytes}
                | {"modified": "", "location": str(cache_dir / "objects")}
            )
    return _sorted(items, options.sort)


def _execution_item(folder: ExecutionFolder) -> Item:
    files = {"waiting": folder.waiting_files, "unnamed": folder.unnamed_files}.get(folder.state)
    state = folder.state if files is None else f"{folder.state} ({counted(files, 'file')})"
    return {"type": "execution", "rid": folder.rid, "state": state, "size_bytes": folder.size_bytes} | {
        "modified": folder.modified.isoformat(),
        "location": str(folder.path),
        "execution": folder.document(),
    }


def _sorted(items: list[Item], key: str) -> list[Item]:
    if key in ("size", "modified"):
        return sorted(items, key=lambda item: item["size_bytes" if key == "size" else "modified"], reverse=True)
    return sorted(items, key=lambda item: (item[key], item["rid"]))


def _show(options: argparse.Namespace, working_dir: Path, cache_dir: Path) -> None:
    from deriva_ml_core.executions.local_storage import storage_summary

    items, summary = _items(options, working_dir, cache_dir), storage_summary(working_dir, cache_dir)
    if options.json:
        print(json.dumps({"items": items, "summary": summary}, indent=2))
        return
    if items:
        _print_table(items, working_dir)
    waiting = f", {counted(summary['waiting_files'], 'file')} not in the catalog" if summary["waiting_files"] else ""
    executions, cache = (round(summary[f"{name}_size_mb"] * 2**20) for name in ("execution", "cache"))
    print(
        f"{working_dir}: {counted(summary['execution_dir_count'], 'execution')} with {_size(executions)}"
        f"{waiting}; cache {_size(cache)}"
    )


def _print_table(items: Sequence[Item], working_dir: Path) -> None:
    """Places below the working folder, whose own name stands below the table, without it."""
    from rich.table import Table
    from rich.text import Text

    from deriva_ml_core.cli.executions.commands import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Type", "RID", "State"):
        table.add_column(name, no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Modified", no_wrap=True)
    table.add_column("Location", ratio=1)
    for item in items:
        style = "yellow" if item["state"].startswith(("waiting", "unnamed", "stale")) else ""
        table.add_row(
            item["type"],
            item["rid"],
            Text(item["state"], style),
            _size(item["size_bytes"]),
            _when(item["modified"]),
            Text(item["location"].removeprefix(f"{working_dir}{os.sep}"), overflow="ellipsis", no_wrap=True),
        )
    console().print(table)


def _when(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def _size(size_bytes: int) -> str:
    from rich.filesize import decimal

    return decimal(size_bytes)


# --- deleting -------------------------------------------------------------------------------------------------------


def _delete(options: argparse.Namespace, working_dir: Path, cache_dir: Path) -> int:
    """All are looked at first: nothing is deleted where one of them can't be."""
    from deriva_ml_core.assets.storage import cached_bags, delete_bag
    from deriva_ml_core.errors import nearest
    from deriva_ml_core.executions.local_storage import delete_execution, execution_folders, require_deletable

    wanted = [rid.upper() for rid in dict.fromkeys(options.delete)]
    folders = {folder.rid: folder for folder in execution_folders(working_dir)}
    bags = [bag for bag in cached_bags(cache_dir) if bag.dataset_rid in wanted]
    known = {*folders, *(bag.dataset_rid for bag in cached_bags(cache_dir))}
    for rid in wanted:
        if rid not in known:
            raise DerivaMLConfigurationError(f"{working_dir} holds nothing of {rid}{nearest(rid, known)}")
    chosen = [folders[rid] for rid in wanted if rid in folders]
    for folder in chosen:
        require_deletable(folder, discard_outputs=options.discard_outputs)
    lost = sum(folder.waiting_files + folder.unnamed_files for folder in chosen)
    size = sum(folder.size_bytes for folder in chosen) + sum(bag.size_bytes for bag in bags)
    if not _agreed(options, f"delete {counted(len(chosen) + len(bags), 'folder')}, {_size(size)}", lost):
        return 1
    freed = sum(delete_execution(folder, discard_outputs=options.discard_outputs) for folder in chosen)
    freed += sum(delete_bag(bag) for bag in bags)
    return _freed(options, freed)


def _tidy(options: argparse.Namespace, working_dir: Path, cache_dir: Path) -> int:
    from deriva_ml_core.assets.storage import clear_cache
    from deriva_ml_core.executions.local_storage import clean_execution_dirs

    jobs: list[tuple[str, Callable[[], int]]] = []
    if options.clean:
        jobs.append(
            (
                "the folders of executions that are in the catalog",
                lambda: clean_execution_dirs(working_dir, older_than_days=options.older_than)["bytes_freed"],
            )
        )
    if options.clear_cache:
        jobs.append(
            (
                f"the cache in {cache_dir}",
                lambda: clear_cache(cache_dir, older_than_days=options.older_than).bytes_freed,
            )
        )
    if not _agreed(options, f"delete {' and '.join(name for name, _ in jobs)}", 0):
        return 1
    return _freed(options, sum(job() for _, job in jobs))


def _agreed(options: argparse.Namespace, what: str, lost_files: int) -> bool:
    """
    Ask, and ask once more where outputs will be lost.

    Raises:
        DerivaMLConfigurationError: nobody is there to be asked.
    """
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise DerivaMLConfigurationError(f"to {what} without being asked, give --yes")
    questions = [f"{what[0].upper()}{what[1:]}?"]
    if lost_files:
        questions.append(f"{counted(lost_files, 'file')} that the catalog does not have will be lost. Really?")
    return all(input(f"{question} [y/N] ").strip().lower() in ("y", "yes") for question in questions)


def _freed(options: argparse.Namespace, size_bytes: int) -> int:
    print(json.dumps({"bytes_freed": size_bytes}) if options.json else f"{_size(size_bytes)} freed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

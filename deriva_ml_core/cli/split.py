"""deriva-ml-split-dataset: a dataset divided for training, testing and validation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from deriva_ml_core.cli.connecting import add_connection_options, connect
from deriva_ml_core.cli.main import ArgumentParser, add_common_options, completed, configure_logging, run_command

PROGRAM = "deriva-ml-split-dataset"


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog=PROGRAM, description="Divide a dataset into datasets for training, testing and validation."
    )
    parser.add_argument("dataset", nargs="?", metavar="RID[@VERSION]", help="the dataset; its current version")
    parser.add_argument("--dataset-rid", metavar="RID[@VERSION]", help="the same")
    sizes = parser.add_argument_group("sizes", "a fraction of all members (0.2), or a number of them (100)")
    sizes.add_argument("--test-size", type=_size, default=0.2, metavar="SIZE", help="for testing (%(default)s)")
    sizes.add_argument("--train-size", type=_size, metavar="SIZE", help="for training (what is left)")
    sizes.add_argument("--val-size", type=_size, metavar="SIZE", help="for validation (none)")
    how = parser.add_argument_group("how")
    how.add_argument("--seed", type=int, default=42, help="the same seed gives the same split (%(default)s)")
    how.add_argument("--no-shuffle", action="store_true", help="take members in the order of their RIDs")
    how.add_argument("--stratify-by-column", metavar="TABLE.COLUMN", help="keep the proportions of these values")
    how.add_argument(
        "--stratify-missing", choices=("error", "drop", "include"), default="error", help="members without a value"
    )
    how.add_argument("--include-tables", type=_names, metavar="T1,T2", help="tables to join for --stratify-by-column")
    how.add_argument("--joins", type=_names, default=(), metavar="TABLE.COLUMN", help="foreign keys to join them by")
    how.add_argument("--element-table", metavar="TABLE", help="which members, where there are several kinds")
    made = parser.add_argument_group("what is made")
    for part in ("training", "testing", "validation"):
        made.add_argument(f"--{part}-types", type=_names, metavar="TERM,TERM", help=f"further types of the {part} part")
    made.add_argument("--description", default="", help="of the split")
    made.add_argument("--workflow-type", default="Dataset_Split", metavar="TERM", help="(%(default)s)")
    made.add_argument("--dry-run", action="store_true", help="only say how many members each part would get")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(parser)
    # As the commands of the former generation call them.
    parser.add_argument("--hostname", dest="host", help=argparse.SUPPRESS)
    parser.add_argument("--catalog-id", dest="catalog", help=argparse.SUPPRESS)
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _split(arguments), debug="--debug" in arguments)


def _split(arguments: Sequence[str]) -> int:
    from deriva_ml_core.connection.splitting import split_dataset

    parser = build_parser()
    options = completed(parser).parse_args(arguments)
    rid = options.dataset or options.dataset_rid
    if rid is None:
        parser.error("which dataset? Give its RID")
    configure_logging(quiet=options.quiet, debug=options.debug)
    with connect(options) as ml:
        result = split_dataset(
            ml,
            rid,
            test_size=options.test_size,
            train_size=options.train_size,
            val_size=options.val_size,
            shuffle=not options.no_shuffle,
            seed=options.seed,
            stratify_by_column=options.stratify_by_column,
            stratify_missing=options.stratify_missing,
            split_description=options.description,
            training_types=options.training_types,
            testing_types=options.testing_types,
            validation_types=options.validation_types,
            element_table=options.element_table,
            include_tables=options.include_tables,
            joins=options.joins,
            workflow_type=options.workflow_type,
            dry_run=options.dry_run,
        )
    if options.json:
        print(json.dumps({"datasets": dict(result), "counts": result.counts, "description": result.description}))
        return 0
    print(result.description)
    for part, dataset in result.items():
        print(f"{part:12}{dataset or '(dry run)':12}{result.counts.get(part, '')}".rstrip())
    return 0


def _size(text: str) -> float | int:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a fraction (0.2) nor a number of members (100)"
        ) from None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]

"""`deriva-ml-catalog demo DOMAIN`: a catalog of real data to try things on."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from typing import Any

from deriva_ml_core.connection.local import ROOT_VARIABLE


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo`."""
    parser.add_argument("domain", nargs="?", help="which; without it, they are listed")
    parser.add_argument("--name", help="of the catalog that is made (the domain's)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def make_demo(args: argparse.Namespace) -> int:
    """Make the catalog and fill it; where that fails, nothing is left."""
    from deriva_ml_core.local_catalog.administration import create_catalog, delete_catalog
    from deriva_ml_core.local_catalog.root import Root
    from deriva_ml_core.projects.domains import DOMAINS, find_domain

    if args.domain is None:
        for domain in DOMAINS.values():
            print(f"{domain.name:16}{domain.about}")
        return 0
    domain = find_domain(args.domain)
    name = args.name or domain.name
    with Root(args.root) as root:
        create_catalog(root, name)
    try:
        return _fill(args, domain, name)
    except BaseException:  # Ctrl-C too: a catalog that is half filled is no demo
        with Root(args.root, create=False) as root:
            delete_catalog(root, name)
        raise


def _fill(args: argparse.Namespace, domain: Any, name: str) -> int:
    import json

    from deriva_ml_core.connection import DerivaML
    from deriva_ml_core.connection.local import connect_local
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.schema.install import install_schema

    os.environ[ROOT_VARIABLE] = str(args.root.absolute())  # all that connects in this process means this root
    start = time.monotonic()
    first = connect_local(name)
    try:
        install_schema(first.session)
    finally:
        first.close()
    with (
        tempfile.TemporaryDirectory(prefix="deriva-ml-demo-") as folder,
        reporting.use(reporting.SILENT),
        DerivaML("local", name, working_dir=folder, logging_level=logging.ERROR) as ml,
    ):
        made = domain.fill(ml)
    if args.json:
        facts = {"catalog": name, "dataset": made.dataset_rid, "version": made.version, "split": made.split_rid}
        print(json.dumps({**facts, "members": made.members}, indent=2))
        return 0
    print(f"made catalog {name}: {domain.about} ({time.monotonic() - start:.0f} s)")
    print(f"dataset {made.dataset_rid}, version {made.version}, {made.members} members")
    print(f"dataset {made.split_rid}: its parts for training and testing")
    print(f'try it: DerivaML("local", "{name}").download_dataset_bag("{made.dataset_rid}@{made.version}")')
    return 0

"""`deriva-ml-catalog schema install|check`: the deriva-ml schema in a catalog, embedded or on a Deriva server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.schema.additions import Added
    from deriva_ml_core.schema.check import SchemaReport
    from deriva_ml_core.schema.install import Installation


def add_schema_commands(commands: Any, parser_class: type[argparse.ArgumentParser], root: Path) -> None:
    """
    Add `schema install` and `schema check` to the command line.

    Args:
        commands: what `add_subparsers` gave.
        root: where the embedded catalogs are unless --root says otherwise.
    """
    about = "the deriva-ml schema in a catalog"
    parser = commands.add_parser("schema", help=about, description=about)
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=parser_class)
    installing = actions.add_parser("install", help="install it, or add the terms that are missing")
    installing.add_argument("--project", default="", help="what stands before the colon in the IDs of terms")
    installing.set_defaults(command=_install)
    checking = actions.add_parser("check", help="compare it with what it should be")
    checking.add_argument("--json", action="store_true", help="print JSON")
    checking.set_defaults(command=_check)
    for action in (installing, checking):
        action.add_argument("name", help="the catalog's name or id")
        action.add_argument("--host", default="local", help="a Deriva server (the embedded catalog)")
        action.add_argument("--root", type=Path, default=root, help="the embedded catalog's root folder (%(default)s)")


def install_schema_in(name: str, root: Path, host: str = "local", curie_prefix: str = "") -> tuple[Installation, Added]:
    """Install the deriva-ml schema in a catalog, with what plugins need beside our own."""
    from deriva_ml_core.schema.definition import DEFAULT_CURIE_PREFIX
    from deriva_ml_core.schema.install import install_schema

    prefix = curie_prefix or DEFAULT_CURIE_PREFIX
    with _session(name, host, root) as session:
        return install_schema(session, curie_prefix=prefix), _install_additions(session, prefix)


def _install(args: argparse.Namespace) -> int:
    done, added = install_schema_in(args.name, args.root, args.host, args.project)
    what = "installed the deriva-ml schema" if done.created else "the deriva-ml schema is there"
    print(f"{what}; terms added: {done.terms_added + added.terms}")
    if added.tables:
        print(f"tables of plugins: {', '.join(added.tables)}")
    return 0


def _install_additions(session: CatalogSession, curie_prefix: str) -> Added:
    """What plugins need, beside our own."""
    from deriva_ml_core.schema.additions import install_additions

    tables, terms = (
        [one for _, some in session.plugins.all(hook) for one in some]
        for hook in ("deriva_catalog_tables", "deriva_vocabulary_terms")
    )
    return install_additions(session, tables, terms, curie_prefix=curie_prefix)


def _check(args: argparse.Namespace) -> int:
    from deriva_ml_core.schema.check import check_schema

    with _session(args.name, args.host, args.root) as session:
        report = check_schema(session)
    if args.json:
        print(json.dumps(_document(report), indent=2))
    else:
        _print(report)
    return 0 if report.is_valid else 1


def _print(report: SchemaReport) -> None:
    for finding in report.findings:
        print(f"{'error' if finding.serious else 'note'}: {finding}")
    name = f"generation {report.generation.name}" if report.generation else "no deriva-ml schema"
    print(f"{name}: {len(report.errors) or 'nothing'} wrong" if report.generation else name)


def _document(report: SchemaReport) -> dict[str, Any]:
    return {
        "generation": report.generation.name if report.generation else None,
        "valid": report.is_valid,
        "errors": [{"where": finding.where, "what": finding.what} for finding in report.errors],
        "notes": [{"where": finding.where, "what": finding.what} for finding in report.notes],
    }


@contextmanager
def _session(name: str, host: str, root: Path) -> Iterator[CatalogSession]:
    """A session with a catalog, embedded in a root or on a server."""
    from deriva_ml_core.catalog.session import CatalogSession

    if host != "local":
        with CatalogSession.connect(host, name) as session:
            yield session
        return
    from deriva_ml_core.local_catalog.root import Root
    from deriva_ml_core.local_catalog.server import LocalServer

    # A server makes a missing root; who names a catalog in it means one that is there.
    Root(root, create=False).close()
    with (
        LocalServer(root) as server,
        CatalogSession.connect(
            "local",
            name,
            base_url=server.url,
            credential=server.credential,
            known_catalogs=lambda: _known(root),
        ) as session,
    ):
        yield session


def _known(root: Path) -> list[str]:
    """Names of the catalogs in a root, the id where there is no name."""
    from deriva_ml_core.local_catalog.administration import list_catalogs
    from deriva_ml_core.local_catalog.root import Root

    with Root(root, create=False) as opened:
        return [name for catalog in list_catalogs(opened) for name in (catalog.names or (catalog.id,))]

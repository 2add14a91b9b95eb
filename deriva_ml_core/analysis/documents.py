"""
The small files that executions leave about themselves, of many executions at once: found in a request for each table,
read where they lie if the server is on this machine, else fetched in parallel, each once ever (they are kept by content
in the cache folder).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import filters, objects, rows
from deriva_ml_core.errors import DerivaMLTableNotFound

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Association, Table
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 2**20
"""A file larger than this is nothing that describes a run."""
_WORKERS = 8
_COLUMNS = ("RID", "Filename", "URL", "Length", "MD5")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file of an execution, as the catalog has it."""

    execution: str
    rid: str
    name: str
    url: str
    size_bytes: int
    md5: str


def find_recorded(
    session: CatalogSession,
    executions: Iterable[str],
    names: str,
    *,
    tables: Iterable[str] = ("Execution_Metadata",),
    asset_type: str | None = None,
) -> list[Recorded]:
    """
    The outputs of executions whose file names match.

    Args:
        names: a regular expression, as ERMrest's `::ciregexp::` has it.
        tables: of the deriva-ml schema.
        asset_type: find files of this type too, whatever their names.
    """
    wanted = sorted(set(executions))
    found: dict[tuple[str, str], Recorded] = {}
    for name in tables:
        table = session.model.ml_table(name)
        paths = list(_paths(session, table, wanted, names, asset_type))
        for row in (row for path in paths for row in rows.stream(session, path)):
            one = Recorded(
                row["Execution"], row["RID"], row["Filename"] or "", row["URL"], row["Length"] or 0, row["MD5"] or ""
            )
            found[one.execution, one.rid] = one
    return list(found.values())


def fetch_recorded(session: CatalogSession, cache_dir: Path, files: Iterable[Recorded]) -> dict[str, bytes]:
    """The contents of files, by MD5. What can't be had is logged and left out: the rest is worth having."""
    cache = ObjectCache(cache_dir)
    contents: dict[str, bytes] = {}
    missing: dict[str, Recorded] = {}
    for one in files:
        if one.md5 in contents or one.md5 in missing or one.size_bytes > MOST_BYTES:
            continue
        kept = cache.find(one.md5, one.size_bytes)
        if kept is None:
            missing[one.md5] = one
        else:
            contents[one.md5] = kept.read_bytes()

    near = objects.near_files(session, [one.url for one in missing.values()])
    for one in [one for one in missing.values() if one.url in near]:
        content = objects.read_near(near[one.url], one.md5, one.size_bytes)
        if content is not None:
            contents[one.md5] = content
            del missing[one.md5]

    def fetch(one: Recorded) -> bytes:
        return cache.fetch_alone(session, one.url, one.md5, one.size_bytes).read_bytes()

    for outcome in in_parallel(missing.values(), fetch, workers=_WORKERS):
        if outcome.answer is None:
            log.warning("%s of execution %s can't be read: %s", outcome.job.name, outcome.job.execution, outcome.error)
        else:
            contents[outcome.job.md5] = outcome.answer
    return contents


def _paths(
    session: CatalogSession, table: Table, executions: list[str], names: str, asset_type: str | None
) -> Iterator[str]:
    """One path for as many executions as a URL has room for, by name; and one more by type."""
    try:
        link = session.model.execution_link(table)
    except DerivaMLTableNotFound:
        return
    outputs = {"Asset_Role": "Output"} if "Asset_Role" in link.table.columns else {}
    # The path ends at the link, which each row of the answer is one of; an asset may belong to many executions.
    columns = ",".join((f"Execution:={quote(link.far_column)}", *(f"A:{name}" for name in _COLUMNS)))
    for part in filters.filter_paths(link.table, {link.far_column: executions, **outputs}):
        start = f"/attribute/L:={link.table.url_name}/{part}/A:={_join(link)}"
        yield f"{start}/Filename::ciregexp::{quote(names, safe='')}/$L/{columns}"
        if asset_type is not None:
            kind = session.model.type_link(table)
            typed = f"(RID)=({kind.table.url_name}:{quote(kind.near_column)})/{quote(kind.far_column)}"
            yield f"{start}/{typed}={quote(asset_type, safe='')}/$L/{columns}"


def _join(link: Association) -> str:
    return f"({quote(link.near_column)})=({link.near.url_name}:RID)"

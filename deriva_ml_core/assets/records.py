"""Rows of assets in bulk: one request each for rows, types and links, however many files there are.

All of it may be repeated: rows are matched by URL, types and links by their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.names import object_name
from deriva_ml_core.assets.tables import ROLE_TAGS, AssetTables
from deriva_ml_core.assets.transfer import batched, in_parallel
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import (
    CatalogError,
    CatalogUnreachable,
    DerivaMLException,
    DerivaMLTableNotFound,
    DerivaMLValidationError,
)

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Association, Table
    from deriva_ml_core.catalog.session import CatalogSession

_MD5S_IN_A_URL = 100


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes the store has, as its row will say; `url` is that of the stored version."""

    url: str
    file_name: str
    size_bytes: int
    md5: str
    description: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    asset_types: Sequence[str] = ()

    def row(self) -> dict[str, Any]:
        """The asset's row."""
        row = {"URL": self.url, "Filename": self.file_name, "Length": self.size_bytes, "MD5": self.md5}
        if self.description is not None:
            row["Description"] = self.description
        return {**self.columns, **row}


@dataclass(slots=True)
class Recorded:
    """What became of n files: `rids` in their order, each a RID or the reason why there is none."""

    rids: list[str | DerivaMLException]
    warnings: list[str] = field(default_factory=list)


def record_files(
    session: CatalogSession,
    table: tuple[str, str],
    files: Sequence[StoredFile],
    *,
    execution_rid: str | None = None,
    role: str = "Output",
) -> Recorded:
    """
    A row for each file, its types, and its link to an execution; rows that are there already are used.

    Raises:
        CatalogUnreachable: no answer. Whatever was done until then, doing it all again is right.
    """
    return _Recorder(session, session.model.table(table), execution_rid, role).record(files)


def link_assets(
    session: CatalogSession,
    table: tuple[str, str],
    types: Mapping[str, Sequence[str]],
    execution_rid: str,
    role: str,
) -> None:
    """
    Link assets of one table to an execution, and tag them with the role; links and tags that are there stay.

    Args:
        types: the RIDs, each with the types that it is known to have: one that has the tag is not asked about.

    Raises:
        CatalogError: the server refused; CatalogUnreachable: no answer.
    """
    recorder = _Recorder(session, session.model.table(table), execution_rid, role)
    recorder.link(types)


class _Recorder:
    def __init__(self, session: CatalogSession, table: Table, execution_rid: str | None, role: str) -> None:
        self._session, self._table = session, table
        self._execution, self._role = execution_rid, role
        self.warnings: list[str] = []

    def record(self, files: Sequence[StoredFile]) -> Recorded:
        by_url = {file.url: file for file in files}  # the same bytes under the same name are one asset
        rids = self._rows(list(by_url.values()))
        stored = {url: rid for url, rid in rids.items() if isinstance(rid, str)}
        types = [(stored[file.url], file.asset_types) for file in files if file.url in stored]
        self._both(lambda: self.add_types(types), lambda: self.add_links(list(dict.fromkeys(stored.values()))))
        return Recorded([rids[file.url] for file in files], self.warnings)

    def link(self, types: Mapping[str, Sequence[str]]) -> None:
        """Role and tag of rows that are there."""
        untagged = [rid for rid, names in types.items() if ROLE_TAGS[self._role] not in names]
        links = lambda: self.add_links(list(types))  # noqa: E731  # a step
        self._both(*([lambda: self.add_types((rid, ()) for rid in untagged)] if untagged else []), links)

    @staticmethod
    def _both(*steps: Callable[[], None]) -> None:
        """Two requests that do not wait for each other: users sit 100 ms away from their server."""
        for outcome in in_parallel(steps, lambda step: step(), workers=2):
            if outcome.error is not None:
                raise outcome.error

    # --- rows ---

    def _rows(self, files: Sequence[StoredFile]) -> dict[str, str | DerivaMLException]:
        """RID of each URL. A refused batch is halved until the rows at fault are alone: the others stay."""
        try:
            return dict(self._insert(files))
        except CatalogUnreachable:
            raise
        except CatalogError as err:
            if len(files) == 1 or err.status not in (400, 409):
                return {file.url: err for file in files}
        middle = len(files) // 2
        return {**self._rows(files[:middle]), **self._rows(files[middle:])}

    def _insert(self, files: Sequence[StoredFile]) -> Iterator[tuple[str, str | DerivaMLException]]:
        new = rows.insert(self._session, self._table, [file.row() for file in files], skip_existing=True)
        found = {row["URL"]: row["RID"] for row in new}
        rest = [file for file in files if file.url not in found]
        known = self._stored_rows(rest)
        for file in files:
            yield file.url, found.get(file.url) or self._reuse(file, known.get(object_name(file.url)))

    def _stored_rows(self, files: Sequence[StoredFile]) -> dict[str, dict[str, Any]]:
        """Rows that are in the catalog already, by the name of their object."""
        return {
            object_name(row["URL"]): row
            for md5s in batched((file.md5 for file in files), _MD5S_IN_A_URL)
            for row in rows.select(self._session, self._table, {"MD5": md5s})
        }

    def _reuse(self, file: StoredFile, row: dict[str, Any] | None) -> str | DerivaMLException:
        if row is None:
            return DerivaMLValidationError(
                f"the catalog has a row of {self._table.name} with the same key as {file.file_name!r}, of another file"
            )
        other = [name for name, value in file.columns.items() if value is not None and row.get(name) != value]
        if other:
            self.warnings.append(
                f"{file.file_name} is in the catalog already, as {row['RID']}; its row keeps its own {', '.join(other)}"
            )
        return str(row["RID"])

    # --- types and links ---

    def add_types(self, types: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Content types, and the tag that says the role."""
        link = self._association("type")
        if link is None:
            return
        tag = AssetTables(self._session).role_tag(self._role) if self._execution else None
        pairs = {(rid, name): None for rid, names in types for name in (*names, *([tag] if tag else []))}
        self._link(link, [{link.near_column: rid, link.far_column: name} for rid, name in pairs])

    def add_links(self, rids: Sequence[str]) -> None:
        """The link to the execution, with the role."""
        link = self._association("execution") if self._execution else None
        if link is None:
            return
        role = {"Asset_Role": self._role} if "Asset_Role" in link.table.columns else {}
        self._link(link, [{link.near_column: rid, link.far_column: self._execution, **role} for rid in rids])

    def _association(self, kind: str) -> Association | None:
        model = self._session.model
        try:
            return model.type_link(self._table) if kind == "type" else model.execution_link(self._table)
        except DerivaMLTableNotFound:
            self.warnings.append(f"table {self._table.name} has no association for its {kind}: that is not recorded")
            return None

    def _link(self, link: Association, rows_in: list[dict[str, Any]]) -> None:
        if rows_in:
            rows.insert(self._session, link.table, rows_in, skip_existing=True)

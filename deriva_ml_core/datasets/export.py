"""A dataset at a snapshot as the payload of a bag: tables as CSV, the model, and a list of the files to fetch.

data/schema.json                          the exported tables, in ERMrest's form
data/<schema>/<Table>.csv                 their rows, sorted by RID
data/assets/<Table>/<Filename>            the files of asset rows (fetched by cache.py)
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.resolving import CatalogAsset
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.layout import SCHEMA, AssetFile, PayloadFile, csv_path, place_assets
from deriva_ml_core.datasets.members import nested_datasets
from deriva_ml_core.datasets.reach import (
    Reach,
    TableId,
    element_types,
    excluded_tables,
    find_reach,
    member_link_path,
)
from deriva_ml_core.datasets.tabular import Row, distinct_by_rid, write_table

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

_RIDS_IN_A_URL = 400
# Files of other URLs (file:, tag:) stay where they are. s3: and gs: are a plugin's, whose absence is told.
_FETCHED = ("/hatrac/", "https://", "http://", "s3://", "gs://")
_MODEL_PARTS = ("schema_name", "table_name", "kind", "comment")
_COLUMN_PARTS = ("name", "type", "nullok", "default", "comment")
_FOREIGN_KEY_PARTS = ("names", "foreign_key_columns", "referenced_columns", "on_delete", "on_update")


@dataclass(slots=True)
class Payload:
    """What an export wrote, and what is still to be fetched. `rows` counts by "schema/Table"."""

    files: list[PayloadFile] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def remote(self) -> list[PayloadFile]:
        """The files to fetch."""
        return [file for file in self.files if file.url is not None]


def export_payload(
    session: CatalogSession,
    dataset_rid: str,
    folder: Path,
    *,
    exclude_tables: Collection[str] = (),
    workers: int = 8,
) -> Payload:
    """
    Write the tables of a dataset below `folder`; see reach.py for which rows these are.

    Args:
        session: the catalog at the version's snapshot.
        folder: the bag's; `data/` is made in it.
        exclude_tables: names of tables to leave out.
        workers: queries at a time.

    Raises:
        DerivaMLTableNotFound: a name of `exclude_tables` is no table's.
        CatalogError, CatalogUnreachable: a query failed.
    """
    return _Export(session, dataset_rid, folder, frozenset(exclude_tables), workers).run()


def reach_of(
    session: CatalogSession, dataset_rid: str, *, exclude_tables: Collection[str] = (), workers: int = 8
) -> tuple[list[str], Reach]:
    """RIDs of a dataset and of those nested in it, and what is exported with them."""
    export = _Export(session, dataset_rid, Path(), frozenset(exclude_tables), workers)
    return export.datasets, export.reach()


class _Export:
    def __init__(
        self, session: CatalogSession, dataset_rid: str, folder: Path, excluded: frozenset[str], workers: int
    ) -> None:
        self._session, self._model, self._folder, self._workers = session, session.model, folder, workers
        self.datasets = list(nested_datasets(session, [dataset_rid]))
        self._excluded = excluded_tables(self._model, excluded)
        self._payload, self._assets = Payload(), list[AssetFile]()
        self._lock = threading.Lock()
        self._referred: dict[TableId, dict[str, set[str]]] = {}

    def reach(self) -> Reach:
        return find_reach(self._model, self._members(), self._excluded)

    def run(self) -> Payload:
        reach = self.reach()
        self._in_parallel(
            reach.paths, lambda identity: self._write(identity, self._path_sources(reach, identity), reach)
        )
        self._write_referred(reach)
        self._in_parallel(reach.vocabularies - reach.paths.keys(), self._write_vocabulary)
        self._write_model(sorted({*reach.paths, *reach.vocabularies, *self._referred}))
        self._payload.files.extend(place_assets(self._assets))
        self._payload.files.sort(key=lambda file: file.path)
        return self._payload

    def _in_parallel(self, jobs: Iterable[TableId], work: Callable[[TableId], Any]) -> None:
        for outcome in in_parallel(sorted(jobs), work, workers=self._workers):
            if outcome.error is not None:
                raise outcome.error

    # --- who is a member ---

    def _members(self) -> frozenset[TableId]:
        """The element types that have members in this dataset or one nested in it; one small request for each."""
        found: set[TableId] = set()

        def look(identity: TableId) -> None:
            element = element_types(self._model)[identity]
            path = member_link_path(self._model, element)
            for some in _some(self.datasets):
                if self._session.get_json(path.url(some), limit=1):
                    found.add(identity)

        self._in_parallel(element_types(self._model).keys() - self._excluded, look)
        return frozenset(found)

    # --- tables ---

    def _path_sources(self, reach: Reach, identity: TableId) -> list[Iterator[Row]]:
        return [
            rows.stream(self._session, path.url(some) + "@sort(RID)")
            for path in reach.paths[identity]
            for some in _some(self.datasets)
        ]

    def _write_vocabulary(self, identity: TableId) -> None:
        self._write(identity, [rows.select(self._session, self._model.tables[identity], sort=["RID"])])

    def _write(self, identity: TableId, sources: Sequence[Iterable[Row]], reach: Reach | None = None) -> None:
        table = self._model.tables[identity]
        relative = csv_path(table.schema, table.name)
        found: Iterable[Row] = distinct_by_rid(sources)
        found = self._noting_files(table, found) if table.is_asset else found
        found = self._noting_references(identity, found, reach) if reach else found
        written = write_table(self._folder / relative, list(table.columns), found)
        with self._lock:
            self._payload.files.append(PayloadFile(relative, written.size_bytes, written.md5))
            self._payload.rows[f"{table.schema}/{table.name}"] = written.rows

    def _noting_files(self, table: Table, found: Iterable[Row]) -> Iterator[Row]:
        files: list[AssetFile] = []
        for row in found:
            file = remote_file(self._session, table, row)
            if isinstance(file, str):
                self._payload.warnings.append(file)
            elif file is not None:
                files.append(file)
            yield row
        with self._lock:
            self._assets.extend(files)

    # --- rows that exported rows refer to, in the deriva-ml schema ---

    def _noting_references(self, identity: TableId, found: Iterable[Row], reach: Reach) -> Iterator[Row]:
        """Remember the values of foreign keys to Execution and its like: their rows come last."""
        noted = [
            (values, key.columns[0])
            for source, key in sorted(reach.references, key=str)
            if source == identity and len(key.columns) == 1
            for values in [self._values((key.schema, key.table), key.referenced_columns[0])]
        ]
        for row in found:
            for values, column in noted:
                if row.get(column) is not None:
                    values.add(row[column])
            yield row

    def _values(self, target: TableId, column: str) -> set[str]:
        with self._lock:
            return self._referred.setdefault(target, {}).setdefault(column, set())

    def _write_referred(self, reach: Reach) -> None:
        """Fetch them by value, with those that they refer to in turn (Execution, then its Workflow)."""
        kept: dict[TableId, dict[str, Row]] = {}
        asked: set[tuple[TableId, str, str]] = set()
        while wanted := self._unasked(reach, asked):
            for target, column, values in wanted:
                asked |= {(target, column, value) for value in values}
                source = self._by_value(target, column, values)
                for row in self._noting_references(target, source, reach):
                    kept.setdefault(target, {})[row["RID"]] = row
        for target in self._referred.keys() - reach.paths.keys():
            self._write(target, [[row for _, row in sorted(kept.get(target, {}).items())]])

    def _unasked(self, reach: Reach, asked: set[tuple[TableId, str, str]]) -> list[tuple[TableId, str, list[str]]]:
        return [
            (target, column, left)
            for target, columns in sorted(self._referred.items())
            if target not in reach.paths and target not in self._excluded
            for column, values in sorted(columns.items())
            if (left := sorted(value for value in values if (target, column, value) not in asked))
        ]

    def _by_value(self, target: TableId, column: str, values: Sequence[str]) -> Iterator[Row]:
        for some in _some(values):
            yield from rows.select(self._session, self._model.tables[target], {column: some})

    # --- the model ---

    def _write_model(self, tables: Iterable[TableId]) -> None:
        schemas: dict[str, dict[str, Any]] = {}
        for schema, name in tables:
            schemas.setdefault(schema, {})[name] = _document(self._model.tables[schema, name])
        document = {
            "schemas": {name: {"schema_name": name, "tables": tables} for name, tables in sorted(schemas.items())}
        }
        data = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode()
        (self._folder / SCHEMA).write_bytes(data)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self._payload.files.append(PayloadFile(SCHEMA, len(data), digest))


def remote_file(session: CatalogSession, table: Table, row: Row) -> AssetFile | str | None:
    """The file of an asset row; None where it is kept elsewhere (File), a warning where the row can't be trusted."""
    asset = CatalogAsset(row["RID"], table.schema, table.name, row)
    url = str(row.get("URL") or "")
    if not url.startswith(_FETCHED):
        return None
    if asset.md5 is None or row.get("Length") is None:
        return f"{table.name} {asset.rid}: the row has no MD5 or no Length, so its file is left out"
    url = session.base_url + url if url.startswith("/") else url
    return AssetFile(table.schema, table.name, asset.rid, row.get("Filename"), asset.size_bytes, asset.md5, url)


def _document(table: Table) -> dict[str, Any]:
    """The table's part of /schema without what depends on who asks: rights, ACLs, annotations."""
    source: Mapping[str, Any] = table.document
    return {
        **{part: source.get(part) for part in _MODEL_PARTS},
        "column_definitions": [
            {part: column.get(part) for part in _COLUMN_PARTS} for column in source["column_definitions"]
        ],
        "keys": sorted(({"unique_columns": key["unique_columns"]} for key in source["keys"]), key=str),
        "foreign_keys": sorted(
            ({part: key.get(part) for part in _FOREIGN_KEY_PARTS} for key in source["foreign_keys"]), key=str
        ),
    }


def _some(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _RIDS_IN_A_URL):
        yield values[start : start + _RIDS_IN_A_URL]

"""DatasetBag: a dataset at a version, read from a bag on this disk; no catalog is asked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.datasets.bag_views import BagViews
from deriva_ml_core.datasets.former_calls import ignore_extras
from deriva_ml_core.datasets.history import DATASET, DATASET_VERSION, DatasetHistory
from deriva_ml_core.datasets.layout import (
    MANIFEST,
    SCHEMA,
    asset_path,
    csv_path,
    own_asset_path,
    read_asset_checksums,
    read_info,
)
from deriva_ml_core.datasets.tabular import read_table
from deriva_ml_core.datasets.versions import DatasetVersion
from deriva_ml_core.errors import (
    ChecksumMismatch,
    DerivaMLDatasetNotFound,
    DerivaMLException,
    DerivaMLTableNotFound,
    nearest,
)
from deriva_ml_core.schema.generations import ML_SCHEMA

if TYPE_CHECKING:
    import pandas

    from deriva_ml_core.catalog.tables import Table

Row = dict[str, Any]
_ASSET_COLUMNS = frozenset({"URL", "Filename", "Length", "MD5"})


class BagTable:
    """One table of a bag: where its rows are and of what types."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.schema, self.name = str(document["schema_name"]), str(document["table_name"])
        self.document = document
        self.types = {
            column["name"]: (column["type"]["typename"], bool(column["nullok"]))
            for column in document["column_definitions"]
        }
        self._folder = folder

    @property
    def is_asset(self) -> bool:
        """Its rows describe files."""
        return self.types.keys() >= _ASSET_COLUMNS

    def rows(self) -> Iterator[Row]:
        """
        Its rows as the catalog has them, one by one, sorted by RID.

        Raises:
            ChecksumMismatch: somebody has changed the file since it was verified.
        """
        path = self._folder / csv_path(self.schema, self.name)
        try:
            yield from read_table(path, self.types)
        except (OSError, ValueError) as err:
            raise ChecksumMismatch(f"the bag was changed: {path} is not what was written ({err})") from err

    def references(self, schema: str, table: str) -> list[tuple[str, str]]:
        """(column, referenced column) of its one-column foreign keys to a table."""
        found = []
        for key in self.document["foreign_keys"]:
            (near, far) = key["foreign_key_columns"], key["referenced_columns"]
            if len(far) == 1 and (far[0]["schema_name"], far[0]["table_name"]) == (schema, table):
                found.append((near[0]["column_name"], far[0]["column_name"]))
        return found


class DatasetBag(BagViews):
    """
    A dataset and all that belongs to it, at one version.

    Args:
        catalog: where its rows are: the bag's folder, or another handle on the same bag.
        dataset_rid: which of its datasets this handle is; the bag's own by default.
        dataset_types, description: instead of what the bag says.
        execution_rid: the execution that reads it, where the caller wants to keep it here.

    Raises:
        DerivaMLDatasetNotFound: the folder is no bag of a dataset, or has no dataset of this RID.
    """

    def __init__(
        self,
        catalog: str | Path | DatasetBag,
        dataset_rid: str | None = None,
        dataset_types: str | Iterable[str] | None = None,
        description: str = "",
        execution_rid: str | None = None,
    ) -> None:
        self.path = catalog.path if isinstance(catalog, DatasetBag) else Path(catalog)
        self.execution_rid, self._description = execution_rid, description
        self._types = [dataset_types] if isinstance(dataset_types, str) else dataset_types
        if not (self.path / SCHEMA).is_file():
            raise DerivaMLDatasetNotFound(f"{self.path} is not a bag of a dataset: it has no {SCHEMA}")
        self._info = read_info(self.path)
        own_rid, _, self._version = self._info.get("External-Identifier", "").partition("@")
        self._own_rid = own_rid
        self.dataset_rid = dataset_rid or own_rid
        if self.dataset_rid != own_rid and self.dataset_rid not in self._datasets:
            raise DerivaMLDatasetNotFound(f"the bag {self.path} has no dataset {self.dataset_rid}")

    def __repr__(self) -> str:
        return f"DatasetBag({self.dataset_rid}@{self._version}, {str(self.path)!r})"

    # --- what it is ---

    @property
    def current_version(self) -> DatasetVersion:
        """The version that this is; of a nested dataset, the release that it had then."""
        if self.dataset_rid == self._own_rid and self._version:
            return DatasetVersion(self._version)
        history = [entry.dataset_version for entry in self.dataset_history()]
        return max((version for version in history if version.is_released), default=DatasetVersion())

    version = current_version

    @property
    def checksum(self) -> str:
        """MD5 of the payload manifest: the same for the same version, wherever it was exported."""
        return hashlib.md5((self.path / MANIFEST).read_bytes(), usedforsecurity=False).hexdigest()

    @property
    def description(self) -> str:
        """The dataset's description."""
        return self._description or self._datasets.get(self.dataset_rid, {}).get("Description") or ""

    @property
    def dataset_types(self) -> list[str]:
        """Its terms of Dataset_Type, sorted."""
        if self._types is not None:
            return sorted(self._types)
        links = self._ml_rows("Dataset_Dataset_Type")
        return sorted(row["Dataset_Type"] for row in links if row["Dataset"] == self.dataset_rid)

    def dataset_history(self) -> list[DatasetHistory]:
        """Its versions until this one, oldest first."""
        entries = [
            DatasetHistory(
                dataset_version=DatasetVersion(row["Version"]),
                dataset_rid=row["Dataset"],
                version_rid=row["RID"],
                execution_rid=row.get("Execution"),
                description=row.get("Description") or "",
                minid=row.get("Minid"),
                snapshot=row.get("Snapshot") or self._snapshot_of(row),
            )
            for row in self._ml_rows(DATASET_VERSION)
            if row["Dataset"] == self.dataset_rid
        ]
        return sorted(entries, key=lambda entry: entry.dataset_version)

    # --- tables ---

    def list_tables(self) -> list[str]:
        """Names of its tables, sorted; with their schema where two schemas have the same."""
        return sorted(self._tables)

    def get_table_as_dict(self, table: str) -> Iterator[Row]:
        """
        Rows of a table, one by one; memory does not grow with their number.

        The Filename of an asset leads to its file on this disk, where the bag has it.

        Raises:
            DerivaMLTableNotFound: the bag has no such table; the text has the nearest names.

        Example:
            >>> row = next(iter(bag.get_table_as_dict("Image")))
            >>> Path(row["Filename"]).read_text() == row["Label"]
            True
        """
        found = self._table(table)
        rows = found.rows()
        return (self._with_file(found, row) for row in rows) if found.is_asset else rows

    def get_table_as_dataframe(self, table: str) -> pandas.DataFrame:
        """
        A table as a pandas frame; columns as in the catalog, null as None or NaN.

        Raises:
            DerivaMLException: pandas is not installed.
        """
        try:
            import pandas as pd  # a model without frames must not pay for it
        except ImportError as err:
            raise DerivaMLException("get_table_as_dataframe needs pandas: type `uv add pandas`") from err
        return pd.DataFrame(self.get_table_as_dict(table), columns=list(self._table(table).types))

    # --- members ---

    def list_dataset_members(
        self,
        recurse: bool = False,
        limit: int | None = None,
        _visited: object = None,
        version: object = None,
        **extras: object,
    ) -> dict[str, list[Row]]:
        """
        Rows of its members by table name, sorted by RID.

        Args:
            recurse: with the members of the datasets nested in it.
            limit: at most so many of each table.
            version: the bag's own, or None: it has no other.

        Raises:
            DerivaMLDatasetNotFound: another version.
        """
        ignore_extras("list_dataset_members", extras, ("recurse", "limit", "version"))
        self._require_version(version)
        datasets = {self.dataset_rid, *(self._below(self.dataset_rid) if recurse else ())}
        found: dict[str, list[Row]] = {}
        for name, link, dataset_column, member_column in self._element_links():
            wanted = {row[member_column] for row in link.rows() if row[dataset_column] in datasets}
            found[name] = [row for row in self.get_table_as_dict(name) if row["RID"] in wanted][:limit]
        return found

    def list_dataset_element_types(self) -> list[Table]:
        """The tables that have members here."""
        return [self._model[self._identity(name)] for name, *_ in self._element_links()]

    def list_dataset_children(
        self, recurse: bool = False, _visited: object = None, version: object = None, **extras: object
    ) -> list[DatasetBag]:
        """The datasets nested in it; with `recurse`, in these too."""
        ignore_extras("list_dataset_children", extras, ("recurse", "version"))
        self._require_version(version)
        rids = self._below(self.dataset_rid) if recurse else self._nested.get(self.dataset_rid, [])
        return [DatasetBag(self.path, rid) for rid in rids]

    def list_dataset_parents(
        self, recurse: bool = False, _visited: object = None, version: object = None, **extras: object
    ) -> list[DatasetBag]:
        """The datasets of this bag that it is nested in; with `recurse`, those above them too."""
        ignore_extras("list_dataset_parents", extras, ("recurse", "version"))
        self._require_version(version)
        parents = [rid for rid, nested in self._nested.items() if self.dataset_rid in nested]
        if recurse:
            parents = [rid for rid in self._nested if self.dataset_rid in self._below(rid)]
        return [DatasetBag(self.path, rid) for rid in sorted(parents)]

    def list_executions(self) -> list[str]:
        """RIDs of the executions that had read this dataset when the version was released, sorted."""
        links = self._ml_rows("Dataset_Execution")
        return sorted(row["Execution"] for row in links if row["Dataset"] == self.dataset_rid)

    # --- inside ---

    def _snapshot_of(self, version: Row) -> str | None:
        """The snapshot of the bag's own version, whose row has it only since: what the bag says of itself."""
        own = (version["Dataset"], version["Version"]) == (self._own_rid, self._version)
        return self._info.get("Internal-Sender-Identifier", "").partition("@")[2] or None if own else None

    def _require_version(self, version: object) -> None:
        if version is not None and DatasetVersion.parse(version) != self.current_version:
            raise DerivaMLDatasetNotFound(
                f"this is the bag of dataset {self.dataset_rid} at version {self.current_version}: "
                f"download that of version {version}"
            )

    @cached_property
    def _tables(self) -> dict[str, BagTable]:
        try:
            document = json.loads((self.path / SCHEMA).read_text(encoding="utf-8"))
        except ValueError as err:
            raise ChecksumMismatch(f"the bag was changed: {self.path / SCHEMA} is not what was written") from err
        tables = [
            BagTable(self.path, table)
            for _, schema in sorted(document["schemas"].items())
            for _, table in sorted(schema["tables"].items())
        ]
        names = [table.name for table in tables]
        return {
            table.name if names.count(table.name) == 1 else f"{table.schema}:{table.name}": table for table in tables
        }

    def _table(self, name: str) -> BagTable:
        found = self._tables.get(name) or next(
            (table for table in self._tables.values() if f"{table.schema}:{table.name}" == name), None
        )
        if found is None:
            raise DerivaMLTableNotFound(
                f"the bag of dataset {self.dataset_rid} has no table {name!r}"
                f"{nearest(name, self._tables) or '; it has ' + ', '.join(self.list_tables())}"
            )
        return found

    def _with_file(self, table: BagTable, row: Row) -> Row:
        """The row with the path of its file: the one that has its name and its content."""
        named, md5 = (table.name, row["RID"], row["Filename"]), str(row["MD5"] or "").lower()
        for path in (asset_path(*named), own_asset_path(*named)):
            if self._asset_checksums.get(path) == md5 and os.path.exists(f"{self.path}/{path}"):  # noqa: PTH110
                return {**row, "Filename": f"{self.path}/{path}"}
        return row

    def owner_of(self, path: str) -> str:
        """Table/RID/file name of the row that a payload file belongs to, for messages; the path where none has it."""
        for table in (table for table in self._tables.values() if table.is_asset):
            for row in table.rows():
                named, md5 = (table.name, row["RID"], row["Filename"]), str(row["MD5"] or "").lower()
                if path in (asset_path(*named), own_asset_path(*named)) and self._asset_checksums.get(path) == md5:
                    return f"{table.name}/{row['RID']}/{path.rpartition('/')[2]}"
        return path

    @cached_property
    def _asset_checksums(self) -> dict[str, str]:
        return read_asset_checksums(self.path)

    def _ml_rows(self, name: str) -> Iterable[Row]:
        tables = [table for table in self._tables.values() if (table.schema, table.name) == (ML_SCHEMA, name)]
        return tables[0].rows() if tables else ()

    @cached_property
    def _datasets(self) -> dict[str, Row]:
        return {row["RID"]: row for row in self._ml_rows(DATASET)}

    @cached_property
    def _nested(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self._ml_rows("Dataset_Dataset"):
            found.setdefault(row["Dataset"], []).append(row["Nested_Dataset"])
        return {rid: sorted(nested) for rid, nested in sorted(found.items())}

    def _below(self, rid: str) -> list[str]:
        found: dict[str, None] = {}
        level = self._nested.get(rid, [])
        while level:
            found.update(dict.fromkeys(level))
            level = [below for above in level for below in self._nested.get(above, []) if below not in found]
        return sorted(found)

    def _element_links(self) -> Iterator[tuple[str, BagTable, str, str]]:
        """(table name, association, its column of the dataset, its column of the member)."""
        for name, table in self._tables.items():
            for link in self._tables.values():
                near, far = link.references(ML_SCHEMA, DATASET), link.references(table.schema, table.name)
                if not link.name.startswith("Dataset_") or not near or not far or table is link:
                    continue
                if table.name == DATASET:
                    if link.name == "Dataset_Dataset":
                        yield name, link, DATASET, "Nested_Dataset"
                elif table.schema != ML_SCHEMA or table.is_asset:
                    yield name, link, near[0][0], far[0][0]

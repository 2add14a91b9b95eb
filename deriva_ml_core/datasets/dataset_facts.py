"""What a dataset is, beside its members: its row, its versions, its types, who used it and where to look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.handle import Handle, handle_of, session_of
from deriva_ml_core.datasets.history import (
    DATASET,
    DatasetHistory,
    DatasetRecord,
    next_versions,
    read_dataset,
    read_datasets,
    release,
)
from deriva_ml_core.datasets.members import parent_datasets
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.datasets.versions import DatasetVersion, VersionPart, as_part
from deriva_ml_core.errors import CatalogError, DerivaMLDatasetNotFound, DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

DATASET_TYPE, TYPE_LINK = "Dataset_Type", "Dataset_Dataset_Type"
_AT_ONCE = 100  # releases by others that one of ours waits for


class DatasetFacts:
    """A dataset by its RID; the arguments are those of `Dataset`."""

    def __init__(
        self,
        catalog: CatalogSession | Handle,
        dataset_rid: str,
        description: str = "",
        execution_rid: str | None = None,
        *,
        cache_dir: Path | None = None,
        record: DatasetRecord | None = None,
    ) -> None:
        self._handle: Handle | None = handle_of(catalog)
        self.session = session_of(catalog)
        self.cache_dir = cache_dir or (self._handle.cache_dir if self._handle else None)
        self.dataset_rid, self.execution_rid = dataset_rid, execution_rid
        self._description, self._record = description, record

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dataset_rid!r}, catalog={self.session.catalog_id!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DatasetFacts):
            return NotImplemented
        return (other.dataset_rid, other.session.catalog_id) == (self.dataset_rid, self.session.catalog_id)

    def __hash__(self) -> int:
        return hash((self.dataset_rid, self.session.catalog_id))

    # --- what it is ---

    @property
    def record(self) -> DatasetRecord:
        """Its row and versions, read once; `refresh` reads them again."""
        if self._record is None:
            self._record = read_dataset(self.session, self.dataset_rid, deleted=True)
        return self._record

    def refresh(self) -> Self:
        """Forget what was read."""
        self._record, self._description = None, ""
        return self

    @property
    def description(self) -> str:
        """The dataset's description."""
        return self._description or self.record.description

    @description.setter
    def description(self, text: str) -> None:
        rows.update(self.session, self._table(DATASET), [{"RID": self.dataset_rid, "Description": text}])
        self.refresh()

    @property
    def dataset_types(self) -> list[str]:
        """Its terms of Dataset_Type, sorted."""
        found = rows.select(self.session, self._table(TYPE_LINK), {"Dataset": self.dataset_rid})
        return sorted(row[DATASET_TYPE] for row in found)

    def add_dataset_types(self, dataset_types: str | Iterable[str], _skip_version_increment: bool = False) -> None:
        """
        Add types and release a new minor version; those it has already stay, and nothing is released for them.

        A version has the types of its moment, and they say where `restructure_assets` puts the files.

        Raises:
            DerivaMLInvalidTerm: one is no term of Dataset_Type.
            DerivaMLDatasetNotFound: the dataset was deleted.
        """
        names = terms_of(self.session, dataset_types)
        self._refuse_deleted()
        added = insert_types(self.session, self.dataset_rid, names)
        if added and not _skip_version_increment:
            self.increment_dataset_version(VersionPart.minor, f"types added: {', '.join(added)}")

    def add_dataset_type(self, dataset_type: str, _skip_version_increment: bool = False) -> None:
        """
        Add one type and release a new minor version; nothing happens where it has it already.

        Raises:
            DerivaMLInvalidTerm: it is no term of Dataset_Type.
            DerivaMLDatasetNotFound: the dataset was deleted.
        """
        self.add_dataset_types(dataset_type, _skip_version_increment)

    def remove_dataset_type(self, dataset_type: str) -> None:
        """
        Take one type away and release a new minor version; nothing happens where it has not got it.

        Raises:
            DerivaMLInvalidTerm: it is no term of Dataset_Type.
            DerivaMLDatasetNotFound: the dataset was deleted.
        """
        (name,) = terms_of(self.session, dataset_type)
        self._refuse_deleted()
        if name in self.dataset_types:
            rows.delete_where(self.session, self._table(TYPE_LINK), {"Dataset": self.dataset_rid, DATASET_TYPE: name})
            self.increment_dataset_version(VersionPart.minor, f"type removed: {name}")

    # --- versions ---

    @property
    def current_version(self) -> DatasetVersion | None:
        """Its newest release; None where there is none yet."""
        current = self.record.current
        return current.dataset_version if current else None

    def dataset_history(self) -> list[DatasetHistory]:
        """Its versions, oldest first."""
        return list(self.refresh().record.history)

    def increment_dataset_version(
        self, component: VersionPart | str, description: str = "", execution_rid: str | None = None
    ) -> DatasetVersion:
        """
        Release a new version, and one of each dataset that this one is nested in; all of one snapshot.

        Args:
            component: the part that goes up: major, minor or patch.

        Raises:
            DerivaMLDatasetNotFound: it was deleted.

        Example:
            >>> made = ml.create_dataset(dataset_types="Testing", description="To be released")
            >>> made.increment_dataset_version("major", "As in the paper")
            <DatasetVersion('1.0.0')>
        """
        part, execution = as_part(component), execution_rid or self.execution_rid
        versions, others = self._next_versions(part), 0
        while True:
            try:
                released = release(self.session, versions, description=description, execution_rid=execution)
                break
            except CatalogError as err:
                # Somebody else may have released these since we looked: then what we changed belongs to the next ones.
                taken, others = versions, others + 1
                if err.status != HTTPStatus.CONFLICT or others > _AT_ONCE:
                    raise
                versions = self._next_versions(part)
                if versions == taken:
                    raise
        self.refresh()
        return released[self.dataset_rid].dataset_version

    # --- where it is ---

    def list_executions(self) -> list[Any]:
        """
        The executions that had it as their input, the newest first, as ExecutionRecords.

        Raises:
            DerivaMLException: this handle was made without a DerivaML.
        """
        find = getattr(self._handle, "find_executions", None)  # executions are a room above this one
        if find is None:
            raise DerivaMLException(f"list_executions: open it by ml.lookup_dataset({self.dataset_rid!r})")
        return list(find(dataset=self.dataset_rid))

    def get_chaise_url(self) -> str:
        """Where to look at it in a browser."""
        return self.session.record_url(self.dataset_rid)

    # --- inside ---

    def _next_versions(self, part: VersionPart) -> dict[str, DatasetVersion]:
        """Of this dataset and of those it is nested in."""
        above = parent_datasets(self.session, [self.dataset_rid])
        records = read_datasets(self.session, above, deleted=True)
        if self.dataset_rid in records and records[self.dataset_rid].deleted:
            raise DerivaMLDatasetNotFound(f"dataset {self.dataset_rid} was deleted")
        return next_versions(records.values(), part)

    def _refuse_deleted(self) -> None:
        """Whoever deleted it must not find that it has changed since; this handle may be older than that."""
        found = rows.select_by_rids(self.session, self._table(DATASET), [self.dataset_rid])
        if any(row.get("Deleted") for row in found.values()):
            raise DerivaMLDatasetNotFound(f"dataset {self.dataset_rid} was deleted")

    def _table(self, name: str) -> Table:
        return self.session.model.ml_table(name)


def terms_of(session: CatalogSession, dataset_types: str | Iterable[str]) -> list[str]:
    """
    Names of terms of Dataset_Type.

    Raises:
        DerivaMLInvalidTerm: one is none.
    """
    vocabulary = session.model.ml_table(DATASET_TYPE)
    return [
        term.name
        for term in session.vocabularies.lookup_all(vocabulary, [str(name) for name in names_of(dataset_types)])
    ]


def insert_types(session: CatalogSession, rid: str, types: Sequence[str]) -> list[str]:
    """Give a dataset these types; those it has already stay. The new ones."""
    if not types:
        return []
    links = [{"Dataset": rid, DATASET_TYPE: name} for name in dict.fromkeys(types)]
    stored = rows.insert(session, session.model.ml_table(TYPE_LINK), links, skip_existing=True)
    return [row[DATASET_TYPE] for row in stored]

"""Dataset: a user's handle on one dataset of a catalog."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.handle import Handle, session_of
from deriva_ml_core.datasets import members as membership
from deriva_ml_core.datasets.dataset_facts import DatasetFacts, insert_types, terms_of
from deriva_ml_core.datasets.features import find_features
from deriva_ml_core.datasets.former_calls import ignore_extras
from deriva_ml_core.datasets.history import (
    DATASET,
    FIRST_VERSION,
    DatasetHistory,
    read_dataset,
    read_datasets,
    release,
)
from deriva_ml_core.datasets.members import Members
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.datasets.reach import element_types, table_id
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.datasets.versions import DatasetVersion, VersionPart, as_release, read_version
from deriva_ml_core.errors import (
    DerivaMLException,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
)
from deriva_ml_core.schema.tables import create_association

if TYPE_CHECKING:
    import pandas

    from deriva_ml_core.assets.progress import ProgressCallback
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.features import Feature

log = logging.getLogger(__name__)

NO_BUCKET = (
    "use_minid: a MINID names a bag that is stored where others can get it: connect with s3_bucket='s3://…'. "
    "use_minid=False downloads the same bag from the catalog itself"
)
VersionLike = DatasetVersion | str | Sequence[int]


class Dataset(DatasetFacts):
    """
    One dataset, in the living catalog.

    Args:
        catalog: a DerivaML, or a session with its catalog.
        dataset_rid: its RID.
        description: what its row says, where the caller knows it.
        execution_rid: the execution in which this handle was made: the producer of its new versions.
        cache_dir: where bags are kept, that of the DerivaML by default; without it, none can be downloaded.
    """

    @classmethod
    def create_dataset(
        cls,
        ml_instance: Handle,
        execution_rid: str | None,
        dataset_types: str | Iterable[str] | None = None,
        description: str = "",
        version: VersionLike | None = None,
    ) -> Dataset:
        """A new dataset without members, made by an execution; see the function `create_dataset`."""
        return create_dataset(
            ml_instance,
            dataset_types=dataset_types,
            description=description,
            execution_rid=execution_rid,
            version=version,
        )

    # --- members ---

    def add_dataset_members(
        self,
        members: Members,
        validate: bool = True,
        description: str = "",
        execution_rid: str | None = None,
    ) -> None:
        """
        Add members and release a new minor version; rows that are members already stay.

        Args:
            members: RIDs of whatever tables, or table name -> RIDs.
            validate: look first whether every RID is there.

        Raises:
            DerivaMLValidationError: RIDs that are not there or can't be members; a nested dataset would make a cycle,
                or was deleted. Nothing was added.
            DerivaMLDatasetNotFound: this dataset was deleted.
        """
        grouped = membership.group_members(self.session, members, validate=validate)
        if not grouped:
            return
        self._refuse_deleted()
        nested = grouped.get(table_id(self._table(DATASET)), [])
        _refuse_deleted(self.session, nested)
        membership.refuse_cycles(self.session, self.dataset_rid, nested)
        added = membership.add_members(self.session, self.dataset_rid, grouped)
        if added:
            self.increment_dataset_version(VersionPart.minor, description or f"{added} members added", execution_rid)

    def delete_dataset_members(self, members: Members, description: str = "", execution_rid: str | None = None) -> None:
        """
        Take members out and release a new minor version; the rows themselves stay in the catalog.

        Raises:
            DerivaMLDatasetNotFound: this dataset was deleted.
        """
        self._refuse_deleted()
        grouped = membership.group_members(self.session, members, validate=False)
        gone = membership.delete_members(self.session, self.dataset_rid, grouped)
        if gone:
            self.increment_dataset_version(VersionPart.minor, description or f"{gone} members deleted", execution_rid)

    def list_dataset_members(
        self,
        recurse: bool = False,
        limit: int | None = None,
        _visited: object = None,
        version: VersionLike | None = None,
        **extras: object,
    ) -> dict[str, list[dict[str, Any]]]:
        """
        Rows of its members by table name, sorted by RID.

        Args:
            recurse: with the members of the datasets nested in it.
            limit: at most so many of each table.
            version: as they were at a version; None is the living catalog.
        """
        ignore_extras("list_dataset_members", extras, ("recurse", "limit", "version"))
        session = self._at(version)
        rids = list(membership.nested_datasets(session, [self.dataset_rid])) if recurse else [self.dataset_rid]
        found = membership.list_members(session, rids)
        return {table: members[:limit] for table, members in found.items()}

    def list_dataset_children(
        self, recurse: bool = False, _visited: object = None, version: VersionLike | None = None, **extras: object
    ) -> list[Dataset]:
        """The datasets nested in it; with `recurse`, in these too."""
        ignore_extras("list_dataset_children", extras, ("recurse", "version"))
        return self._handles(membership.nested_datasets(self._at(version), [self.dataset_rid]), recurse)

    def list_dataset_parents(
        self, recurse: bool = False, _visited: object = None, version: VersionLike | None = None, **extras: object
    ) -> list[Dataset]:
        """The datasets that it is nested in; with `recurse`, those above them too."""
        ignore_extras("list_dataset_parents", extras, ("recurse", "version"))
        return self._handles(membership.parent_datasets(self._at(version), [self.dataset_rid]), recurse)

    def list_dataset_element_types(self) -> list[Table]:
        """The tables whose rows can be members."""
        return list_element_types(self.session)

    def find_features(self, table: str | Table | None = None) -> list[Feature]:
        """The features of a table, or of all tables of the catalog."""
        return find_features(self.session, table)

    # --- where to look ---

    def to_markdown(self, show_children: bool = False, indent: int = 0) -> str:
        """
        One line of a Markdown list: a link, version, types and description.

        Args:
            show_children: with the datasets nested in it below, and theirs.
            indent: how deep in the list.
        """
        from deriva_ml_core.datasets.describing import to_markdown

        return to_markdown(self, show_children=show_children, indent=indent)

    def display_markdown(self, show_children: bool = False, indent: int = 0) -> None:
        """Show the same: in a notebook, or on the terminal."""
        from deriva_ml_core.datasets.describing import display_markdown

        display_markdown(self.to_markdown(show_children, indent))

    # --- bags ---

    def download_dataset_bag(
        self,
        version: VersionLike | None = None,
        materialize: bool = True,
        use_minid: bool = False,
        exclude_tables: Iterable[str] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> DatasetBag:
        """
        The dataset at a version as a bag on this disk; from the cache where it is there.

        The newest development label gives the catalog as it is now. A run can't have it as an input: it says nothing
        that could be repeated.

        Args:
            use_minid: take the bag from the DerivaML's s3_bucket, if somebody has stored it, else store it there under
                a MINID, which dataset_history() then has; without a login for MINIDs it has none, and that is told.

        Raises:
            DerivaMLDatasetNotFound: no such version.
            DerivaMLException: use_minid without s3_bucket, or the store refuses; see stored_bags.py.
        """
        spec = DatasetSpec(
            rid=self.dataset_rid,
            version=None if version is None else read_version(version),
            materialize=materialize,
            exclude_tables=frozenset(names_of(exclude_tables)) or None,
        )
        return self.fetch_bag(spec, use_minid=use_minid, progress=progress)

    def fetch_bag(
        self, spec: DatasetSpec, *, use_minid: bool = False, progress: ProgressCallback | None = None
    ) -> DatasetBag:
        """The same, with all that a spec of this dataset can say."""
        bucket = getattr(self._handle, "s3_bucket", None)
        if use_minid and not bucket:
            raise DerivaMLException(NO_BUCKET)
        if self.cache_dir is None:
            raise DerivaMLException(
                f"dataset {self.dataset_rid} was opened without a cache folder for bags: "
                f"open it by ml.lookup_dataset({self.dataset_rid!r})"
            )
        from deriva_ml_core.datasets.cache import fetch_bag  # only who downloads needs it

        store = None
        if use_minid:
            from deriva_ml_core.datasets.stored_bags import BagStore

            store = BagStore(str(bucket))
        entry = self.living(spec.version)
        return fetch_bag(self.session, spec, self.cache_dir, progress=progress, entry=entry, store=store)

    def denormalize_as_dict(
        self,
        include_tables: Iterable[str],
        version: VersionLike | None = None,
        *,
        joins: Iterable[str] = (),
        **extras: object,
    ) -> Iterator[dict[str, Any]]:
        """The joined tables of a version (the current one), row by row; see DatasetBag.denormalize_as_dict."""
        ignore_extras("denormalize_as_dict", extras, ("include_tables", "version", "joins"))
        bag = self.download_dataset_bag(version, materialize=False)
        return bag.denormalize_as_dict(include_tables, joins=joins)

    def denormalize_as_dataframe(
        self,
        include_tables: Iterable[str],
        version: VersionLike | None = None,
        *,
        joins: Iterable[str] = (),
        **extras: object,
    ) -> pandas.DataFrame:
        """The same as a pandas frame."""
        ignore_extras("denormalize_as_dataframe", extras, ("include_tables", "version", "joins"))
        bag = self.download_dataset_bag(version, materialize=False)
        return bag.denormalize_as_dataframe(include_tables, joins=joins)

    # --- inside ---

    def _at(self, version: VersionLike | None) -> CatalogSession:
        if version is None:
            return self.session
        entry = self.living(version) or self.record.at(read_version(version))
        assert entry.snapshot is not None
        return self.session.at(entry.snapshot)

    def living(self, version: VersionLike | None) -> DatasetHistory | None:
        """Where the newest version is a development label, and that is asked for: the catalog as it is now."""
        newest = self.record.history[-1] if version is not None and self.record.history else None
        if newest is None or newest.snapshot or newest.dataset_version.is_released:
            return None
        wanted = version is not None and read_version(version) == newest.dataset_version
        return replace(newest, snapshot=self.session.latest_snaptime()) if wanted else None

    def _handles(self, graph: dict[str, list[str]], recurse: bool) -> list[Dataset]:
        rids = sorted(graph.keys() - {self.dataset_rid}) if recurse else graph[self.dataset_rid]
        return [Dataset(self._handle or self.session, rid, cache_dir=self.cache_dir) for rid in rids]


def create_dataset(
    catalog: CatalogSession | Handle,
    *,
    dataset_types: str | Iterable[str] | None = None,
    description: str = "",
    execution_rid: str | None = None,
    version: VersionLike | None = None,
    cache_dir: Path | None = None,
) -> Dataset:
    """
    A new dataset without members, with its first version (0.1.0 unless `version` says another).

    Raises:
        DerivaMLInvalidTerm: a type is no term of Dataset_Type; nothing was made.
        DerivaMLValidationError: `version` is no release; nothing was made.
    """
    session = session_of(catalog)
    first = FIRST_VERSION if version is None else as_release(version)
    types = terms_of(session, dataset_types or ())
    row = rows.insert_one(session, session.model.ml_table(DATASET), Description=description, Deleted=False)
    insert_types(session, row["RID"], types)
    release(session, {row["RID"]: first}, description="Initial dataset creation", execution_rid=execution_rid)
    return Dataset(catalog, row["RID"], execution_rid=execution_rid, cache_dir=cache_dir)


def lookup_dataset(catalog: CatalogSession | Handle, rid: str, *, deleted: bool = False) -> Dataset:
    """
    The dataset of this RID.

    Raises:
        DerivaMLDatasetNotFound: there is none, or it was deleted.
    """
    record = read_dataset(session_of(catalog), rid, deleted=deleted)
    return Dataset(catalog, record.rid, record=record)


def find_datasets(catalog: CatalogSession | Handle, *, deleted: bool = False) -> Iterator[Dataset]:
    """All datasets, the deleted ones too where that is asked."""
    for rid, record in read_datasets(session_of(catalog), deleted=deleted).items():
        yield Dataset(catalog, rid, record=record)


def delete_dataset(session: CatalogSession, rid: str, *, recurse: bool = False) -> list[str]:
    """
    Mark a dataset as deleted (with `recurse`, those nested in it too); its versions can still be read. Their RIDs.

    Raises:
        DerivaMLDatasetNotFound: there is none.
    """
    record = read_dataset(session, rid)
    rids = list(membership.nested_datasets(session, [record.rid])) if recurse else [record.rid]
    rows.update(session, session.model.ml_table(DATASET), [{"RID": one, "Deleted": True} for one in rids])
    return rids


def list_element_types(session: CatalogSession) -> list[Table]:
    """The tables whose rows can be members of datasets."""
    return [element.table for element in element_types(session.model).values()]


def add_element_type(session: CatalogSession, table_name: str) -> Table:
    """
    Let rows of a table be members: makes the association Dataset_<Table> beside the table, unless it is there.

    Raises:
        DerivaMLTableNotFound: no such table.
        DerivaMLTableTypeError: terms and tables about datasets and executions can't be members.
    """
    table = session.model.table(table_name)
    if table_id(table) in element_types(session.model):
        return table
    if table.is_vocabulary or (table.schema == session.model.ml_schema and not table.is_asset):
        raise DerivaMLTableTypeError(f"rows of {table} can't be members of a dataset: give a table of your own")
    ends = [(session.model.ml_schema, DATASET), (table.schema, table.name)]
    create_association(session, table.schema, ends, name=f"Dataset_{table.name}")
    return session.model.table((table.schema, table.name))


def _refuse_deleted(session: CatalogSession, nested: Sequence[str]) -> None:
    records = read_datasets(session, nested, deleted=True) if nested else {}
    if gone := [f"dataset {rid} was deleted" for rid, record in records.items() if record.deleted]:
        raise DerivaMLValidationError("wrong members", gone)

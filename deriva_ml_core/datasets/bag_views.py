"""What a DatasetBag shows beyond its tables and members: features, joined tables, folders of files, arrays."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deriva_ml_core.catalog.tables import Table, read_tables
from deriva_ml_core.datasets.features import Feature, features_of, find_feature
from deriva_ml_core.datasets.former_calls import ignore_extras
from deriva_ml_core.datasets.joins import TableId, flatten, join_rows, plan_joins, shown_columns
from deriva_ml_core.datasets.layout import SCHEMA
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError
from deriva_ml_core.schema.generations import ML_SCHEMA

if TYPE_CHECKING:
    import pandas

    from deriva_ml_core.datasets.adapters import Samples
    from deriva_ml_core.datasets.bag import BagTable, DatasetBag
    from deriva_ml_core.datasets.feature_records import FeatureRecord, Selector
    from deriva_ml_core.datasets.restructure import Grouping, TypeSelector

DATASET = "Dataset"
Row = dict[str, Any]


def _label(label: str | None, value_selector: Selector | None) -> Grouping:
    from deriva_ml_core.datasets.restructure import Grouping

    by = () if label is None else (label,)
    return Grouping(by, enforce_vocabulary=False, value_selector=value_selector, parameter="label")


class BagViews(ABC):
    """Mixin of DatasetBag, which has the tables and members that these views are made of."""

    path: Path
    dataset_rid: str

    # --- what DatasetBag gives ---

    @abstractmethod
    def get_table_as_dict(self, table: str) -> Iterator[Row]: ...  # noqa: D102

    @abstractmethod
    def _require_version(self, version: object) -> None: ...

    @abstractmethod
    def _table(self, name: str) -> BagTable: ...

    @abstractmethod
    def _below(self, rid: str) -> list[str]: ...

    @abstractmethod
    def _element_links(self) -> Iterator[tuple[str, BagTable, str, str]]: ...

    # --- features ---

    def find_features(self, table: str | Table | None = None) -> list[Feature]:
        """
        The features of a table of this bag, or of all its tables.

        Raises:
            DerivaMLTableNotFound: the bag has no such table.
        """
        if table is None:
            return self._features
        wanted = self._name_of(table)
        return [one for one in self._features if wanted in (one.target_table.name, str(one.target_table))]

    def lookup_feature(self, table: str | Table, feature_name: str) -> Feature:
        """
        The feature of this name of a table.

        Raises:
            DerivaMLTableNotFound: the bag has no such table. DerivaMLNotFoundError: it has no such feature.
        """
        return find_feature(self._features, self._name_of(table), str(feature_name), f"the bag of {self.dataset_rid}")

    def list_feature_values(
        self, table: str | Table, feature_name: str, selector: Selector | None = None
    ) -> Iterator[FeatureRecord]:
        """
        Values of a feature as they were at the bag's version; with a selector one for each row that it is about.

        Raises:
            DerivaMLTableNotFound: the bag has no such table. DerivaMLNotFoundError: it has no such feature.
        """
        from deriva_ml_core.datasets.feature_records import records_of, select_each  # loads pydantic

        feature = self.lookup_feature(table, feature_name)
        rows = self.get_table_as_dict(str(feature.feature_table))
        return iter(select_each(records_of(feature, rows), selector))

    # --- joined tables ---

    def denormalize_as_dict(
        self, include_tables: Iterable[str], version: object = None, *, joins: Iterable[str] = (), **extras: object
    ) -> Iterator[Row]:
        """
        Tables joined into one, row by row; columns are called Table.Column. See joins.py for the rule.

        Rows start at the members of this dataset and of those nested in it, of the first table that has members here
        and refers to the others.

        Args:
            include_tables: names of the tables whose columns come.
            version: the bag's own, or None: it has no other.
            joins: foreign keys ("Image.Subject") to take where several ways join the tables.

        Raises:
            DerivaMLTableNotFound: the bag has no such table.
            DerivaMLValidationError: the tables can't be joined, or in several ways; the text has the choices.
            DerivaMLDatasetNotFound: another version.
        """
        ignore_extras("denormalize_as_dict", extras, ("include_tables", "version", "joins"))
        self._require_version(version)
        names = self._identities(include_tables)
        anchor = self._anchor(list(names))
        steps = plan_joins(self._model, [anchor, *names], ML_SCHEMA, names_of(joins))
        start = self.reached_rows(":".join(anchor), recurse=True)
        columns = {identity: self._model[identity].columns for identity in names}
        joined = join_rows(start, steps, lambda identity: self.get_table_as_dict(":".join(identity)), anchor)
        return (flatten(names, row, columns) for row in joined)

    def denormalize_as_dataframe(
        self, include_tables: Iterable[str], version: object = None, *, joins: Iterable[str] = (), **extras: object
    ) -> pandas.DataFrame:
        """
        The same as a pandas frame.

        Raises:
            DerivaMLException: pandas is not installed. As `denormalize_as_dict`.
        """
        try:
            import pandas as pd  # a model without frames must not pay for it
        except ImportError as err:
            raise DerivaMLException("denormalize_as_dataframe needs pandas: type `uv add pandas`") from err
        ignore_extras("denormalize_as_dataframe", extras, ("include_tables", "version", "joins"))
        wanted = names_of(include_tables)
        return pd.DataFrame(
            self.denormalize_as_dict(wanted, version, joins=joins), columns=self._joined_columns(wanted)
        )

    def as_numpy(self, include_tables: Iterable[str], *, joins: Iterable[str] = ()) -> dict[str, Any]:
        """The joined tables as NumPy arrays, by column."""
        from deriva_ml_core.datasets.adapters import as_arrays

        wanted = names_of(include_tables)
        return as_arrays(self.denormalize_as_dict(wanted, joins=joins), self._joined_columns(wanted))

    def as_hf_dataset(self, include_tables: Iterable[str], *, joins: Iterable[str] = ()) -> Any:
        """The joined tables as a Dataset of the library `datasets`, where it is installed."""
        from deriva_ml_core.datasets.adapters import as_hf_dataset

        wanted = names_of(include_tables)
        return as_hf_dataset(self.denormalize_as_dict(wanted, joins=joins), self._joined_columns(wanted))

    # --- files ---

    def restructure_assets(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        output_dir: str | Path,
        asset_table: str | None = None,
        group_by: Iterable[str] | None = None,
        use_symlinks: bool = True,
        type_selector: TypeSelector | None = None,
        type_to_dir_map: Mapping[str, str] | None = None,
        enforce_vocabulary: bool = True,
        value_selector: Selector | None = None,
    ) -> Path:
        """
        The files as <output_dir>/<dataset type>/<value>/.../<file>, as training frameworks read them; `output_dir`.

        Args:
            asset_table: without it, the one that has members here.
            group_by: columns of the asset table, features ("Quality") or columns of features ("Quality.Score"); a
                folder level for each. What a file has no value of is Unknown.
            use_symlinks: links to the bag's files instead of copies.
            type_selector: chooses one of a dataset's types; by default the first that has a folder.
            type_to_dir_map: folders of types, beside training, testing, validation, unknown.
            enforce_vocabulary: only features whose values are terms, and no guess among several different values.
            value_selector: chooses one of several values of a feature (FeatureRecord.select_newest).

        Raises:
            DerivaMLValidationError: neither column nor feature; several values, and nothing chooses. Nothing was made.
            DerivaMLException: files are not in the bag. Nothing was made.
        """
        from deriva_ml_core.datasets.restructure import Grouping, restructure

        return restructure(
            cast("DatasetBag", self),
            Path(output_dir),
            asset_table,
            Grouping(tuple(names_of(group_by)), enforce_vocabulary, value_selector),
            use_symlinks=use_symlinks,
            type_selector=type_selector,
            type_folders=type_to_dir_map,
        )

    def as_samples(
        self,
        asset_table: str | None = None,
        label: str | None = None,
        *,
        value_selector: Selector | None = None,
        **options: Any,
    ) -> Samples:
        """
        (file, label) of each asset of this dataset and of those nested in it, as a sequence.

        Args:
            label: a column of the asset table, a feature, or a column of a feature ("Quality.Score").
            options: loader, transform, target_transform: see adapters.Samples.
        """
        from deriva_ml_core.datasets.adapters import samples

        return samples(cast("DatasetBag", self), asset_table, label, _label(label, value_selector), **options)

    def as_torch_dataset(
        self,
        asset_table: str | None = None,
        label: str | None = None,
        *,
        value_selector: Selector | None = None,
        **options: Any,
    ) -> Any:
        """
        The same as a torch.utils.data.Dataset.

        Raises:
            DerivaMLException: torch is not installed.
        """
        from deriva_ml_core.datasets.adapters import torch_samples

        return torch_samples(cast("DatasetBag", self), asset_table, label, _label(label, value_selector), **options)

    def is_asset_table(self, table: str) -> bool:
        """Whether rows of a table describe files."""
        return self._model[self._identity(table)].is_asset

    def table_columns(self, table: str) -> list[str]:
        """Names of a table's columns."""
        return list(self._model[self._identity(table)].columns)

    def reached_rows(self, table: str, recurse: bool = False) -> Iterator[Row]:
        """
        Rows of a table that belong to this dataset, each once, sorted by RID: its members, where the table has
        members in this bag; else what is joined to its members. With `recurse`, of the nested datasets too.
        """
        identity = self._identity(table)
        members = self._member_rids(recurse)
        if identity in self._member_tables():
            rids = members.get(identity, set())
        else:
            rids = set()
            for element, own in members.items():
                rids |= self._joined_rids(element, own, identity)
        return (row for row in self.get_table_as_dict(":".join(identity)) if row["RID"] in rids)

    # --- inside ---

    def _identity(self, table: str) -> TableId:
        found = self._table(str(table))
        return (found.schema, found.name)

    def _identities(self, names: Iterable[str]) -> dict[TableId, str]:
        """Tables -> the names that the user gave them, each once, in their order."""
        return {self._identity(name): str(name) for name in names_of(names)}

    def _joined_columns(self, include_tables: Iterable[str]) -> list[str]:
        return [
            f"{name}.{column}"
            for identity, name in self._identities(include_tables).items()
            for column in shown_columns(self._model[identity].columns)
        ]

    def _member_tables(self) -> list[TableId]:
        found = [self._identity(name) for name, *_ in self._element_links()]
        return [identity for identity in found if identity != (ML_SCHEMA, DATASET)]

    def _member_rids(self, recurse: bool) -> dict[TableId, set[str]]:
        datasets = {self.dataset_rid, *(self._below(self.dataset_rid) if recurse else ())}
        found: dict[TableId, set[str]] = {}
        for name, link, dataset_column, member_column in self._element_links():
            identity = self._identity(name)
            if identity != (ML_SCHEMA, DATASET):
                found[identity] = {row[member_column] for row in link.rows() if row[dataset_column] in datasets}
        return found

    def _joined_rids(self, element: TableId, rids: set[str], wanted: TableId) -> set[str]:
        steps = plan_joins(self._model, [element, wanted], ML_SCHEMA) if rids else []
        start = (row for row in self.get_table_as_dict(":".join(element)) if row["RID"] in rids)
        joined = join_rows(start, steps, lambda identity: self.get_table_as_dict(":".join(identity)), element)
        return {row["RID"] for one in joined if (row := one.get(wanted)) is not None}

    def _anchor(self, wanted: Sequence[TableId]) -> TableId:
        """Where rows start: of the tables with members, the one from which foreign keys lead to the other ones."""
        if not wanted:
            raise DerivaMLValidationError("include_tables is empty: name the tables to join")
        with_members = [identity for identity in wanted if identity in self._member_tables()]
        for identity in with_members:
            key_targets = {(key.schema, key.table) for key in self._model[identity].foreign_keys}
            if len(with_members) > 1 and key_targets >= set(with_members) - {identity}:
                return identity
        return (with_members or wanted)[0]

    def _name_of(self, table: str | Table) -> str:
        name = str(table)
        self.get_table_as_dict(name)  # refuses a name that the bag has not got
        return name

    @cached_property
    def _model(self) -> dict[tuple[str, str], Table]:
        """Its tables as the catalog describes them."""
        document = json.loads((self.path / SCHEMA).read_text(encoding="utf-8"))
        return {(table.schema, table.name): table for table in read_tables(document["schemas"])}

    @cached_property
    def _features(self) -> list[Feature]:
        return list(features_of(self._model, ML_SCHEMA))

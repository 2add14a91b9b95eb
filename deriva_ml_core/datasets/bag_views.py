"""What a DatasetBag shows beyond its tables and members: features, joined tables, folders of files, arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog.tables import Table, read_tables
from deriva_ml_core.datasets.features import Feature, features_of, find_feature
from deriva_ml_core.datasets.layout import SCHEMA
from deriva_ml_core.schema.generations import ML_SCHEMA

if TYPE_CHECKING:
    from deriva_ml_core.datasets.feature_records import FeatureRecord, Selector

Row = dict[str, Any]


class BagViews:
    """Mixin of DatasetBag."""

    path: Path
    dataset_rid: str

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

    # --- inside ---

    def get_table_as_dict(self, table: str) -> Iterator[Row]:
        """Of DatasetBag."""
        raise NotImplementedError

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

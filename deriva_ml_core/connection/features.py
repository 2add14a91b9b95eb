"""The part of DerivaML that knows features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.datasets.feature_records import FeatureRecord, Selector
    from deriva_ml_core.datasets.features import Feature
    from deriva_ml_core.schema.elements import ColumnDef


class FeatureMethods(HasSession):
    """Mixin of DerivaML."""

    def create_feature(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        target_table: str | Table,
        feature_name: str,
        terms: Iterable[str | Table] | None = None,
        assets: Iterable[str | Table] | None = None,
        metadata: Iterable[ColumnDef | Mapping[str, Any] | str | Table] | None = None,
        optional: Iterable[str] | None = None,
        comment: str = "",
        update_navbar: bool = True,
    ) -> type[FeatureRecord]:
        """
        Define a feature of a table; the class of its records. See `datasets.features.create_feature`.

        Args:
            terms: vocabularies; assets: asset tables; metadata: further columns or tables.
            optional: names of columns that may be left empty.

        Raises:
            DerivaMLTableTypeError: a table is not of the kind, or the feature is there already.
            DerivaMLValidationError: it would have no columns, or twice the same.

        Example:
            >>> from deriva_ml import ColumnDefinition
            >>> Sharpness = ml.create_feature(
            ...     "Image", "Sharpness", metadata=[ColumnDefinition("Value", "float8", nullok=False)]
            ... )
            >>> Sharpness.__name__
            'ImageFeatureSharpness'
        """
        from deriva_ml_core.datasets.features import create_feature
        from deriva_ml_core.datasets.names import names_of

        del update_navbar  # Chaise finds new tables by itself
        made = create_feature(
            self.session,
            target_table,
            str(feature_name),
            terms=names_of(terms),
            assets=names_of(assets),
            metadata=names_of(metadata),
            optional=names_of(optional),
            comment=comment,
        )
        return made.feature_record_class()

    def feature_record_class(self, table: str | Table, feature_name: str) -> type[FeatureRecord]:
        """
        The class of a feature's records: a field for each column.

        Raises:
            DerivaMLNotFoundError: no such feature; the message has those there are.
        """
        return self.lookup_feature(table, feature_name).feature_record_class()

    def lookup_feature(self, table: str | Table, feature_name: str) -> Feature:
        """
        The feature of this name of a table.

        Raises:
            DerivaMLNotFoundError: no such feature; the message has those there are.
        """
        from deriva_ml_core.datasets.features import lookup_feature

        return lookup_feature(self.session, table, feature_name)

    def find_features(self, table: str | Table | None = None) -> list[Feature]:
        """The features of a table, or of all tables."""
        from deriva_ml_core.datasets.features import find_features

        return find_features(self.session, table)

    def list_feature_values(
        self, table: str | Table, feature_name: str, selector: Selector | None = None
    ) -> Iterator[FeatureRecord]:
        """
        Values of a feature, streamed; with a selector (`FeatureRecord.select_newest`) one for each row.

        Raises:
            DerivaMLNotFoundError: no such feature.
        """
        from deriva_ml_core.datasets.feature_values import list_feature_values

        return list_feature_values(self.session, table, feature_name, selector)

    def delete_feature(self, table: str | Table, feature_name: str) -> bool:
        """Delete a feature with all its values; False where there was none."""
        from deriva_ml_core.datasets.features import delete_feature

        return delete_feature(self.session, table, feature_name)

"""
Features: what executions say about rows of a table - labels, scores, masks - and how they are defined.

A feature is a table: `Execution_<Target>_<Feature_Name>`, beside its target. Each of its rows is one value: the row
that it is about (a column called like the target), the execution that said it, and columns for terms, assets and plain
values. Its column Feature_Name has the feature's name for default, by which it is known.
Source: deriva-ml's user guide, "Features" (a feature is an association table with these columns).

Several executions may say different things of one row, and one execution several things, unless it is twice the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deriva_ml_core.catalog.tables import Column, Table
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLTableTypeError, DerivaMLValidationError, nearest
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS, ColumnDef, ForeignKeyDef, TableDef
from deriva_ml_core.schema.tables import create_tables

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import CatalogModel, TableName
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.feature_records import FeatureRecord

EXECUTION, FEATURE_NAME = "Execution", "Feature_Name"
_FORMAL = frozenset({*SYSTEM_COLUMNS, EXECUTION, FEATURE_NAME})


@dataclass(frozen=True, slots=True)
class Feature:
    """
    One feature.

    Attributes:
        feature_table: the table of its values.
        target_table: the table that it is about; `target_column` holds the target's RID.
        feature_name: the term of Feature_Name.
        references: its columns that hold a term's name or an asset's RID -> the vocabulary or asset table.
    """

    feature_table: Table
    target_table: Table
    target_column: str
    feature_name: str
    references: Mapping[str, Table] = field(compare=False, hash=False)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns that say something of the target: terms, assets, values."""
        formal = {*_FORMAL, self.target_column}
        return tuple(column for name, column in self.feature_table.columns.items() if name not in formal)

    @property
    def term_columns(self) -> tuple[Column, ...]:
        """Those that hold names of terms."""
        return tuple(column for column in self.feature_columns if self._refers_to(column, "is_vocabulary"))

    @property
    def asset_columns(self) -> tuple[Column, ...]:
        """Those that hold RIDs of assets."""
        return tuple(column for column in self.feature_columns if self._refers_to(column, "is_asset"))

    @property
    def value_columns(self) -> tuple[Column, ...]:
        """Those that hold plain values."""
        others = (*self.term_columns, *self.asset_columns)
        return tuple(column for column in self.feature_columns if column not in others)

    def feature_record_class(self) -> type[FeatureRecord]:
        """A class with a field for each column: make its objects and give them to `Execution.add_features`."""
        from deriva_ml_core.datasets.feature_records import record_class  # loads pydantic

        return record_class(self)

    def _refers_to(self, column: Column, kind: str) -> bool:
        table = self.references.get(column.name)
        return table is not None and bool(getattr(table, kind))


def features_of(tables: Mapping[tuple[str, str], Table], ml_schema: str) -> Iterator[Feature]:
    """The features among these tables (of a catalog or of a bag), by target and name."""
    found = (_as_feature(table, tables, ml_schema) for table in tables.values())
    known = (feature for feature in found if feature is not None)
    yield from sorted(known, key=lambda feature: (feature.target_table.name, feature.feature_name))


def find_feature(features: Iterable[Feature], table_name: str, feature_name: str, where: str) -> Feature:
    """
    The feature of this name of this table.

    Args:
        where: "the catalog" or which bag, for the message.

    Raises:
        DerivaMLNotFoundError: there is none; the text has those there are.
    """
    names = []
    for feature in features:
        if table_name in (feature.target_table.name, str(feature.target_table)):
            if feature.feature_name == feature_name:
                return feature
            names.append(feature.feature_name)
    there = f"it has {', '.join(names)}" if names else "it has none"
    raise DerivaMLNotFoundError(
        f"table {table_name} has no feature {feature_name!r} in {where}{nearest(feature_name, names)}; {there}"
    )


def find_features(session: CatalogSession, table: TableName | None = None) -> list[Feature]:
    """
    The features of a table, or of all tables.

    Raises:
        DerivaMLTableNotFound: no such table.
    """
    model = session.model
    target = None if table is None else model.table(table)
    return [
        feature
        for feature in features_of(model.tables, model.ml_schema)
        if target is None or (feature.target_table.schema, feature.target_table.name) == (target.schema, target.name)
    ]


def lookup_feature(session: CatalogSession, table: TableName, feature_name: str) -> Feature:
    """
    The feature of this name of this table.

    Raises:
        DerivaMLTableNotFound: no such table. DerivaMLNotFoundError: it has no such feature.
    """
    target = session.model.table(table)
    return find_feature(find_features(session, target), target.name, str(feature_name), "the catalog")


def create_feature(
    session: CatalogSession,
    target_table: TableName,
    feature_name: str,
    *,
    terms: Iterable[TableName] = (),
    assets: Iterable[TableName] = (),
    metadata: Iterable[ColumnDef | Mapping[str, Any] | TableName] = (),
    optional: Iterable[str] = (),
    comment: str = "",
) -> Feature:
    """
    Define a feature: its table, and the term of Feature_Name where that is not there yet.

    Args:
        terms: vocabularies; a value has one term of each, in a column called like the vocabulary.
        assets: asset tables; a value has one asset of each, in a column called like the table.
        metadata: further columns; a table (or its name) is a reference to its rows.
        optional: names of columns that may be left empty.

    Raises:
        DerivaMLTableTypeError: a table is not of the kind, or the feature is there already.
        DerivaMLValidationError: it would have no columns, or twice the same, or `optional` names another.
    """
    model = session.model
    target = model.table(target_table)
    place = target.schema if target.schema != model.ml_schema else model.default_schema or model.ml_schema
    name = f"Execution_{target.name}_{feature_name.replace(' ', '_')}"
    columns, keys = _value_columns(
        model, name, terms=terms, assets=assets, metadata=metadata, optional=frozenset(optional)
    )
    document = _definition(model, target, name, feature_name, columns=columns, keys=keys, comment=comment)
    if (place, name) in model.tables:
        raise DerivaMLTableTypeError(f"table {target.name} has a feature {feature_name!r} already ({place}:{name})")
    vocabulary = model.ml_table(FEATURE_NAME)
    session.vocabularies.add(vocabulary, feature_name, comment or f"A feature of {target.name}")
    create_tables(session, place, [document])
    return lookup_feature(session, (target.schema, target.name), feature_name)


def delete_feature(session: CatalogSession, table: TableName, feature_name: str) -> bool:
    """
    Delete a feature with all its values; False where there was none. Its name stays a term: other tables may use it.

    Released versions of datasets keep the values: they are in their snapshots.

    Raises:
        DerivaMLTableNotFound: no such table.
    """
    known = [feature for feature in find_features(session, table) if feature.feature_name == feature_name]
    if not known:
        return False
    found = known[0].feature_table
    session.delete(f"/schema/{quote(found.schema, safe='')}/table/{quote(found.name, safe='')}")
    session.forget_model()
    return True


# --- inside ---


def _as_feature(table: Table, tables: Mapping[tuple[str, str], Table], ml_schema: str) -> Feature | None:
    name = table.columns.get(FEATURE_NAME)
    targets = {
        key.columns[0]: (key.schema, key.table)
        for key in table.foreign_keys
        if len(key.columns) == 1 and key.columns[0] in table.columns
    }
    executes = targets.pop(EXECUTION, None) == (ml_schema, EXECUTION)
    if name is None or not name.default or not executes or targets.pop(FEATURE_NAME, None) is None:
        return None
    references = {column: tables[place] for column, place in targets.items() if place in tables}
    column = _target_column(table, references)
    if column is None:
        return None
    about = references.pop(column)
    return Feature(table, about, column, str(name.default), references)


def _target_column(table: Table, references: Mapping[str, Table]) -> str | None:
    """The column of the row that the value is about: the table's name says so, where several could be."""
    possible = {column: far for column, far in references.items() if not far.is_vocabulary}
    named = [column for column, far in possible.items() if table.name.startswith(f"{EXECUTION}_{far.name}_")]
    fitting = sorted(named, key=lambda column: len(possible[column].name)) or list(possible)
    return fitting[-1] if named or len(possible) == 1 else None


def _value_columns(
    model: CatalogModel,
    name: str,
    *,
    terms: Iterable[TableName],
    assets: Iterable[TableName],
    metadata: Iterable[ColumnDef | Mapping[str, Any] | TableName],
    optional: frozenset[str],
) -> tuple[list[ColumnDef], list[ForeignKeyDef]]:
    columns: list[ColumnDef] = []
    keys: list[ForeignKeyDef] = []

    def refer(table: Table, to: str) -> None:
        columns.append(ColumnDef(table.name, "text", table.name in optional, None, table.comment))
        keys.append(patterns.foreign_key(name, table.name, table.schema, table.name, to=to))

    for vocabulary in (model.table(term) for term in terms):
        if not vocabulary.is_vocabulary:
            raise DerivaMLTableTypeError(f"terms: table {vocabulary} is not a vocabulary")
        refer(vocabulary, vocabulary.column("Name").name)
    for asset in assets:
        refer(model.asset_table(asset), "RID")
    for extra in metadata:
        column = _plain_column(extra)
        if column is None:
            refer(model.table(extra), "RID")  # type: ignore[arg-type]  # no column, so the name of a table
        else:
            nullok = column.nullok or column.name in optional
            columns.append(ColumnDef(column.name, column.type, nullok, column.default, column.comment))
    if unknown := sorted(optional - {column.name for column in columns}):
        names = [column.name for column in columns]
        raise DerivaMLValidationError(f"optional: no column {unknown[0]!r}{nearest(unknown[0], names)}")
    return columns, keys


def _plain_column(entry: ColumnDef | Mapping[str, Any] | TableName) -> ColumnDef | None:
    if isinstance(entry, ColumnDef):
        return entry
    if isinstance(entry, Mapping):
        kind = entry.get("type", "text")
        type_name = kind["typename"] if isinstance(kind, Mapping) else str(kind)
        return ColumnDef(
            entry["name"], type_name, entry.get("nullok", True), entry.get("default"), entry.get("comment")
        )
    return None


def _definition(
    model: CatalogModel,
    target: Table,
    name: str,
    feature_name: str,
    *,
    columns: list[ColumnDef],
    keys: list[ForeignKeyDef],
    comment: str,
) -> TableDef:
    if not columns:
        raise DerivaMLValidationError(f"feature {feature_name!r} would have no value: give terms, assets or metadata")
    formal = (
        ColumnDef(EXECUTION, "text", False, None, "The execution that said it"),
        ColumnDef(target.name, "text", False, None, f"The {target.name} that it is about"),
        ColumnDef(FEATURE_NAME, "text", False, feature_name, "The feature's name"),
    )
    names = [column.name for column in (*formal, *columns)]
    if twice := sorted({column for column in names if names.count(column) > 1 or column in SYSTEM_COLUMNS}):
        raise DerivaMLValidationError(f"feature {feature_name!r} would have the column {', '.join(twice)} twice")
    said = [column for key in keys for column in key.columns]
    ends = (
        patterns.foreign_key(name, EXECUTION, model.ml_schema, EXECUTION, cascade=True),
        patterns.foreign_key(name, target.name, target.schema, target.name, cascade=True),
        patterns.foreign_key(name, FEATURE_NAME, model.ml_schema, FEATURE_NAME, to="Name", cascade=True),
    )
    return TableDef(
        name,
        comment=comment or f"Values of the feature {feature_name} of {target.name}",
        columns=(*formal, *columns),
        keys=((EXECUTION, target.name, FEATURE_NAME, *said),),
        foreign_keys=(*ends, *keys),
    )

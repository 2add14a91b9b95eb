"""Values of features in the catalog: thousands stored in a few requests, after all of them were checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.values import json_value, value_fault
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.feature_records import FeatureRecord, records_of, select_each
from deriva_ml_core.datasets.features import EXECUTION, FEATURE_NAME, Feature, lookup_feature
from deriva_ml_core.errors import DerivaMLInvalidTerm, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table, TableName
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.feature_records import Selector

# RIDs in URLs, some hundred at a time; beyond this many, one look at all RIDs of the table costs less.
_MANY = 2_000
_TOLD = 10


def add_features(session: CatalogSession, records: Iterable[FeatureRecord], execution_rid: str) -> int:
    """
    Store values of whatever features; how many were new (what the execution has said already is left as it is).

    Raises:
        DerivaMLValidationError: a row, a term or an asset is not there, or a value is of a wrong type; each is named,
            and nothing was stored.
    """
    checked = check_features(session, records, execution_rid)
    stored = 0
    for feature, values in checked:
        stored += len(rows.insert(session, feature.feature_table, values, skip_existing=True))
    return stored


def check_features(
    session: CatalogSession, records: Iterable[FeatureRecord], execution_rid: str
) -> list[tuple[Feature, list[dict[str, Any]]]]:
    """
    The rows to be stored, by feature; nothing is.

    Raises:
        DerivaMLValidationError: as `add_features`.
    """
    grouped: dict[tuple[str, str], tuple[Feature, list[FeatureRecord]]] = {}
    for record in records:
        table = _feature_of(record).feature_table
        grouped.setdefault((table.schema, table.name), (record.feature, []))[1].append(record)
    checked = [(feature, [_row(feature, one, execution_rid) for one in some]) for feature, some in grouped.values()]
    for feature, values in checked:
        _refuse(feature, _problems(session, feature, values))
    return checked


def list_feature_values(
    session: CatalogSession, table: TableName, feature_name: str, selector: Selector | None = None
) -> Iterator[FeatureRecord]:
    """
    Values of a feature, streamed; with a selector one for each row that it is about, chosen among all.

    Raises:
        DerivaMLNotFoundError: no such feature.
    """
    feature = lookup_feature(session, table, feature_name)
    return iter(select_each(records_of(feature, rows.select(session, feature.feature_table)), selector))


# --- inside ---


def _feature_of(record: FeatureRecord) -> Feature:
    feature: Feature | None = getattr(record, "feature", None)
    if feature is None:
        raise DerivaMLValidationError(
            f"{type(record).__name__} is no record of a feature: make them with feature_record_class(table, name)"
        )
    return feature


def _row(feature: Feature, record: FeatureRecord, execution_rid: str) -> dict[str, Any]:
    names = [column.name for column in feature.feature_columns]
    values = {name: getattr(record, name) for name in names}
    for column in feature.asset_columns:
        if isinstance(values[column.name], Path):
            values[column.name] = _asset_rid(values[column.name])
    return {
        EXECUTION: execution_rid,
        FEATURE_NAME: feature.feature_name,
        feature.target_column: rows.normal_rid(record.target_rid),
        **{name: json_value(value) for name, value in values.items()},
    }


def _asset_rid(path: Path) -> str:
    rid = getattr(path, "asset_rid", None)
    if rid is None:
        raise DerivaMLValidationError(
            f"the file {path} is no asset of the catalog yet: call upload_execution_outputs first, then add the "
            "features with the paths that it returns"
        )
    return str(rid)


def _problems(session: CatalogSession, feature: Feature, values: Sequence[dict[str, Any]]) -> Iterator[str]:
    absent = _absent(session, feature.target_table, (row[feature.target_column] for row in values))
    yield from (f"no row of {feature.target_table.name}: {rid}" for rid in absent)
    for column, far in feature.references.items():
        said = {row[column] for row in values if row[column] is not None}
        if far.is_vocabulary:
            yield from _wrong_terms(session, far, column, values)
        else:
            yield from (f"no row of {far.name}: {rid}" for rid in _absent(session, far, said))
    for column_def in feature.value_columns:
        for row in values:
            if fault := value_fault(row[column_def.name], column_def.type):
                yield f"{row[feature.target_column]}: {column_def.name}: {fault}"


def _wrong_terms(
    session: CatalogSession, vocabulary: Table, column: str, values: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """Names of terms that there are none; a synonym is replaced by its term."""
    names: dict[str, str] = {}
    for said in sorted({row[column] for row in values if row[column] is not None}):
        try:
            names[said] = session.vocabularies.lookup(vocabulary, said).name
        except DerivaMLInvalidTerm as err:
            yield str(err)
    for row in values:
        row[column] = names.get(row[column], row[column])


def _absent(session: CatalogSession, table: Table, rids: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(rids))
    if len(wanted) > _MANY:
        there = {row["RID"] for row in rows.select(session, table, columns=["RID"])}
    else:
        there = set(rows.select_by_rids(session, table, wanted, columns=["RID"])) if wanted else set()
    return [rid for rid in wanted if rid not in there]


def _refuse(feature: Feature, problems: Iterable[str]) -> None:
    told = list(problems)
    if told:
        more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
        raise DerivaMLValidationError(f"feature {feature.feature_name}: nothing stored", [*told[:_TOLD], *more])

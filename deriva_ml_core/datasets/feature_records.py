"""
FeatureRecord: one value of a feature, checked when it is made, and how one is chosen among several.

    Diagnosis = ml.feature_record_class("Image", "Diagnosis")
    execution.add_features([Diagnosis(Image=rid, Diagnosis_Type="Normal") for rid in ...])
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from deriva_ml_core.assets.specs import describe_invalid
from deriva_ml_core.errors import DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.tables import Column
    from deriva_ml_core.datasets.features import Feature

Selector = Callable[[list["FeatureRecord"]], "FeatureRecord"]

_KINDS: Mapping[str, Any] = {
    "boolean": bool,
    **dict.fromkeys(("int2", "int4", "int8", "serial2", "serial4", "serial8"), int),
    **dict.fromkeys(("float4", "float8", "numeric"), float),
    **dict.fromkeys(("text", "longtext", "markdown"), str),
}

_NEVER = datetime.min.replace(tzinfo=UTC)


class FeatureRecord(BaseModel):
    """
    One value; `feature_record_class` makes the class of each feature, with its columns as fields.

    Attributes:
        Execution: RID of the execution that said it; `add_features` sets it.
        RID, RCT: of the stored row; None before.

    Raises:
        DerivaMLValidationError: a field is missing, unknown or of a wrong type.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), frozen=False)

    feature: ClassVar[Feature]

    Execution: str | None = None
    Feature_Name: str | None = None
    RID: str | None = None
    RCT: str | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as err:
            said = describe_invalid(values, err, type(self).model_fields)
            raise DerivaMLValidationError(f"{type(self).__name__}: {said}") from err

    @classmethod
    def feature_columns(cls) -> tuple[Column, ...]:
        """The columns that say something: terms, assets, values."""
        return cls.feature.feature_columns

    @property
    def target_rid(self) -> str:
        """RID of the row that it is about."""
        return str(getattr(self, self.feature.target_column))

    # --- one of several: give these as `selector` or `value_selector` ---

    @staticmethod
    def select_newest(records: Sequence[FeatureRecord]) -> FeatureRecord:
        """The one that was stored last."""
        return max(records, key=_stored)

    select_latest = select_newest

    @staticmethod
    def select_first(records: Sequence[FeatureRecord]) -> FeatureRecord:
        """The one that was stored first."""
        return min(records, key=_stored)

    @staticmethod
    def select_by_execution(execution_rid: str) -> Selector:
        """A selector for the newest that an execution has said; any other record is passed over."""

        def select(records: list[FeatureRecord]) -> FeatureRecord:
            own = [record for record in records if record.Execution == execution_rid]
            if not own:
                raise DerivaMLValidationError(
                    f"{records[0].target_rid} has no value of {records[0].feature.feature_name} "
                    f"from execution {execution_rid}"
                )
            return FeatureRecord.select_newest(own)

        return select

    @staticmethod
    def select_majority_vote(column: str) -> Selector:
        """A selector for the value that occurs most often in a column; of equally many, the one stored first."""

        def select(records: list[FeatureRecord]) -> FeatureRecord:
            in_order = sorted(records, key=_stored)
            winner, _ = Counter(str(getattr(record, column)) for record in in_order).most_common(1)[0]
            return next(record for record in in_order if str(getattr(record, column)) == winner)

        return select


def record_class(feature: Feature) -> type[FeatureRecord]:
    """The class of a feature's records."""
    name = f"{feature.target_table.name}Feature{feature.feature_name.replace(' ', '')}"
    fields: dict[str, Any] = {
        "Feature_Name": (str, feature.feature_name),
        feature.target_column: (str, ...),
        **{column.name: _field(feature, column) for column in feature.feature_columns},
    }
    with warnings.catch_warnings():
        # A column may be called like something of pydantic's ("schema", "copy"): as a field it does what it should.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        made: type[FeatureRecord] = create_model(name, __base__=FeatureRecord, **fields)
    made.feature = feature
    return made


def records_of(feature: Feature, rows: Iterable[Mapping[str, Any]]) -> Iterable[FeatureRecord]:
    """Records of stored rows; what the catalog holds is not checked again."""
    made = feature.feature_record_class()
    fields = made.model_fields.keys()
    for row in rows:
        yield made.model_construct(**{name: value for name, value in row.items() if name in fields})


def select_each(records: Iterable[FeatureRecord], selector: Selector | None) -> Iterable[FeatureRecord]:
    """One record for each target, by the selector; all of them without one."""
    if selector is None:
        yield from records
        return
    grouped: dict[str, list[FeatureRecord]] = {}
    for record in records:
        grouped.setdefault(record.target_rid, []).append(record)
    for several in grouped.values():
        yield selector(several)


def _field(feature: Feature, column: Column) -> tuple[Any, Any]:
    kind: Any = _KINDS.get(column.type, Any)
    if column in feature.asset_columns:
        kind = str | Path
    return (
        (kind | None, column.default) if column.nullok and kind is not Any else (kind, ... if _must(column) else None)
    )


def _must(column: Column) -> bool:
    return not column.nullok and column.default is None


def _stored(record: FeatureRecord) -> datetime:
    return datetime.fromisoformat(record.RCT) if record.RCT else _NEVER

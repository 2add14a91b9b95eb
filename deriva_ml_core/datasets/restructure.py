"""
The files of a bag as a tree of folders, as training frameworks read them.

    <output>/<type of the dataset>/<value>/.../<file>

Each file lies where its dataset says (the most deeply nested one that has it: Training, Testing, ...), and below that
in a folder for each thing that it is grouped by. What a file has no value of is Unknown. Files that would have the same
path get their RID before their name.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.cache import folder_errors
from deriva_ml_core.assets.names import safe_file_name
from deriva_ml_core.errors import (
    DerivaMLException,
    DerivaMLNotFoundError,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
    nearest,
)

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.feature_records import FeatureRecord, Selector
    from deriva_ml_core.datasets.features import Feature

UNKNOWN = "Unknown"
TYPE_FOLDERS: Mapping[str, str] = {
    "Training": "training",
    "Testing": "testing",
    "Validation": "validation",
    UNKNOWN: "unknown",
}

TypeSelector = Callable[[list[str]], str]


@dataclass(frozen=True, slots=True)
class Grouping:
    """
    How files are grouped.

    Args:
        by: columns of the asset table, features ("Quality") or columns of features ("Quality.Score").
        enforce_vocabulary: only features whose values are terms, and no guess among several different values.
        value_selector: chooses one of several values of a feature.
        parameter: what the user calls `by`, for messages.
    """

    by: Sequence[str] = ()
    enforce_vocabulary: bool = True
    value_selector: Selector | None = None
    parameter: str = "group_by"


def asset_table_of(bag: DatasetBag, asset_table: str | None) -> str:
    """
    The asset table that is meant; without a name the one that has members here.

    Raises:
        DerivaMLTableNotFound: no such table. DerivaMLTableTypeError: not an asset table.
        DerivaMLValidationError: none has members here, or several have.
    """
    if asset_table is not None:
        name = str(asset_table)
        if not bag.is_asset_table(name):
            raise DerivaMLTableTypeError(f"table {name} of the bag is not an asset table")
        return name
    members = bag.list_dataset_members(recurse=True)
    found = [name for name, rows in members.items() if rows and bag.is_asset_table(name)]
    if len(found) == 1:
        return found[0]
    what = f"several asset tables have members: {', '.join(found)}" if found else "no asset table has members"
    raise DerivaMLValidationError(f"dataset {bag.dataset_rid}: {what}; say which: asset_table=...")


def group_values(bag: DatasetBag, table: str, grouping: Grouping) -> Callable[[Mapping[str, Any]], list[Any]]:
    """
    A function from an asset's row to its values, one for each of `grouping.by`; None where it has none.

    A value has the type of its column: a number is a number.

    Raises:
        DerivaMLValidationError: neither column nor feature; or a feature that `enforce_vocabulary` does not allow.
    """
    readers = [_reader(bag, table, by, grouping) for by in grouping.by]
    return lambda row: [reader(row) for reader in readers]


def restructure(
    bag: DatasetBag,
    output_dir: Path,
    asset_table: str | None,
    grouping: Grouping,
    *,
    use_symlinks: bool = True,
    type_selector: TypeSelector | None = None,
    type_folders: Mapping[str, str] | None = None,
) -> Path:
    """
    Make the tree; `output_dir`.

    Raises:
        DerivaMLException: files are not in the bag (it was downloaded without them). Nothing was made.
        DerivaMLValidationError: as `asset_table_of` and `group_values` say; a file has several values.
        WorkingFolderError: `output_dir` can't be written.
    """
    table = asset_table_of(bag, asset_table)
    values = group_values(bag, table, grouping)
    folders = {**TYPE_FOLDERS, **(type_folders or {})}
    select = type_selector or _known_type(folders)
    planned: dict[tuple[Path, str], Mapping[str, Any]] = {}
    for types, rows in _placed(bag, table):
        kind = _kind(select, types) if types else UNKNOWN
        top = _folder(folders.get(kind, kind.lower()))
        planned |= {(Path(top, *map(_folder, values(row))), row["RID"]): row for row in rows}
    absent = [rid for (_, rid), row in planned.items() if not Path(str(row["Filename"])).is_file()]
    if absent:
        raise DerivaMLException(
            f"dataset {bag.dataset_rid}: {len(absent)} file(s) of {table} are not in this bag "
            f"({', '.join(absent[:5])}): download it with materialize=True"
        )
    with folder_errors(output_dir):
        output_dir.mkdir(parents=True, exist_ok=True)
        for target, source in _distinct(planned):
            _place(source, output_dir / target, use_symlinks)
    return output_dir


# --- inside ---


def _placed(bag: DatasetBag, table: str) -> Iterable[tuple[list[str], list[dict[str, Any]]]]:
    """(types, rows) of the datasets that have the assets: a row that a nested dataset has is not the outer one's."""
    below = bag.list_dataset_children()
    nested: set[str] = set()
    for child in below:
        for types, rows in _placed(child, table):
            nested.update(row["RID"] for row in rows)
            yield types, rows
    own = [row for row in bag.reached_rows(table) if row["RID"] not in nested]
    if own:
        yield bag.dataset_types, own


def _kind(select: TypeSelector, types: list[str]) -> str:
    kind: object = select(types)
    if not isinstance(kind, str):
        raise DerivaMLValidationError(f"type_selector gave {kind!r} for {types}: it must give the name of a type")
    return kind


def _known_type(folders: Mapping[str, str]) -> TypeSelector:
    return lambda types: next((kind for kind in types if kind in folders), types[0])


def _reader(bag: DatasetBag, table: str, by: str, grouping: Grouping) -> Callable[[Mapping[str, Any]], Any]:
    columns = bag.table_columns(table)
    if by in columns:
        return lambda row: _value(row.get(by))
    name, _, column = by.partition(".")
    try:
        feature = bag.lookup_feature(table, name)
    except DerivaMLNotFoundError:
        known = [*columns, *(one.feature_name for one in bag.find_features(table))]
        raise DerivaMLValidationError(
            f"{grouping.parameter}: {by!r} is neither a column nor a feature of {table}"
            f"{nearest(by, known) or '; there are ' + ', '.join(dict.fromkeys(known))}"
        ) from None
    column = _feature_column(feature, column, grouping)
    return _feature_reader(bag, feature, column, grouping)


def _feature_column(feature: Feature, column: str, grouping: Grouping) -> str:
    terms = [one.name for one in feature.term_columns]
    every = [one.name for one in feature.feature_columns]
    possible = terms if grouping.enforce_vocabulary else every
    if grouping.enforce_vocabulary and (not terms or (column in every and column not in terms)):
        raise DerivaMLValidationError(
            f"{grouping.parameter}: values of feature {feature.feature_name}{column and '.' + column} are no terms "
            "of a vocabulary; enforce_vocabulary=False takes them nevertheless"
        )
    if column in possible:
        return column
    if column or len(possible) != 1:
        choices = ", ".join(f"{feature.feature_name}.{name}" for name in possible)
        raise DerivaMLValidationError(
            f"{grouping.parameter}: which column of feature {feature.feature_name}"
            f"{' - not ' + repr(column) if column else ''}? "
            f"{choices}"
        )
    return possible[0]


def _feature_reader(
    bag: DatasetBag, feature: Feature, column: str, grouping: Grouping
) -> Callable[[Mapping[str, Any]], Any]:
    records: dict[str, list[FeatureRecord]] = {}
    for record in bag.list_feature_values(str(feature.target_table), feature.feature_name):
        records.setdefault(record.target_rid, []).append(record)

    def read(row: Mapping[str, Any]) -> Any:
        several = records.get(row["RID"], [])
        if several and grouping.value_selector is not None:
            several = [grouping.value_selector(several)]
        values = [_value(getattr(record, column)) for record in several]
        found = list({str(value): value for value in values}.values())  # a value may be a list, which has no hash
        if len(found) > 1 and grouping.enforce_vocabulary:
            raise DerivaMLValidationError(
                f"{feature.target_table.name} {row['RID']} has several values of {feature.feature_name}: "
                f"{', '.join(map(str, found))}; choose with value_selector, for example FeatureRecord.select_newest"
            )
        return found[0] if found else None

    return read


def _value(value: Any) -> Any:
    return None if value == "" else value


def _folder(value: Any) -> str:
    return safe_file_name(str(value), UNKNOWN) if value is not None else UNKNOWN


def _distinct(planned: Mapping[tuple[Path, str], Mapping[str, Any]]) -> Iterable[tuple[Path, Path]]:
    wanted = [(folder, Path(str(row["Filename"])), rid) for (folder, rid), row in planned.items()]
    times = Counter(_as_one(folder / source.name) for folder, source, _ in wanted)
    taken = {path for path, number in times.items() if number == 1}
    for folder, source, rid in wanted:
        target = folder / source.name
        if times[_as_one(target)] > 1:
            target = target.with_name(f"{rid}_{target.name}")
            while _as_one(target) in taken:  # somebody called a file so
                target = target.with_name(f"{rid}_{target.name}")
            taken.add(_as_one(target))
        yield target, source


def _as_one(path: Path) -> str:
    """The same for paths that some file system takes for one: by case, by composed and decomposed letters."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _place(source: Path, target: Path, use_symlinks: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of an earlier call
    if use_symlinks:
        target.symlink_to(os.path.abspath(source))  # noqa: PTH100  # resolve() would follow links of the cache
    else:
        shutil.copyfile(source, target)  # the contents alone: files of the cache can't be written to

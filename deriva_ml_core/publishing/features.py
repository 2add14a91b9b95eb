"""
Values of features: what the executions said of rows, and what others had said of the members of the datasets.

A value belongs to the execution that said it. Of an execution that is not published itself, and that labelled the
members of a dataset which is, the row and its workflow come along, so that the labels are there and say whose they are;
its files do not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.features import EXECUTION, Feature, find_features
from deriva_ml_core.publishing.runs import copy_runs
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.publishing.copying import Copier

Row = dict[str, Any]


def feature_tables(source: CatalogSession, executions: Collection[str], members: Iterable[Table]) -> list[Table]:
    """
    The tables of features that have values to copy.

    Args:
        members: tables whose rows are in the datasets.
    """
    about = {str(table) for table in members}
    return [
        feature.feature_table
        for feature in find_features(source)
        if str(feature.target_table) in about
        or any(rows.select(source, feature.feature_table, {EXECUTION: sorted(executions)}, limit=1))
    ]


def values_of_executions(source: CatalogSession, executions: Collection[str]) -> list[tuple[Feature, list[Row]]]:
    """What these executions said, feature by feature."""
    wanted = {EXECUTION: sorted(executions)}
    found = ((feature, list(rows.select(source, feature.feature_table, wanted))) for feature in find_features(source))
    return [(feature, values) for feature, values in found if values]


def copy_values_of_members(copier: Copier, at: CatalogSession, table: Table, members: Sequence[str]) -> None:
    """What was said, up to a moment, of rows of one table."""
    for feature in find_features(copier.source, table):
        if not at.model.has_table((feature.feature_table.schema, feature.feature_table.name)):
            continue  # defined later
        copy_values(copier, feature, list(rows.select(at, feature.feature_table, {feature.target_column: members})))


def copy_values(copier: Copier, feature: Feature, values: Sequence[Row]) -> None:
    """These values, with the rows and terms that they refer to; those that are there stay."""
    if not values:
        return
    copy_runs(copier, {row[EXECUTION] for row in values if copier.mapping.get(row[EXECUTION]) is None})
    copier.copy_references(feature.feature_table, values)
    there = copier.target_table(feature.feature_table)
    wanted = [copier.row(feature.feature_table, row) for row in values]
    known = rows.select(copier.target, there, {EXECUTION: sorted({row[EXECUTION] for row in wanted})})
    # A key does not hold for rows of which a column of it is empty, so we look ourselves.
    stored = {_content(row) for row in known}
    new = {text: row for row in wanted if (text := _content(row)) not in stored}
    copier.insert_new(there, list(new.values()))


def _content(row: Mapping[str, Any]) -> str:
    said = {name: value for name, value in row.items() if name not in SYSTEM_COLUMNS and value is not None}
    return json.dumps(said, sort_keys=True)

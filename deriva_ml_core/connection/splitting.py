"""
split_dataset: a dataset divided into datasets for training, testing and, where wanted, validation.

    Split                 the new parent
      Training            members of the source, each in at most one part
      Validation          with val_size
      Testing

All of it is made by one execution whose input is the source at one version. The members that are divided are those of
that version, with the values that they had then, so that the same split can be made again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.own_work import OwnWork
from deriva_ml_core.datasets.members import group_members
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.datasets.selection import (
    TESTING,
    TRAINING,
    VALIDATION,
    SelectionFunction,
    Size,
    Sizes,
    apply_selection,
    divide,
    divide_classes,
    find_column,
)
from deriva_ml_core.datasets.specs import DatasetSpec, as_dataset_spec
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.datasets.versions import DatasetVersion
    from deriva_ml_core.executions.execution import Execution

log = logging.getLogger(__name__)

Types = str | Iterable[str] | None
_MISSING = ("error", "drop", "include")
_WORK = OwnWork("Dataset split", "Divides a dataset into parts", "Dataset_Split", "Divides datasets")


class SplitResult(dict[str, str]):
    """
    "split", "training", "testing" and maybe "validation" -> RID of the new dataset; "" in a dry run.

    Attributes:
        counts: part -> number of members. description: what the split's parent says of itself.
    """

    def __init__(self, rids: Mapping[str, str], counts: Mapping[str, int], description: str) -> None:
        super().__init__(rids)
        self.counts, self.description = dict(counts), description


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be divided, and how."""

    test_size: Size
    train_size: Size | None
    val_size: Size | None
    shuffle: bool
    seed: int
    column: str | None
    missing: str
    include_tables: Sequence[str]
    function: SelectionFunction | None
    joins: Sequence[str] = field(default=())

    def strategy(self) -> str:
        if self.function is not None:
            return f"by {getattr(self.function, '__name__', 'a function')}, seed {self.seed}"
        if self.column:
            return f"stratified by {self.column}, seed {self.seed}"
        return f"random, seed {self.seed}" if self.shuffle else "in the order of RIDs"


def split_dataset(
    ml: DerivaML,
    source_dataset_rid: str,
    execution: Execution | None = None,
    *,
    test_size: Size = 0.2,
    train_size: Size | None = None,
    val_size: Size | None = None,
    shuffle: bool = True,
    seed: int = 42,
    stratify_by_column: str | None = None,
    stratify_missing: str = "error",
    split_description: str = "",
    training_types: Types = None,
    testing_types: Types = None,
    validation_types: Types = None,
    element_table: str | None = None,
    include_tables: Iterable[str] | None = None,
    joins: Iterable[str] = (),
    selection_fn: SelectionFunction | None = None,
    workflow_type: str = _WORK.workflow_type,
    dry_run: bool = False,
) -> SplitResult:
    """
    Divide the members of a dataset (and of those nested in it) into new datasets.

    Args:
        source_dataset_rid: "RID", or "RID@version"; without a version, the one that `execution` has as its input, else
            the current one. What the catalog says since that version takes no part.
        execution: the running execution that does it; without it, one of its own is made and ended.
        test_size, train_size, val_size: a fraction of all, or a number.
        shuffle: False takes the members in the order of their RIDs.
        seed: the same seed gives the same split of the same members.
        stratify_by_column: "Table.Column" of the joined `include_tables`: each part gets the proportions of the whole.
        stratify_missing: of members without a value: "error", "drop" them, or "include" them as a class of their own.
        training_types, testing_types, validation_types: further terms of Dataset_Type, as "Labeled".
        element_table: which members; needed where there are several kinds.
        include_tables, joins: see DatasetBag.denormalize_as_dict; the element table by default.
        selection_fn: divides a frame of the joined tables, one row a member; see selection.apply_selection.
        workflow_type: of the execution that is made; another than Dataset_Split must be a term of Workflow_Type.
        dry_run: say how many members each part would get, and write nothing.

    Raises:
        DerivaMLDatasetNotFound: no such dataset.
        DerivaMLValidationError: it can't be divided like this; the text says why, and nothing was written.
        DerivaMLInvalidTerm: a type is no term of Dataset_Type or Workflow_Type; nothing was written.
    """
    plan = _Plan(
        test_size,
        train_size,
        val_size,
        shuffle,
        seed,
        stratify_by_column,
        stratify_missing,
        names_of(include_tables),
        selection_fn,
        names_of(joins),
    )
    _WORK.require_type(ml, workflow_type)
    source = ml.lookup_dataset(as_dataset_spec(source_dataset_rid))
    version = _version(source, as_dataset_spec(source_dataset_rid).version, execution)
    types = {TRAINING: training_types, VALIDATION: validation_types, TESTING: testing_types}
    named = {part: _terms(ml, part, more) for part, more in types.items()}
    table, rids = _members(source, version, element_table)
    parts = _divide(source, version, table, rids, plan)
    _require_members(ml, table, parts)
    counts = {part.lower(): len(members) for part, members in parts.items()}
    said = ", ".join(f"{part} {number}" for part, number in counts.items())
    description = split_description or f"Split of {source.dataset_rid}@{version}: {plan.strategy()}; {said}"
    if dry_run:
        return SplitResult(dict.fromkeys(("split", *counts), ""), counts, description)
    what: dict[str, Any] = {"table": table, "parts": parts, "types": named, "description": description}
    spec = DatasetSpec(rid=source.dataset_rid, version=version, materialize=False)
    if execution is not None:
        made = _make(ml, execution, spec, **what)
        return SplitResult(made, counts, description)
    with _WORK.execution(ml, workflow_type, description, [spec]) as own:
        made = _make(ml, own, spec, **what)
    own.commit_output_assets()
    return SplitResult(made, counts, description)


# --- inside ---


def _terms(ml: DerivaML, part: str, more: Types) -> list[str]:
    """The types of a part, its own first; the user's must be terms already."""
    vocabulary = ml.session.model.ml_table("Dataset_Type")
    known = [term.name for term in ml.session.vocabularies.lookup_all(vocabulary, names_of(more))]
    return list(dict.fromkeys([part, *known]))


def _version(source: Dataset, wanted: DatasetVersion | None, execution: Execution | None) -> DatasetVersion:
    """
    The version that is divided: what is recorded as the input.

    Raises:
        DerivaMLDatasetNotFound: there is no such version, or it is a development label.
    """
    inputs = execution.configuration.datasets if execution is not None else ()
    known = next((spec.version for spec in inputs if spec.rid == source.dataset_rid), None)
    entry = source.record.at(wanted or known)
    source.record.require_release(entry)
    newest = source.record.history[-1].dataset_version
    if not newest.is_released:
        log.warning(
            "dataset %s has changes since %s (%s): they take no part in the split; "
            "increment_dataset_version releases them",
            source.dataset_rid,
            entry.dataset_version,
            newest,
        )
    return entry.dataset_version


def _members(source: Dataset, version: DatasetVersion, element_table: str | None) -> tuple[str, list[str]]:
    members = source.list_dataset_members(recurse=True, version=version)
    found = {table: rows for table, rows in members.items() if table != "Dataset"}
    found = {table: rows for table, rows in found.items() if rows}
    if element_table is None and len(found) != 1:
        what = f"has members of {', '.join(found)}: say which with element_table" if found else "has no members"
        raise DerivaMLValidationError(f"dataset {source.dataset_rid} {what}")
    table = element_table or next(iter(found))
    if table not in found:
        raise DerivaMLValidationError(
            f"dataset {source.dataset_rid} has no members of {table}; "
            f"it has members of {', '.join(found) or 'no table'}"
        )
    return table, sorted(row["RID"] for row in found[table])


def _require_members(ml: DerivaML, table: str, parts: Mapping[str, Sequence[str]]) -> None:
    """
    A row that was a member then may be gone since.

    Raises:
        DerivaMLValidationError: it can't be a member of a new dataset; nothing was written.
    """
    group_members(ml.session, {table: [rid for rids in parts.values() for rid in rids]})


def _divide(source: Dataset, version: DatasetVersion, table: str, rids: list[str], plan: _Plan) -> dict[str, list[str]]:
    if plan.missing not in _MISSING:
        raise DerivaMLValidationError(f"stratify_missing={plan.missing!r}: one of {', '.join(_MISSING)}")
    if plan.column is None and plan.function is None:
        sizes = Sizes.of(len(rids), plan.test_size, plan.train_size, plan.val_size)
        chosen = divide(len(rids), sizes, plan.seed, shuffle=plan.shuffle)
        return _named(rids, chosen)
    if plan.column is not None and plan.function is not None:
        raise DerivaMLValidationError("give stratify_by_column or selection_fn, not both")
    bag = source.download_dataset_bag(version, materialize=False)
    rows = _joined(bag, table, rids, plan)
    if plan.function is not None:
        frame, order = _frame(rows), list(rows)
        sizes = Sizes.of(len(order), plan.test_size, plan.train_size, plan.val_size)
        return _named(order, apply_selection(plan.function, frame, sizes, plan.seed))
    labels = _labels(rows, table, plan)
    order = list(labels)
    sizes = Sizes.of(len(order), plan.test_size, plan.train_size, plan.val_size)
    return _named(order, divide_classes(list(labels.values()), sizes, plan.seed))


def _joined(bag: DatasetBag, table: str, rids: Iterable[str], plan: _Plan) -> dict[str, list[dict[str, Any]]]:
    """RID of each member -> its joined rows, in the order of RIDs."""
    tables = [table, *(name for name in plan.include_tables if name != table)]
    found: dict[str, list[dict[str, Any]]] = {rid: [] for rid in rids}
    for row in bag.denormalize_as_dict(tables, joins=plan.joins):
        if row[f"{table}.RID"] in found:
            found[row[f"{table}.RID"]].append(row)
    return {rid: rows for rid, rows in found.items() if rows}


def _labels(rows: Mapping[str, Sequence[Mapping[str, Any]]], table: str, plan: _Plan) -> dict[str, Any]:
    assert plan.column is not None
    columns = list(next(iter(rows.values()))[0])
    column = find_column(plan.column, columns)
    labels: dict[str, Any] = {}
    without = []
    for rid, several in rows.items():
        values = list(dict.fromkeys(row[column] for row in several))
        if len(values) > 1:
            raise DerivaMLValidationError(
                f"{table} {rid} has several values of {column}: {', '.join(map(str, values))}; use selection_fn"
            )
        if values[0] is None:
            without.append(rid)
        if values[0] is not None or plan.missing == "include":
            labels[rid] = values[0]
    if without and plan.missing == "error":
        raise DerivaMLValidationError(
            f"{len(without)} members have no {column} ({', '.join(without[:5])}): stratify_missing='drop' leaves them "
            "out, 'include' makes them a class"
        )
    return labels


def _frame(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    """One row for each member, the first of its joined ones."""
    try:
        import pandas as pd  # only who divides by a function of his own needs it
    except ImportError as err:
        raise DerivaMLException("selection_fn needs pandas: type `uv add pandas`") from err
    return pd.DataFrame([several[0] for several in rows.values()])


def _named(rids: Sequence[str], chosen: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    return {part: [rids[index] for index in indexes] for part, indexes in chosen.items()}


def _make(
    ml: DerivaML,
    execution: Execution,
    source: DatasetSpec,
    *,
    table: str,
    parts: Mapping[str, Sequence[str]],
    types: Mapping[str, Sequence[str]],
    description: str,
) -> dict[str, str]:
    execution.download_dataset_bag(source)  # records it as an input, unless it is one
    for term in ("Split", *parts):
        ml.add_term("Dataset_Type", term, f"{term} part of a dataset")
    made: dict[str, str] = {}
    for part, rids in parts.items():
        dataset = execution.create_dataset(types[part], description=f"{part} part of {source}")
        dataset.add_dataset_members({table: rids}, validate=False)
        made[part.lower()] = dataset.dataset_rid
    parent = execution.create_dataset("Split", description=description)
    parent.add_dataset_members({"Dataset": list(made.values())})
    return {"split": parent.dataset_rid, **made}

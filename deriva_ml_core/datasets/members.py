"""Members of datasets: which rows may be members, and how thousands become members in a few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.datasets.reach import (
    DATASET,
    ElementType,
    Join,
    TableId,
    element_types,
    member_link_path,
    table_id,
)
from deriva_ml_core.errors import DerivaMLTableTypeError, DerivaMLValidationError, nearest

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Members = Mapping[str, Iterable[str]] | Iterable[str]
# RIDs in URLs, some hundred at a time; beyond this many, one look at all RIDs of the table costs less.
_MANY = 2_000
_RIDS_IN_A_URL = 400
_WRONG = 10  # each costs a request, and more tell nothing new


def element_type(session: CatalogSession, table_name: str) -> ElementType:
    """
    The element type of this name.

    Raises:
        DerivaMLTableNotFound: no such table.
        DerivaMLTableTypeError: its rows can't be members; the text lists those that can.
    """
    table = session.model.table(table_name)
    known = element_types(session.model)
    if table_id(table) not in known:
        names = sorted(element.table.name for element in known.values())
        raise DerivaMLTableTypeError(
            f"rows of {table.name} can't be members of a dataset{nearest(table.name, names)}; element types: "
            f"{', '.join(names)}; add one with add_dataset_element_type({table.name!r})"
        )
    return known[table_id(table)]


def group_members(session: CatalogSession, members: Members, *, validate: bool = True) -> dict[TableId, list[str]]:
    """
    RIDs by element type, each once.

    Args:
        members: RIDs of whatever tables, or table name -> RIDs.
        validate: look whether each RID given by table is there.

    Raises:
        DerivaMLValidationError: RIDs that are not there, or of tables whose rows can't be members; all in one message.
        DerivaMLTableTypeError: a table was named whose rows can't be members.
    """
    if isinstance(members, Mapping):
        grouped = {table_id(element_type(session, name).table): _distinct(rids) for name, rids in members.items()}
        if validate:
            _refuse(
                f"no row of {identity[1]}: {rid}"
                for identity, rids in grouped.items()
                for rid in _missing(session, identity, rids)
            )
        return {identity: rids for identity, rids in grouped.items() if rids}
    return _resolve(session, _distinct(members))


def add_members(session: CatalogSession, dataset_rid: str, grouped: Mapping[TableId, Sequence[str]]) -> int:
    """Insert members, in bulk; those that are members already stay. How many are new."""
    added = 0
    for identity, rids in grouped.items():
        element = element_types(session.model)[identity]
        links = [{element.dataset_column: dataset_rid, element.member_column: rid} for rid in rids]
        added += len(rows.insert(session, element.link, links, skip_existing=True))
    return added


def delete_members(session: CatalogSession, dataset_rid: str, grouped: Mapping[TableId, Sequence[str]]) -> int:
    """Take members out; how many were there."""
    deleted = 0
    for identity, rids in grouped.items():
        element = element_types(session.model)[identity]
        wanted = frozenset(rids)
        links = [
            row["RID"]
            for row in rows.select(session, element.link, {element.dataset_column: dataset_rid})
            if row[element.member_column] in wanted
        ]
        rows.delete(session, element.link, links)
        deleted += len(links)
    return deleted


def list_members(session: CatalogSession, dataset_rids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """
    Rows of the members of these datasets, by table name, each once; one request for each element type.

    A name that two schemas have comes with its schema before it.
    """
    elements = list(element_types(session.model).values())
    names = [element.table.name for element in elements]
    return {
        name if names.count(name) == 1 else f"{element.table.schema}:{name}": list(
            _member_rows(session, element, dataset_rids)
        )
        for name, element in zip(names, elements, strict=True)
    }


def nested_datasets(session: CatalogSession, rids: Iterable[str]) -> dict[str, list[str]]:
    """Dataset -> the datasets nested in it, for these and all below them; one request for each level."""
    return _neighbours(session, rids, DATASET, "Nested_Dataset")


def parent_datasets(session: CatalogSession, rids: Iterable[str]) -> dict[str, list[str]]:
    """Dataset -> the datasets that it is nested in, for these and all above them; one request for each level."""
    return _neighbours(session, rids, "Nested_Dataset", DATASET)


def refuse_cycles(session: CatalogSession, dataset_rid: str, nested: Sequence[str]) -> None:
    """
    A dataset can't be nested in itself, over however many steps.

    Raises:
        DerivaMLValidationError: it would be; the text names the way.
    """
    if not nested:
        return
    if dataset_rid in nested:
        raise DerivaMLValidationError(f"dataset {dataset_rid} can't be a member of itself")
    above = parent_datasets(session, [dataset_rid])
    ancestors = {rid for parents in above.values() for rid in parents}
    _refuse(
        (
            f"dataset {rid} contains {dataset_rid} already, so it can't be a member of it"
            for rid in nested
            if rid in ancestors
        ),
    )


# --- inside ---


def _member_rows(session: CatalogSession, element: ElementType, rids: Sequence[str]) -> Iterator[dict[str, Any]]:
    path = member_link_path(session.model, element).then(Join((element.member_column,), element.table, ("RID",)))
    seen: set[str] = set()
    for start in range(0, len(rids), _RIDS_IN_A_URL):
        for row in rows.stream(session, path.url(rids[start : start + _RIDS_IN_A_URL]) + "@sort(RID)"):
            if row["RID"] not in seen:
                seen.add(row["RID"])
                yield row


def _neighbours(session: CatalogSession, rids: Iterable[str], near: str, far: str) -> dict[str, list[str]]:
    link = session.model.ml_table("Dataset_Dataset")
    found: dict[str, list[str]] = {}
    level = _distinct(rids)
    while level:
        found.update({rid: [] for rid in level})
        for start in range(0, len(level), _RIDS_IN_A_URL):
            some = level[start : start + _RIDS_IN_A_URL]
            for row in rows.select(session, link, {near: some}, columns=(near, far)):
                found[row[near]].append(row[far])
        level = _distinct(rid for start in level for rid in found[start] if rid not in found)
    return {rid: sorted(others) for rid, others in found.items()}


def _resolve(session: CatalogSession, rids: Sequence[str]) -> dict[TableId, list[str]]:
    """One look for the table of the first RID that is left, one (or a few) for all that are in that table."""
    known = element_types(session.model)
    grouped: dict[TableId, list[str]] = {}
    problems: list[str] = []
    left = list(rids)
    while left and len(problems) < _WRONG:
        place = rows.locate_rid(session, left[0]) if rows.is_rid(left[0]) else None
        if place is None or place not in known:
            what = f"a row of {place[1]}, which is no element type" if place else "not in this catalog"
            problems.append(f"{left[0]} is {what}")
            del left[0]
            continue
        absent = frozenset(_missing(session, place, left))
        grouped[place] = [rid for rid in left if rid not in absent]
        left = [rid for rid in left if rid in absent]
    if problems and left:
        problems.append(f"{len(left)} more were not looked for")
    _refuse(problems)
    return grouped


def _missing(session: CatalogSession, identity: TableId, rids: Sequence[str]) -> list[str]:
    table = session.model.tables[identity]
    if len(rids) > _MANY:
        there = {row["RID"] for row in rows.select(session, table, columns=["RID"])}
    else:
        there = set(rows.select_by_rids(session, table, rids, columns=["RID"]))
    return [rid for rid in rids if rid not in there]


def _refuse(problems: Iterable[str]) -> None:
    if told := list(problems):
        raise DerivaMLValidationError("wrong members", told)


def _distinct(rids: Iterable[object]) -> list[str]:
    given = names_of(rids)
    _refuse(f"{rid!r} is not a RID" for rid in given if not isinstance(rid, str))  # a frame's NaN, say
    return list(dict.fromkeys(rows.normal_rid(str(rid)) for rid in given))

"""Parents and children of executions, as the catalog has them: one request for each level, however many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deriva_ml_core.catalog import rows

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

PARENT, CHILD = "Execution", "Nested_Execution"
Direction = Literal["children", "parents"]


@dataclass(frozen=True, slots=True)
class Nesting:
    """One child of one parent; `sequence` is None where the children ran in no order."""

    parent: str
    child: str
    sequence: int | None


def link_nested(session: CatalogSession, parent: str, child: str, sequence: int | None = None) -> None:
    """Link a child to its parent; a link that is there stays as it is."""
    row = {PARENT: parent, CHILD: child, "Sequence": sequence}
    rows.insert(session, session.model.ml_table("Execution_Execution"), [row], skip_existing=True)


def neighbours(session: CatalogSession, rids: Iterable[str], direction: Direction) -> list[Nesting]:
    """The links of these executions to their children, or to their parents; children in the order of their numbers."""
    near = PARENT if direction == "children" else CHILD
    table = session.model.ml_table("Execution_Execution")
    wanted = sorted(set(rids))
    found = [
        Nesting(row[PARENT], row[CHILD], row.get("Sequence"))
        for start in range(0, len(wanted), _RIDS_IN_A_URL)
        for row in rows.select(session, table, {near: wanted[start : start + _RIDS_IN_A_URL]})
    ]
    return sorted(found, key=lambda link: (link.sequence is None, link.sequence or 0, link.child, link.parent))


def all_children(session: CatalogSession) -> set[str]:
    """RIDs of all executions that are the child of another; one request."""
    return {row[CHILD] for row in rows.select(session, session.model.ml_table("Execution_Execution"), columns=[CHILD])}


def relatives(session: CatalogSession, rid: str, direction: Direction, *, recurse: bool) -> list[str]:
    """RIDs of the children (or parents) of an execution; with `recurse`, of all generations, each once."""
    seen: dict[str, None] = {}
    level = [rid]
    while level:
        links = neighbours(session, level, direction)
        found = [link.child if direction == "children" else link.parent for link in links]
        level = [one for one in dict.fromkeys(found) if one not in seen and one != rid]
        seen.update(dict.fromkeys(level))
        if not recurse:
            break
    return list(seen)


_RIDS_IN_A_URL = 500

"""A lineage as people read it: a tree from where the tracing started, in one direction."""

from __future__ import annotations

from dataclasses import dataclass, field

from deriva_ml_core.analysis.lineage import Lineage, Node

MOST_SIBLINGS = 30
"""More branches of one node are counted."""
MOST_LEVELS = 40
"""What is further away is counted: nobody reads hundreds of levels, and no page can nest them."""

Neighbours = dict[str, dict[str, dict[str, list[str]]]]
"""RID -> RID of the other end -> role of the edges -> their details."""


@dataclass(slots=True)
class Branch:
    """
    One node where it stands in the tree.

    Args:
        role: how it is related to the node above, with versions: "used 1.0.0"; "" of the root.
        again: it stands further up with its branches, and has none here.
        more: branches that are left out.
    """

    node: Node
    role: str = ""
    again: bool = False
    branches: list[Branch] = field(default_factory=list)
    more: int = 0


def tree(found: Lineage, *, back: bool) -> Branch:
    """What the start came from, or led to; each node once, where it comes again it is only named."""
    root = Branch(found.nodes[found.start])
    _grow(root, found, _neighbours(found, back=back), {found.start}, MOST_LEVELS)
    return root


def _neighbours(found: Lineage, *, back: bool) -> Neighbours:
    """The other ends of each node's edges in this direction; children stand below their parent."""
    near: Neighbours = {}
    for edge in found.edges:
        child = edge.role == "part of" and edge.target == found.start
        at, end = (edge.target, edge.source) if back or child else (edge.source, edge.target)
        near.setdefault(at, {}).setdefault(end, {}).setdefault(edge.role, []).append(edge.detail or "")
    return near


def _grow(branch: Branch, found: Lineage, neighbours: Neighbours, shown: set[str], levels: int) -> None:
    ends = neighbours.get(branch.node.rid, {})
    most = MOST_SIBLINGS if levels else 0
    for end, roles in list(ends.items())[:most]:
        grown = Branch(found.nodes[end], _role_words(roles), again=end in shown)
        branch.branches.append(grown)
        if not grown.again:
            shown.add(end)
            _grow(grown, found, neighbours, shown, levels - 1)
    branch.more = max(0, len(ends) - most)


def _role_words(roles: dict[str, list[str]]) -> str:
    return "; ".join(f"{role} {', '.join(filter(None, details))}".rstrip() for role, details in roles.items())

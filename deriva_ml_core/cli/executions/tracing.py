"""`deriva-ml-executions lineage`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command, console

if TYPE_CHECKING:
    from rich.tree import Tree

    from deriva_ml_core.analysis.lineage import Lineage, Node

Neighbours = dict[str, dict[str, dict[str, list[str]]]]
"""RID -> RID of the other end -> role of the edges -> their details."""
MOST_SIBLINGS = 30
"""More branches of one node are counted."""


def add(commands: Any) -> None:
    """Its options."""
    about = "what an asset, dataset or execution came from, back to raw inputs, and what came of it"
    parser = add_command(commands, "lineage", about, run)
    parser.add_argument("rid", metavar="RID", help="of an asset, a dataset or an execution")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--back", action="store_true", help="only what it came from")
    way.add_argument("--forward", action="store_true", help="only what came of it")
    parser.add_argument("--depth", type=int, metavar="N", help="at most so many steps each way")
    parser.add_argument("--json", action="store_true", help="print JSON: nodes and edges")


def run(options: argparse.Namespace) -> int:
    """Print trees, or JSON."""
    from deriva_ml_core.analysis.lineage import trace

    directions = ["back"] if options.back else ["forward"] if options.forward else ["back", "forward"]
    with connect(options) as ml:
        found = trace(ml.session, options.rid, directions=directions, depth=options.depth)  # type: ignore[arg-type]
    if options.json:
        print(json.dumps(found.document(), indent=2))
        return 0
    output = console()
    output.print(_node_words(found.nodes[found.start]), highlight=False, markup=False)
    if "back" in directions:
        output.print(_tree(found, "came from", back=True), highlight=False)
    if "forward" in directions:
        output.print(_tree(found, "led to", back=False), highlight=False)
    if not found.complete:
        print("there is more: give a larger --depth, or start further on")
    return 0


def _tree(found: Lineage, title: str, *, back: bool) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(title, "bold"), guide_style="dim")
    _grow(root, found, found.start, _neighbours(found, back=back), {found.start})
    if not root.children:
        root.add(Text("nothing on record", "dim"))
    return root


def _neighbours(found: Lineage, *, back: bool) -> Neighbours:
    """RID -> the other ends of its edges in this direction, with what led there; children stand below their parent."""
    near: Neighbours = {}
    for edge in found.edges:
        child = edge.role == "part of" and edge.target == found.start
        at, end = (edge.target, edge.source) if back or child else (edge.source, edge.target)
        near.setdefault(at, {}).setdefault(end, {}).setdefault(edge.role, []).append(edge.detail or "")
    return near


def _grow(branch: Tree, found: Lineage, rid: str, neighbours: Neighbours, shown: set[str]) -> None:
    """Each node once; where it comes again it is only named."""
    from rich.text import Text

    ends = neighbours.get(rid, {})
    for end, roles in list(ends.items())[:MOST_SIBLINGS]:
        words = f"{_role_words(roles)} {_node_words(found.nodes[end])}"
        if end in shown:
            branch.add(Text(f"{words} (see above)", "dim"))
            continue
        shown.add(end)
        _grow(branch.add(Text(words)), found, end, neighbours, shown)
    if len(ends) > MOST_SIBLINGS:
        branch.add(Text(f"… and {len(ends) - MOST_SIBLINGS} more (--json has all)", "dim"))


def _role_words(roles: dict[str, list[str]]) -> str:
    said = (f"{role} {', '.join(filter(None, details))}".rstrip() for role, details in roles.items())
    return f"[{'; '.join(said)}]"


def _node_words(node: Node) -> str:
    facts = node.facts
    if node.kind == "asset":
        return f"{facts['table'].partition(':')[2]} {node.rid}  {facts['file'] or ''}"
    if node.kind == "dataset":
        return f"Dataset {node.rid}  {_first_line(facts.get('description'))}"
    return (
        f"Execution {node.rid}  {facts.get('status', '')}  {facts.get('workflow') or ''}  "
        f"{_first_line(facts.get('description'))}"
    )


def _first_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[0].lstrip("# ") if lines else ""

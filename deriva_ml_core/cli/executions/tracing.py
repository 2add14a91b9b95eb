"""`deriva-ml-executions lineage`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.connecting import connect
from deriva_ml_core.cli.executions.commands import add_command, console

if TYPE_CHECKING:
    from rich.tree import Tree

    from deriva_ml_core.analysis.lineage import Node
    from deriva_ml_core.analysis.lineage_tree import Branch


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
    from deriva_ml_core.analysis.lineage_tree import tree

    directions = ["back"] if options.back else ["forward"] if options.forward else ["back", "forward"]
    with connect(options) as ml:
        found = trace(ml.session, options.rid, directions=directions, depth=options.depth)  # type: ignore[arg-type]
    if options.json:
        print(json.dumps(found.document(), indent=2))
        return 0
    output = console()
    output.print(_node_words(found.nodes[found.start]), highlight=False, markup=False)
    if "back" in directions:
        output.print(_rendered(tree(found, back=True), "came from"), highlight=False)
    if "forward" in directions:
        output.print(_rendered(tree(found, back=False), "led to"), highlight=False)
    if not found.complete:
        print("there is more: give a larger --depth, or start further on")
    return 0


def _rendered(root: Branch, title: str) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    shown = Tree(Text(title, "bold"), guide_style="dim")
    _render(shown, root)
    if not shown.children:
        shown.add(Text("nothing on record", "dim"))
    return shown


def _render(shown: Tree, branch: Branch) -> None:
    from rich.text import Text

    for one in branch.branches:
        words = f"[{one.role}] {_node_words(one.node)}"
        _render(shown.add(Text(f"{words} (see above)", "dim") if one.again else Text(words)), one)
    if branch.more:
        shown.add(Text(f"… and {branch.more} more (--json has all)", "dim"))


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

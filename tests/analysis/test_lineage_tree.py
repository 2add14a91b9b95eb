"""A lineage as a tree."""

from __future__ import annotations

from rich.console import Console

from deriva_ml_core.analysis.lineage import Edge, Lineage, Node
from deriva_ml_core.analysis.lineage_tree import MOST_LEVELS, MOST_SIBLINGS, tree
from deriva_ml_core.browser.rendering import html
from deriva_ml_core.cli.executions.tracing import _rendered


def _lineage(*edges: tuple[str, str]) -> Lineage:
    names = dict.fromkeys(name for edge in edges for name in edge)
    nodes = {name: Node(name, "asset", {"file": f"{name}.bin", "table": "s:File"}) for name in names}
    return Lineage(edges[0][0], nodes, [Edge(source, target, "made") for source, target in edges])


def test_a_chain_of_hundreds_of_runs_is_shown_as_far_as_anybody_reads():
    """Each run goes on from the output of the one before; neither the terminal nor the page may fail of it."""
    found = _lineage(*((f"{n}", f"{n + 1}") for n in range(1500)))
    root = tree(found, back=False)
    console = Console(width=400, record=True, quiet=True)
    console.print(_rendered(root, "led to"))
    parts = [{"title": "Led to", "root": root, "complete": True}]
    page = html("lineage.html", title="Lineage", catalog="c", start=root.node, parts=parts).get_data(as_text=True)

    assert page.count('<ul class="tree">') == MOST_LEVELS + 1
    assert f'and 1 more: go on from <a class="rid" href="/id/c/{MOST_LEVELS}">' in page


def test_what_comes_again_is_only_named_and_many_are_counted():
    """A circle ends; a hundred siblings are a number."""
    circle = tree(_lineage(("a", "b"), ("b", "a")), back=False)
    assert [(one.node.rid, one.again, one.branches[0].again) for one in circle.branches] == [("b", False, True)]

    many = tree(_lineage(*(("a", f"b{n}") for n in range(100))), back=False)
    assert (len(many.branches), many.more) == (MOST_SIBLINGS, 100 - MOST_SIBLINGS)

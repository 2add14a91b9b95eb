"""
What came from what, back to raw inputs and forward, of any asset, dataset or execution: `deriva-ml-executions lineage`.

An edge leads in the direction of the data:

    execution -made-> asset or dataset        a dataset's version, or assets that are its members
    asset or dataset -used-> execution
    dataset -part of-> dataset                nested in it
    asset -member of-> dataset
    child -part of-> parent                   an execution that is traced stands for its children too

Each step is a few requests, however many nodes it starts from. Members of datasets that are no assets have no maker on
record. Files that describe runs (Execution_Metadata) are left out, unless one of them is where the tracing starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from deriva_ml_core.analysis.links import AssetLink, asset_links, datasets_made, datasets_used
from deriva_ml_core.analysis.places import find_row
from deriva_ml_core.catalog import filters, rows
from deriva_ml_core.datasets.reach import DATASET, element_types
from deriva_ml_core.errors import DerivaMLTableNotFound, DerivaMLValidationError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.listing import summary, workflow_rows
from deriva_ml_core.executions.record import ExecutionRecord

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Kind = Literal["execution", "dataset", "asset"]
Direction = Literal["back", "forward"]
MOST_NODES = 2_000
_METADATA = "Execution_Metadata"


@dataclass(slots=True)
class Node:
    """One thing of the catalog; `facts` is what a person wants to know of it (file, table, status, description)."""

    rid: str
    kind: Kind
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """From where data came to where it went; `detail` is a version, or how many members."""

    source: str
    target: str
    role: str
    detail: str | None = None


@dataclass(slots=True)
class Lineage:
    """
    What was found.

    Args:
        complete: False where there is more than was asked for, or than anybody would read.
    """

    start: str
    nodes: dict[str, Node]
    edges: list[Edge]
    complete: bool = True

    def document(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "start": self.start,
            "complete": self.complete,
            "nodes": [{"rid": node.rid, "kind": node.kind, **node.facts} for node in self.nodes.values()],
            "edges": [
                {"source": edge.source, "target": edge.target, "role": edge.role, "detail": edge.detail}
                for edge in self.edges
            ],
        }


def trace(
    session: CatalogSession,
    rid: str,
    *,
    directions: Iterable[Direction] = ("back", "forward"),
    depth: int | None = None,
    most: int = MOST_NODES,
    most_executions: int | None = None,
) -> Lineage:
    """
    The lineage of a row.

    Args:
        depth: at most so many steps each way; None goes on to the end.
        most: nodes after which it stops.
        most_executions: executions after which it stops.

    Raises:
        DerivaMLNotFoundError: no row of this RID.
        DerivaMLValidationError: it is neither an asset, a dataset nor an execution.
    """
    tracer = _Tracer(session, most, most_executions)
    start = tracer.start(rid)
    for direction in directions:
        tracer.follow(start, direction, depth)
    tracer.describe()
    return Lineage(start, tracer.nodes, list(tracer.edges), tracer.complete)


class _Tracer:
    """Nodes and edges as they are found."""

    def __init__(self, session: CatalogSession, most: int, most_executions: int | None) -> None:
        self._session, self._most, self._most_executions = session, most, most_executions
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Edge, None] = {}
        self.complete = True

    def start(self, text: str) -> str:
        """The node to start from; the children of an execution are there too."""
        table, row = find_row(self._session, text)
        rid = str(row["RID"])
        if table.name == "Dataset_Version":
            rid = row["Dataset"]
        if table.name in (DATASET, "Dataset_Version"):
            self._node(rid, "dataset")
        elif table.name == "Execution":
            self._node(rid, "execution")
            self._add_children(rid)
        elif table.is_asset:
            self._node(rid, "asset", table=str(table), file=row.get("Filename"))
        else:
            raise DerivaMLValidationError(
                f"{rid} is a row of {table}: lineage is known of assets, datasets and executions"
            )
        return rid

    def follow(self, start: str, direction: Direction, depth: int | None) -> None:
        """Step by step from the start, and from its children."""
        step = self._back if direction == "back" else self._forward
        level = [start, *(edge.source for edge in self.edges if edge.target == start and edge.role == "part of")]
        seen = set(level)
        steps = 0
        while level:
            if (depth is not None and steps == depth) or self._enough:
                self.complete = False  # what lies beyond is not known
                return
            found = list(step(level))
            self.edges.update(dict.fromkeys(found))
            ends = [edge.source if direction == "back" else edge.target for edge in found]
            level = [rid for rid in dict.fromkeys(ends) if rid not in seen]
            seen.update(level)
            steps += 1

    @property
    def _enough(self) -> bool:
        limit = self._most_executions
        return len(self.nodes) >= self._most or (limit is not None and len(self._of("execution", self.nodes)) >= limit)

    def describe(self) -> None:
        """What a person wants to know of executions and datasets; of assets it is known already."""
        executions = self._of("execution", self.nodes)
        found = rows.select_by_rids(self._session, self._session.model.ml_table("Execution"), executions)
        records = [ExecutionRecord.from_row(self._session, row) for row in found.values()]
        workflows = workflow_rows(self._session, {one.workflow_rid for one in records if one.workflow_rid})
        for record in records:
            said = summary(record, workflows)
            self.nodes[record.execution_rid].facts = {
                name: said[name] for name in ("status", "workflow", "description", "created")
            }
        table = self._session.model.ml_table(DATASET)
        for rid, row in rows.select_by_rids(self._session, table, self._of("dataset", self.nodes)).items():
            self.nodes[rid].facts = {"description": row.get("Description"), "deleted": bool(row.get("Deleted"))}

    # --- back ---

    def _back(self, level: list[str]) -> Iterator[Edge]:
        if executions := self._of("execution", level):
            for asset in asset_links(self._session, executions=executions, role="Input"):
                yield Edge(self._asset(asset), asset.execution, "used")
            for used in datasets_used(self._session, executions=executions):
                yield Edge(self._node(used.rid, "dataset"), used.execution, "used", used.version)
        if datasets := self._of("dataset", level):
            for made in datasets_made(self._session, datasets=datasets):
                yield Edge(self._node(made.execution, "execution"), made.rid, "made", made.version)
            yield from self._nested(datasets, near="Dataset")
            yield from self._makers_of_members(datasets)
        yield from self._of_assets(level, "Output", lambda link: Edge(link.execution, link.rid, "made"))

    def _makers_of_members(self, datasets: list[str]) -> Iterator[Edge]:
        """The executions that made the assets which are members: a request for each table of such assets."""
        for element in element_types(self._session.model).values():
            try:
                link = self._session.model.execution_link(element.table) if element.table.is_asset else None
            except DerivaMLTableNotFound:
                link = None
            if link is None:
                continue
            role = "/Asset_Role=Output" if "Asset_Role" in link.table.columns else ""
            for part in filters.filter_paths(element.link, {element.dataset_column: datasets}):
                path = (
                    f"/attributegroup/D:={element.link.url_name}/{part}"
                    f"/M:=({quote(element.member_column)})=({element.table.url_name}:RID)"
                    f"/X:=(RID)=({link.table.url_name}:{quote(link.near_column)}){role}"
                    f"/dataset:=D:{quote(element.dataset_column)},execution:=X:{quote(link.far_column)};n:=cnt(M:RID)"
                )
                for row in rows.stream(self._session, path):
                    maker = self._node(row["execution"], "execution")
                    yield Edge(maker, row["dataset"], "made", f"{row['n']} of its {element.table.name} members")

    # --- forward ---

    def _forward(self, level: list[str]) -> Iterator[Edge]:
        if executions := self._of("execution", level):
            for asset in asset_links(self._session, executions=executions, role="Output", leave_out=[_METADATA]):
                yield Edge(asset.execution, self._asset(asset), "made")
            for made in datasets_made(self._session, executions=executions):
                yield Edge(made.execution, self._node(made.rid, "dataset"), "made", made.version)
        if datasets := self._of("dataset", level):
            for used in datasets_used(self._session, datasets=datasets):
                yield Edge(used.rid, self._node(used.execution, "execution"), "used", used.version)
            yield from self._nested(datasets, near="Nested_Dataset")
        yield from self._of_assets(level, "Input", lambda link: Edge(link.rid, link.execution, "used"))
        yield from self._memberships(self._of("asset", level))

    def _memberships(self, assets: list[str]) -> Iterator[Edge]:
        """The datasets that have these assets as members."""
        for element in element_types(self._session.model).values():
            some = [rid for rid in assets if self.nodes[rid].facts.get("table") == str(element.table)]
            if some:
                for row in rows.select(self._session, element.link, {element.member_column: some}):
                    dataset = self._node(row[element.dataset_column], "dataset")
                    yield Edge(row[element.member_column], dataset, "member of")

    # --- both ---

    def _of_assets(
        self, level: list[str], role: Literal["Input", "Output"], edge: Callable[[AssetLink], Edge]
    ) -> Iterator[Edge]:
        """The executions on the other side of assets; asked of the tables that these are of."""
        assets = self._of("asset", level)
        if not assets:
            return
        tables = {self.nodes[rid].facts.get("table") for rid in assets}
        others = [table.name for table in self._session.model.asset_tables() if str(table) not in tables]
        for link in asset_links(self._session, assets=assets, role=role, leave_out=others):
            self._node(link.execution, "execution")
            yield edge(link)

    def _nested(self, datasets: list[str], *, near: str) -> Iterator[Edge]:
        """Datasets that are nested in these (near is "Dataset"), or in which these are."""
        for row in rows.select(self._session, self._session.model.ml_table("Dataset_Dataset"), {near: datasets}):
            inner, outer = self._node(row["Nested_Dataset"], "dataset"), self._node(row["Dataset"], "dataset")
            yield Edge(inner, outer, "part of")

    def _add_children(self, parent: str) -> None:
        for link in nesting.neighbours(self._session, [parent], "children"):
            self.edges[Edge(self._node(link.child, "execution"), parent, "part of")] = None

    def _asset(self, link: AssetLink) -> str:
        return self._node(link.rid, "asset", table=link.table, file=link.name)

    def _node(self, rid: str, kind: Kind, **facts: Any) -> str:
        self.nodes.setdefault(rid, Node(rid, kind, facts))
        return rid

    def _of(self, kind: Kind, rids: Iterable[str]) -> list[str]:
        return [rid for rid in rids if self.nodes[rid].kind == kind]

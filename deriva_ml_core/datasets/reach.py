"""
Which rows belong to a dataset's bag: the rule, and the queries that find them.

The rule. Start at the dataset and the datasets nested in it.

1. What describes them comes along: versions, types, nesting, members, directories (the tables of the deriva-ml schema
   that refer to Dataset).
2. Members come along, and from them everything that foreign keys reach, in both directions: what a row refers to, and
   what refers to it. Along one path each table occurs once, so a path never comes back to its start with other rows.
3. The boundary. A path ends at a table of these kinds: its rows come along, what refers to them does not.
   - Another element type that has no members in this dataset: rows that ours refer to are needed, but its other
     connections are another dataset's matter. Such a table is not entered from the row that it refers to.
   - Tables of the deriva-ml schema (Execution, Workflow): of these come the rows that ours refer to, no others.
   - A vocabulary: all its terms come along, so that a reader knows the classes that have no example.
4. Rows of Dataset associations of other datasets never come along.

Every reference of an exported row can be resolved in the bag, except of a table to itself and to what the user
excluded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from deriva_ml_core.catalog.model import CatalogModel, ForeignKey, Table
from deriva_ml_core.errors import DerivaMLException, DerivaMLTableNotFound

MAX_PATHS = 400
DATASET = "Dataset"

TableId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Join:
    """One step: rows of `table` whose `columns` equal `near_columns` of the table before."""

    near_columns: tuple[str, ...]
    table: Table
    columns: tuple[str, ...]

    def url(self) -> str:
        """The step in an ERMrest path (docs/user-doc/rest-path, "Table instances by explicit column linkage")."""
        near = ",".join(quote(column, safe="") for column in self.near_columns)
        far = ",".join(quote(column, safe="") for column in self.columns)
        return f"({near})=({self.table.url_name}:{far})"


@dataclass(frozen=True, slots=True)
class TablePath:
    """A way from a table (rows chosen by RID) over joins to the table whose rows are wanted."""

    start: Table
    joins: tuple[Join, ...] = ()

    @property
    def end(self) -> Table:
        """The table whose rows this path finds."""
        return self.joins[-1].table if self.joins else self.start

    @property
    def tables(self) -> frozenset[TableId]:
        """The tables on the way, both ends among them."""
        return frozenset(table_id(table) for table in (self.start, *(join.table for join in self.joins)))

    def then(self, join: Join) -> TablePath:
        """This path, one step longer."""
        return TablePath(self.start, (*self.joins, join))

    def url(self, rids: Iterable[str]) -> str:
        """The path of an entity query for the rows that these rows of `start` lead to."""
        wanted = ",".join(quote(rid, safe="") for rid in rids)
        return "/".join([f"/entity/{self.start.url_name}", f"RID=any({wanted})", *(join.url() for join in self.joins)])


@dataclass(frozen=True, slots=True)
class Reach:
    """
    What to ask for.

    Attributes:
        paths: for each table, the ways that lead to its rows.
        vocabularies: tables that come along whole.
        references: (table, foreign key): the rows that exported rows of `table` refer to come along.
    """

    paths: Mapping[TableId, tuple[TablePath, ...]]
    vocabularies: frozenset[TableId]
    references: frozenset[tuple[TableId, ForeignKey]]


def table_id(table: Table) -> TableId:
    """(schema, table name)."""
    return (table.schema, table.name)


@dataclass(frozen=True, slots=True)
class ElementType:
    """A table whose rows can be members: through `link`, whose two columns hold the dataset's RID and the member's."""

    table: Table
    link: Table
    dataset_column: str
    member_column: str


def element_types(model: CatalogModel) -> dict[TableId, ElementType]:
    """
    The tables whose rows can be members of a dataset, Dataset itself (nesting) among them.

    They are those that an association links with Dataset, and that are not about datasets (terms, executions); by name.
    """
    dataset = model.ml_table(DATASET)
    found: dict[TableId, ElementType] = {}
    for link in model.associations(dataset):
        other = link.far
        nesting = table_id(other) == table_id(dataset)
        about_datasets = other.schema == model.ml_schema and not other.is_asset and not nesting
        if about_datasets or other.is_vocabulary or (nesting and link.near_column != DATASET):
            continue
        usual = link.table.name == f"Dataset_{other.name}"
        if table_id(other) not in found or usual:
            found[table_id(other)] = ElementType(other, link.table, link.near_column, link.far_column)
    return dict(sorted(found.items(), key=lambda item: (item[0][1], item[0][0])))


def dataset_paths(model: CatalogModel) -> dict[TableId, TablePath]:
    """The ways to what describes datasets: rule 1, without the members' association tables."""
    dataset = model.ml_table(DATASET)
    links = {table_id(element.link) for element in element_types(model).values()}
    paths = {table_id(dataset): TablePath(dataset)}
    for table in model.tables.values():
        if table.schema != model.ml_schema or table_id(table) in links or table_id(table) in paths:
            continue
        for key in table.references(dataset):
            paths[table_id(table)] = TablePath(dataset, (Join(key.referenced_columns, table, key.columns),))
    return paths


def member_link_path(model: CatalogModel, element: ElementType) -> TablePath:
    """The way to the rows that say which members a dataset has."""
    return TablePath(model.ml_table(DATASET), (Join(("RID",), element.link, (element.dataset_column,)),))


def excluded_tables(model: CatalogModel, names: Iterable[str]) -> frozenset[TableId]:
    """
    The tables of these names, which a user wants left out.

    Raises:
        DerivaMLTableNotFound: a name is no table's, or that of Dataset, without which there is no bag.
    """
    found = []
    for name in sorted(names):
        try:
            found.append(table_id(model.table(name)))
        except DerivaMLTableNotFound as err:
            raise DerivaMLTableNotFound(f"exclude_tables: {err}") from err
    if (model.ml_schema, DATASET) in found:
        raise DerivaMLTableNotFound(f"exclude_tables: the table {DATASET} can't be left out of a dataset")
    return frozenset(found)


def find_reach(model: CatalogModel, with_members: Collection[TableId], excluded: Collection[TableId]) -> Reach:
    """
    The rule of this module as queries.

    Args:
        with_members: the element types that have members in this dataset.
        excluded: tables that the user leaves out.

    Raises:
        DerivaMLException: more than MAX_PATHS ways; the text says what to do.
    """
    walk = _Walk(model, frozenset(with_members), frozenset(excluded))
    for identity, path in dataset_paths(model).items():
        if identity not in excluded:
            walk.end_at(path)
    for identity, element in sorted(element_types(model).items()):
        if identity in with_members and identity not in excluded:
            link = member_link_path(model, element)
            walk.end_at(link)
            if identity != (model.ml_schema, DATASET):  # nested datasets are rows of the start already
                walk.follow(link.then(Join((element.member_column,), element.table, ("RID",))))
    return walk.reach()


class _Walk:
    """Depth-first over the foreign keys, in a fixed order: the same model gives the same paths."""

    def __init__(self, model: CatalogModel, with_members: frozenset[TableId], excluded: frozenset[TableId]) -> None:
        self._model, self._excluded = model, excluded
        elements = element_types(model)
        self._memberless = frozenset(elements) - with_members
        dataset = model.ml_table(DATASET)
        self._of_datasets = {
            table_id(table) for table in model.tables.values() if table.references(dataset) or table is dataset
        }
        self._referrers = _referrers(model)
        self._paths: dict[TableId, list[TablePath]] = {}
        self._vocabularies: set[TableId] = set()
        self._references: set[tuple[TableId, ForeignKey]] = set()
        self._count = 0

    def reach(self) -> Reach:
        paths = {identity: tuple(paths) for identity, paths in sorted(self._paths.items())}
        return Reach(paths, frozenset(self._vocabularies), frozenset(self._references))

    def end_at(self, path: TablePath) -> None:
        """Rows of the path's end come along, and what they refer to in the deriva-ml schema and in vocabularies."""
        self._add(path)
        self._note_references(path.end)

    def _note_references(self, table: Table) -> None:
        """Vocabularies that the table uses, and its foreign keys into the deriva-ml schema, with theirs in turn."""
        for target, key in self._outward(table):
            if target.is_vocabulary:
                self._vocabularies.add(table_id(target))
                continue
            within = target.schema == self._model.ml_schema and not target.is_asset
            if within and (table_id(table), key) not in self._references:
                self._references.add((table_id(table), key))
                self._note_references(target)

    def follow(self, path: TablePath) -> None:
        """Rows of the path's end come along, with all that is reached from them."""
        self.end_at(path)
        self._follow_outward(path)
        if table_id(path.end) not in self._memberless:
            self._follow_inward(path)

    def _follow_outward(self, path: TablePath) -> None:
        for target, key in self._outward(path.end):
            plain = not target.is_vocabulary and (target.schema != self._model.ml_schema or target.is_asset)
            if plain and table_id(target) not in path.tables:
                self.follow(path.then(Join(key.columns, target, key.referenced_columns)))

    def _follow_inward(self, path: TablePath) -> None:
        for table, key in self._referrers.get(table_id(path.end), ()):
            identity = table_id(table)
            if identity in path.tables or identity in self._closed_inward():
                continue
            self.follow(path.then(Join(key.referenced_columns, table, key.columns)))

    def _closed_inward(self) -> frozenset[TableId]:
        return self._memberless | self._of_datasets | self._excluded

    def _outward(self, table: Table) -> Iterator[tuple[Table, ForeignKey]]:
        for key in sorted(table.foreign_keys, key=lambda key: (key.schema, key.table, key.columns)):
            if (key.schema, key.table) not in self._excluded and (key.schema, key.table) in self._model.tables:
                yield self._model.tables[key.schema, key.table], key

    def _add(self, path: TablePath) -> None:
        self._paths.setdefault(table_id(path.end), []).append(path)
        self._count += 1
        if self._count > MAX_PATHS:
            raise DerivaMLException(
                f"more than {MAX_PATHS} ways lead through the tables of this catalog from the dataset's members "
                f"(the last: {' > '.join(join.table.name for join in path.joins)}); leave some out with exclude_tables"
            )


def _referrers(model: CatalogModel) -> dict[TableId, list[tuple[Table, ForeignKey]]]:
    found: dict[TableId, list[tuple[Table, ForeignKey]]] = {}
    for _, table in sorted(model.tables.items()):
        for key in sorted(table.foreign_keys, key=lambda key: (key.schema, key.table, key.columns)):
            found.setdefault((key.schema, key.table), []).append((table, key))
    return found

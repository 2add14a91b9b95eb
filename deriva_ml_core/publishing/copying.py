"""Rows of any table, with the rows and terms that they refer to, and the objects that assets are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import CatalogError, DerivaMLTableNotFound, DerivaMLValidationError
from deriva_ml_core.publishing.files import copy_objects, in_store, same_assets
from deriva_ml_core.publishing.mapping import RidMapping
from deriva_ml_core.publishing.origins import Origins
from deriva_ml_core.publishing.terms import TermCopier
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Association, ForeignKey, Table
    from deriva_ml_core.catalog.session import CatalogSession

Row = dict[str, Any]


@dataclass(slots=True)
class Copier:
    """
    Copies rows from one catalog into another.

    Args:
        made: "schema:Table" -> how many rows were new.
        files: how many objects were sent, and their bytes.
    """

    source: CatalogSession
    target: CatalogSession
    mapping: RidMapping
    origins: Origins
    made: dict[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    terms: TermCopier = field(init=False)
    _underway: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.terms = TermCopier(self.source, self.target)

    def target_table(self, table: Table) -> Table:
        """The table of the same name in the target; the deriva-ml schema may be called otherwise there."""
        return self.target.model.table((self._target_schema(table.schema), table.name))

    def has_target(self, table: Table) -> bool:
        """Whether the target has such a table."""
        return self.target.model.has_table((self._target_schema(table.schema), table.name))

    def require_tables(self, tables: Iterable[Table]) -> None:
        """
        Refuse before anything is written what the target has no place for.

        Raises:
            DerivaMLValidationError: all tables that it lacks, in one message.
        """
        lacking = sorted({str(table) for table in tables if not self.has_target(table)})
        if lacking:
            raise DerivaMLValidationError(
                f"catalog {self.target.catalog_id} of {self.target.hostname} lacks tables that these executions need; "
                "create them there, or give --create-tables",
                lacking,
            )

    def put(self, table: Table, wanted: Mapping[str, Row], *, is_found_again: bool) -> None:
        """
        Insert rows, by the RID that they have in the source; those that are there already stay as they are.

        Args:
            is_found_again: a key of theirs tells the next time that they are there; of others the target is told whose
                rows they are.
        """
        there = self.target_table(table)
        known = [other for rid in wanted if (other := self.mapping.get(rid)) is not None]
        stored = rows.select_by_rids(self.target, there, known, columns=["RID"]) if known else {}
        new = {rid: row for rid, row in wanted.items() if self.mapping.get(rid) not in stored}
        self._lease(table, [rid for rid in new if self.mapping.get(rid) is None], is_found_again)
        try:
            self._insert(there, new)
        except CatalogError as err:
            # Pairs of a process that died, and of rows that were deleted since: their leases are used up or another's.
            if err.status != 403 or not any(rid in known for rid in map(self.mapping.get, new)):
                raise
            self._lease(table, list(new), is_found_again)
            self._insert(there, new)

    def copy(self, table: Table, found: Mapping[str, Row]) -> None:
        """Rows of a table as they are in the source, with those that they refer to, their objects and their types."""
        # A row that refers to itself, through whatever others, is not copied to copy itself.
        todo = self._not_there(table, {rid: row for rid, row in found.items() if rid not in self._underway})
        if todo:
            self._find_by_keys(table, todo)
            self._underway |= todo.keys()
            self.copy_references(table, todo.values())
            self._underway -= todo.keys()
            todo = self._not_there(table, todo)
            urls = self._copy_objects(table, todo) if table.is_asset else {}
            todo = self._not_there(table, todo)
            is_found_again = table.is_asset or self._has_natural_key(table, todo)
            made = {rid: self.row(table, row) | urls.get(rid, {}) for rid, row in todo.items()}
            self.put(table, made, is_found_again=is_found_again)
        if table.is_asset:
            self._copy_types(table, found)

    def copy_references(self, table: Table, found: Iterable[Row]) -> None:
        """What the rows refer to: terms, assets, and rows of the project's tables."""
        all_rows = list(found)
        for key in self.references(table):
            values = sorted({row[key.columns[0]] for row in all_rows if row.get(key.columns[0]) is not None})
            other = self.source.model.table((key.schema, key.table))
            if other.is_vocabulary:
                self.terms.copy(self.target_table(other), key, values)
            elif values and self._is_copied_along(other):
                self.copy(other, rows.select_by_rids(self.source, other, values))

    def link(self, table: Table, links: Sequence[Row], columns: Mapping[str, Table | None]) -> None:
        """
        Rows of an association; those that are there stay.

        Args:
            columns: those that hold RIDs or terms of a table, which are translated, and others, which are taken as
                they are (None).
        """
        there = self.target_table(table)
        translated = [
            {
                name: self._translated(kind, row[name])
                for name, kind in columns.items()
                if name in there.columns and (kind is None or row.get(name) is not None)
            }
            for row in links
        ]
        self.insert_new(there, translated)

    def link_terms(self, kind: Association, rids: Iterable[str]) -> None:
        """The terms of these rows (of `kind.near`), added to the vocabulary where it lacks them."""
        links = list(rows.select(self.source, kind.table, {kind.near_column: sorted(rids)}))
        self.terms.add(self.target_table(kind.far), kind.far, {row[kind.far_column] for row in links})
        self.link(kind.table, links, {kind.near_column: kind.near, kind.far_column: kind.far})

    def insert_new(self, there: Table, translated: Sequence[Row]) -> None:
        """Insert those rows that clash with none of the target's."""
        if translated:
            new = rows.insert(self.target, there, translated, skip_existing=True)
            self.made[str(there)] = self.made.get(str(there), 0) + len(new)

    def row(self, table: Table, row: Row) -> Row:
        """The columns that the target has, translated; what refers to a row that is not copied refers to none."""
        there = self.target_table(table)
        copied = {name: row[name] for name in table.user_columns if name in there.columns}
        for key in self.references(table):
            (name,) = key.columns
            other = self.source.model.table((key.schema, key.table))
            if copied.get(name) is not None:
                is_term = other.is_vocabulary
                copied[name] = self.terms.value(key, copied[name]) if is_term else self.mapping.get(copied[name])
        return copied

    def references(self, table: Table) -> Iterable[ForeignKey]:
        """The foreign keys of a table that people and programs fill: not those of who made a row."""
        return (
            key
            for key in table.foreign_keys
            if len(key.columns) == 1 and key.columns[0] not in SYSTEM_COLUMNS and key.schema != "public"
        )

    # --- inside ---

    def _target_schema(self, schema: str) -> str:
        return self.target.model.ml_schema if schema == self.source.model.ml_schema else schema

    def _lease(self, table: Table, rids: Sequence[str], is_found_again: bool) -> None:
        if not rids:
            return
        pairs = dict(zip(rids, rows.lease_rids(self.target, len(rids)), strict=True))
        if not is_found_again:
            self.origins.store(str(self.target_table(table)), pairs)
        self.mapping.add(str(table), pairs)

    def _insert(self, there: Table, new: Mapping[str, Row]) -> None:
        if new:
            leased = [{"RID": self.mapping[rid], **row} for rid, row in new.items()]
            made = rows.insert(self.target, there, leased, leased=True)
            self.made[str(there)] = self.made.get(str(there), 0) + len(made)

    def _translated(self, kind: Table | None, value: Any) -> Any:
        if kind is None:
            return value
        return self.terms.name(self.target_table(kind), value) if kind.is_vocabulary else self.mapping[value]

    def _find_by_keys(self, table: Table, found: Mapping[str, Row]) -> None:
        """A row of the target with the same value of a key (a name, the address of a file elsewhere) is that row."""
        there = self.target_table(table)
        for column in self._natural_keys(table):
            values = {row[column]: rid for rid, row in found.items() if row.get(column) is not None}
            new = {value: rid for value, rid in values.items() if self.mapping.get(rid) is None}
            same = rows.select(self.target, there, {column: list(new)}, columns=["RID", column]) if new else ()
            self.mapping.add(str(table), {new[row[column]]: row["RID"] for row in same if row[column] in new})

    def _natural_keys(self, table: Table) -> list[str]:
        """Single columns that tell a row from all others, and are not references."""
        refer = {column for key in self.references(table) for column in key.columns}
        keys = (key[0] for key in self.target_table(table).keys if len(key) == 1)
        return [column for column in keys if column in table.user_columns and column not in refer]

    def _has_natural_key(self, table: Table, found: Mapping[str, Row]) -> bool:
        keys = self._natural_keys(table)
        return any(all(row.get(column) is not None for row in found.values()) for column in keys)

    def _not_there(self, table: Table, found: Mapping[str, Row]) -> dict[str, Row]:
        """Those that the target lacks. A RID that is written down may be of a row that was never inserted: we look."""
        known = [other for rid in found if (other := self.mapping.get(rid)) is not None]
        stored = rows.select_by_rids(self.target, self.target_table(table), known, columns=["RID"]) if known else {}
        return {rid: row for rid, row in found.items() if self.mapping.get(rid) not in stored}

    def _is_copied_along(self, table: Table) -> bool:
        """Rows of the project's own tables are, and files; the others of deriva-ml's have their own time."""
        return table.is_asset or table.schema != self.source.model.ml_schema

    def _copy_objects(self, table: Table, found: Mapping[str, Row]) -> dict[str, Row]:
        """RID -> the URL in the target's store, of those that it has not under the same name."""
        kept = in_store(found)
        already = same_assets(self.target, self.target_table(table), kept)
        self.mapping.add(str(table), {rid: other for rid, other in already.items() if self.mapping.get(rid) is None})
        todo = {rid: row for rid, row in kept.items() if rid not in already}
        urls = copy_objects(self.source, self.target, table, todo)
        self.files += len(urls)
        self.bytes += sum(int(todo[rid].get("Length") or 0) for rid in urls)
        return {rid: {"URL": url} for rid, url in urls.items()}

    def _copy_types(self, table: Table, rids: Iterable[str]) -> None:
        """What kinds of content the files have."""
        try:
            kind = self.source.model.type_link(table)
        except DerivaMLTableNotFound:
            return
        self.link_terms(kind, rids)

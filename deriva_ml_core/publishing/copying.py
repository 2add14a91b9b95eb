"""Rows of any table, with the rows and terms that they refer to, and the objects that assets are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.names import object_name, safe_file_name
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.errors import DerivaMLUploadError, DerivaMLValidationError
from deriva_ml_core.publishing.mapping import RidMapping
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import ForeignKey, Table
    from deriva_ml_core.catalog.session import CatalogSession

_WORKERS = 8
_HATRAC = "/hatrac/"
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
    made: dict[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0

    def target_table(self, table: Table) -> Table:
        """The table of the same name in the target; the deriva-ml schema may be called otherwise there."""
        return self.target.model.table((self._target_schema(table.schema), table.name))

    def require_tables(self, tables: Iterable[Table]) -> None:
        """
        Refuse before anything is written what the target has no place for.

        Raises:
            DerivaMLValidationError: all tables that it lacks, in one message.
        """
        lacking = sorted(
            {
                str(table)
                for table in tables
                if not self.target.model.has_table((self._target_schema(table.schema), table.name))
            }
        )
        if lacking:
            raise DerivaMLValidationError(
                f"catalog {self.target.catalog_id} of {self.target.hostname} lacks tables that these executions need "
                "(create them there, or give --create-tables)",
                lacking,
            )

    def put(self, table: Table, wanted: Mapping[str, Row]) -> None:
        """Insert rows, by the RID that they have in the source; those that are there already stay as they are."""
        there = self.target_table(table)
        new = [rid for rid in wanted if self.mapping.get(rid) is None]
        self.mapping.add(str(table), dict(zip(new, rows.lease_rids(self.target, len(new)), strict=True)) if new else {})
        stored = rows.select_by_rids(self.target, there, [self.mapping[rid] for rid in wanted], columns=["RID"])
        missing = [{"RID": self.mapping[rid], **row} for rid, row in wanted.items() if self.mapping[rid] not in stored]
        if missing:
            self.made[str(there)] = self.made.get(str(there), 0) + len(
                rows.insert(self.target, there, missing, leased=True)
            )

    def copy(self, table: Table, found: Mapping[str, Row]) -> None:
        """Rows of a table as they are in the source, with those that they refer to and their objects."""
        todo = self._not_there(table, found)
        if not todo:
            return
        self._find_by_keys(table, todo)
        self.copy_references(table, todo.values())
        todo = self._not_there(table, todo)
        urls = self._copy_objects(table, todo) if table.is_asset else {}
        self.put(table, {rid: self._row(table, row) | urls.get(rid, {}) for rid, row in todo.items()})

    def _find_by_keys(self, table: Table, found: Mapping[str, Row]) -> None:
        """A row of the target with the same value of a key (a name, the address of a file elsewhere) is that row."""
        there = self.target_table(table)
        for (column,) in (key for key in there.keys if len(key) == 1 and key[0] in table.user_columns):
            values = {row[column]: rid for rid, row in found.items() if row.get(column) is not None}
            new = {value: rid for value, rid in values.items() if self.mapping.get(rid) is None}
            same = rows.select(self.target, there, {column: list(new)}, columns=["RID", column]) if new else ()
            self.mapping.add(str(table), {new[row[column]]: row["RID"] for row in same if row[column] in new})

    def _not_there(self, table: Table, found: Mapping[str, Row]) -> dict[str, Row]:
        """Those that the target lacks. A RID that is written down may be of a row that was never inserted: we look."""
        known = [other for rid in found if (other := self.mapping.get(rid)) is not None]
        stored = rows.select_by_rids(self.target, self.target_table(table), known, columns=["RID"]) if known else {}
        return {rid: row for rid, row in found.items() if self.mapping.get(rid) not in stored}

    def copy_references(self, table: Table, found: Iterable[Row]) -> None:
        """What the rows refer to: terms, and rows of the project's tables."""
        all_rows = list(found)
        for key in self._references(table):
            values = sorted({row[key.columns[0]] for row in all_rows if row.get(key.columns[0]) is not None})
            other = self.source.model.table((key.schema, key.table))
            if other.is_vocabulary and values:
                self.add_terms(other, values)
            elif values and self._is_copied_along(other):
                self.copy(other, rows.select_by_rids(self.source, other, values))

    def add_terms(self, vocabulary: Table, names: Iterable[str]) -> None:
        """Terms of the source that the target lacks."""
        there = self.target_table(vocabulary)
        known = self.source.vocabularies.terms(vocabulary)
        for name in sorted(set(names)):
            if name in known:
                term = known[name]
                self.target.vocabularies.add(there, name, term.description, synonyms=term.synonyms)

    def link(self, table: Table, links: Sequence[Row], columns: Mapping[str, Table | None]) -> None:
        """
        Rows of an association; those that are there stay.

        Args:
            columns: those that hold RIDs, which are translated, and others, which are taken as they are (None).
        """
        there = self.target_table(table)
        translated = [
            {
                name: row[name] if kind is None else self.mapping[row[name]]
                for name, kind in columns.items()
                if name in there.columns and (kind is None or row.get(name) is not None)
            }
            for row in links
        ]
        if translated:
            new = rows.insert(self.target, there, translated, skip_existing=True)
            self.made[str(there)] = self.made.get(str(there), 0) + len(new)

    # --- inside ---

    def _target_schema(self, schema: str) -> str:
        return self.target.model.ml_schema if schema == self.source.model.ml_schema else schema

    def _references(self, table: Table) -> Iterable[ForeignKey]:
        return (
            key
            for key in table.foreign_keys
            if len(key.columns) == 1 and key.columns[0] not in SYSTEM_COLUMNS and key.schema != "public"
        )

    def _is_copied_along(self, table: Table) -> bool:
        """Rows of the project's own tables are; those of deriva-ml's have their own time."""
        return table.schema != self.source.model.ml_schema

    def _row(self, table: Table, row: Row) -> Row:
        """The columns that the target has, RIDs translated; what refers to a row that is not copied refers to none."""
        there = self.target_table(table)
        copied = {name: row[name] for name in table.user_columns if name in there.columns}
        for key in self._references(table):
            (name,) = key.columns
            other = self.source.model.table((key.schema, key.table))
            if name in copied and not other.is_vocabulary and copied[name] is not None:
                copied[name] = self.mapping.get(copied[name])
        return copied

    # --- objects ---

    def _copy_objects(self, table: Table, found: Mapping[str, Row]) -> dict[str, Row]:
        """The objects of these assets in the target's store: RID -> the URL there. Those that it has are not sent."""
        kept = {rid: row for rid, row in found.items() if str(row.get("URL") or "").startswith(_HATRAC)}
        already = self._same_assets(table, kept)
        for rid, other in already.items():
            if self.mapping.get(rid) is None:
                self.mapping.add(str(table), {rid: other})
        todo = {rid: row for rid, row in kept.items() if rid not in already}
        near = objects.near_files(self.source, [str(row["URL"]) for row in todo.values()])
        urls: dict[str, Row] = {}
        with tempfile.TemporaryDirectory(prefix="deriva-ml-publish-") as folder:

            def send(item: tuple[str, Row]) -> str:
                rid, row = item
                return self._send(table, row, near.get(str(row["URL"])), Path(folder, rid))

            for outcome in in_parallel(todo.items(), send, workers=_WORKERS):
                rid, row = outcome.job
                if outcome.answer is None:
                    raise DerivaMLUploadError(
                        f"{row.get('Filename')} ({table} {rid}) was not copied: {outcome.error}; repeat the command, "
                        "it goes on where it stopped"
                    ) from outcome.error
                urls[rid] = {"URL": outcome.answer}
                self.files += 1
                self.bytes += int(row.get("Length") or 0)
        return urls

    def _send(self, table: Table, row: Row, near: Path | None, place: Path) -> str:
        """One object into the target's store, checked against the checksum of its row on both ways."""
        md5 = str(row.get("MD5") or "").lower() or None
        path = near or objects.get_file(self.source, str(row["URL"]), place, md5=md5, length=row.get("Length"))
        try:
            name = f"{md5 or objects.file_md5(path)}.{safe_file_name(row.get('Filename'), str(row['RID']))}"
            there = objects.object_path(table.name, name)
            return objects.put_file(self.target, path, there, md5=md5, filename=row.get("Filename"))
        finally:
            place.unlink(missing_ok=True)

    def _same_assets(self, table: Table, found: Mapping[str, Row]) -> dict[str, str]:
        """RID -> RID of a row of the target with the same content under the same name."""
        there = self.target_table(table)
        md5s = sorted({str(row["MD5"]) for row in found.values() if row.get("MD5")})
        known = {
            object_name(str(row["URL"])): str(row["RID"])
            for row in rows.select(self.target, there, {"MD5": md5s}, columns=["RID", "URL"])
        }
        same: dict[str, str] = {}
        for rid, row in found.items():
            name = safe_file_name(row.get("Filename"), rid)
            if other := known.get(objects.object_path(table.name, f"{str(row.get('MD5')).lower()}.{name}")):
                same[rid] = other
        return same

"""
Which row became which, kept in the catalog that was written to: whoever repeats it, wherever, finds it there.

A row with a natural key (a term's name, a file's checksum, a workflow's code, a dataset's version) is found by it. The
pairs of all others are stored before the rows are inserted: as a file of Execution_Metadata, linked to the first
execution of those that were published with it. Its name has the moment at which the source began, which tells a
catalog from every other one, by whatever name it is served; a local/1 there are many.

A pair may be of a row that was never inserted, by a process that was killed: only rows that are there count.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.catalog import objects, rows

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.publishing.mapping import RidMapping

METADATA = "Execution_Metadata"
_PREFIX = "published-rows-"
_WORKERS = 8


def is_origin_file(name: str) -> bool:
    """Whether this is such a file: it is of the catalog that it is in, and goes into no other."""
    return name.startswith(_PREFIX)


def began(session: CatalogSession) -> str:
    """When the catalog's first term of deriva-ml was made, to the microsecond, in digits; its id where it has none."""
    first = rows.select(session, session.model.ml_table("Asset_Role"), columns=["RCT"], sort=["RCT"], limit=1)
    return next((re.sub(r"\D", "", row["RCT"])[:20] for row in first), session.catalog_id)


class Origins:
    """What the target knows of rows that came from the source."""

    def __init__(self, source: CatalogSession, target: CatalogSession) -> None:
        self._source, self._target = source, target
        self._name = f"{_PREFIX}{began(source)}.jsonl"
        self._there = target.model.ml_table(METADATA)
        self._unlinked: list[str] = []

    def learn(self, mapping: RidMapping) -> None:
        """Take over what was published by anybody since we last looked, here and there."""
        pairs: dict[str, dict[str, str]] = {}
        for table, here, there in self._read(self._target, self._name, mapping):
            pairs.setdefault(table, {})[here] = there
        for table, here, there in self._came_back(mapping):
            pairs.setdefault(table, {})[there] = here
        for name, known in pairs.items():
            if self._target.model.has_table(name):
                both = [*known.values(), *(rid for rid in map(mapping.get, known) if rid)]
                stored = rows.select_by_rids(self._target, name, both, columns=["RID"])
                new = {here: there for here, there in known.items() if mapping.get(here) not in stored}
                mapping.add(name, {here: there for here, there in new.items() if there in stored})

    def store(self, table: str, pairs: Mapping[str, str]) -> None:
        """Tell the target of pairs of one of its tables, before the rows are inserted."""
        lines = [json.dumps({"table": table, "source": here, "target": there}) for here, there in pairs.items()]
        with tempfile.TemporaryDirectory(prefix="deriva-ml-publish-") as folder:
            path = Path(folder, self._name)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            md5 = objects.file_md5(path)
            url = objects.put_file(
                self._target, path, objects.object_path(METADATA, f"{md5}.{self._name}"), md5=md5, filename=self._name
            )
            row = {"URL": url, "Filename": self._name, "Length": path.stat().st_size, "MD5": md5}
        row["Description"] = f"Which rows of {self._source.hostname}/{self._source.catalog_id} became which rows here"
        self._unlinked += [stored["RID"] for stored in rows.insert(self._target, self._there, [row])]

    def link(self, execution: str) -> None:
        """The files stored so far belong to this execution of the target."""
        model = self._target.model
        if not self._unlinked:
            return
        kind, use = model.type_link(self._there), model.execution_link(self._there)
        term = self._target.vocabularies.lookup(kind.far, METADATA).name
        types = [{kind.near_column: rid, kind.far_column: term} for rid in self._unlinked]
        uses = [{use.near_column: rid, use.far_column: execution, "Asset_Role": "Output"} for rid in self._unlinked]
        rows.insert(self._target, kind.table, types, skip_existing=True)
        rows.insert(self._target, use.table, uses, skip_existing=True)
        self._unlinked.clear()

    # --- inside ---

    def _came_back(self, mapping: RidMapping) -> Iterator[tuple[str, str, str]]:
        """Rows that came from the target, and now go back to it: they are there."""
        ours, theirs = self._source.model.ml_schema, self._target.model.ml_schema
        for table, there, here in self._read(self._source, f"{_PREFIX}{began(self._target)}.jsonl", mapping):
            schema, _, name = table.partition(":")
            yield f"{theirs if schema == ours else schema}:{name}", there, here

    def _read(self, session: CatalogSession, name: str, mapping: RidMapping) -> Iterator[tuple[str, str, str]]:
        """(table, RID there, RID here) of the files that we have not read yet, in the order in which they came."""
        table = session.model.ml_table(METADATA)
        found = rows.select(session, table, {"Filename": name}, columns=["RID", "URL", "MD5", "RCT"], sort=["RCT"])
        new = [row for row in found if not mapping.has_read(str(row["URL"]))]
        with tempfile.TemporaryDirectory(prefix="deriva-ml-publish-") as folder:

            def fetch(row: dict[str, Any]) -> str:
                path = Path(folder, row["RID"])
                return objects.get_file(session, row["URL"], path, md5=row["MD5"]).read_text(encoding="utf-8")

            texts = {outcome.job["RID"]: outcome for outcome in in_parallel(new, fetch, workers=_WORKERS)}
        for outcome in (texts[row["RID"]] for row in new):
            if outcome.answer is None:
                raise outcome.error or RuntimeError
            yield from _pairs(outcome.answer.splitlines())
        mapping.mark_read([str(row["URL"]) for row in new])


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        pair = json.loads(line)
        yield pair["table"], pair["source"], pair["target"]

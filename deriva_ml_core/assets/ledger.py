"""The list of an execution's outputs on disk, `assets.jsonl`: what was registered, stored, uploaded.

Each line is one fact about one key ("Table/path below the table's folder"); the last fact of a kind holds. A line is
one `write` at the end of the file, so a process that is killed leaves at most one torn line, at the end, which readers
skip and the next writer closes. Nothing is rewritten, nothing is lost.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from deriva_ml_core.assets.lines import append_lines, read_lines

Status = Literal["pending", "uploaded", "failed"]


@dataclass(frozen=True, slots=True)
class StagedAsset:
    """
    One registered output.

    Attributes:
        key: "Table/path below the table's folder".
        schema, table: the asset table.
        file_name: the asset's name in the catalog.
        asset_types: terms of Asset_Type.
        columns: values of the table's own columns, as JSON.
        description: text of the Description column.
        source: the user's own file that was linked or copied, None for a new file.
        directory: whether it was registered as a folder.
        status: pending (not in the catalog), uploaded, failed (not in the catalog, and why).
        stored_url, md5, size_bytes, mtime_ns: the object that the store has of it, and the state of the file then.
        rid: its row, once there is one.
        filled: values of columns that plugins gave, beside the model's own.
        prepared: the state of the file when plugins looked at it.
        made_by: the plugin that made it from another output.
    """

    key: str
    schema: str
    table: str
    file_name: str
    asset_types: tuple[str, ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)
    description: str | None = None
    source: str | None = None
    directory: bool = False
    status: Status = "pending"
    stored_url: str | None = None
    md5: str | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    rid: str | None = None
    error: str | None = None
    filled: dict[str, Any] = field(default_factory=dict)
    prepared: str | None = None
    made_by: str | None = None

    @property
    def qualified_table(self) -> str:
        """The table as reports name it: "schema/table"."""
        return f"{self.schema}/{self.table}"


_FIELDS = StagedAsset.__dataclass_fields__
_encoded = json.JSONEncoder(default=str).encode


class AssetLedger:
    """
    Reads and appends to one execution's `assets.jsonl`.

    Args:
        file: need not exist.

    Raises:
        WorkingFolderError: it can't be read or written.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._assets: dict[str, StagedAsset] = {}
        for fact in _read_facts(file):
            self._apply(fact)

    def __iter__(self) -> Iterator[StagedAsset]:
        return iter(list(self._assets.values()))

    def get(self, key: str) -> StagedAsset | None:
        """The output of this key, None if there is none."""
        return self._assets.get(key)

    def put(self, asset: StagedAsset) -> None:
        """Keep a registered output, new or changed."""
        self._append([{name: getattr(asset, name) for name in _FIELDS}])

    def update(self, key: str, **facts: Any) -> None:
        """Keep new facts of one output."""
        self._append([{"key": key, **facts}])

    def update_many(self, changes: Iterable[tuple[str, dict[str, Any]]], *, durable: bool = False) -> None:
        """Keep new facts of many outputs, in one write; `durable`: on the disk when this returns."""
        self._append([{"key": key, **facts} for key, facts in changes], durable=durable)

    def _append(self, facts: list[dict[str, Any]], *, durable: bool = False) -> None:
        if not facts:
            return
        with self._lock:
            append_lines(self._file, [_encoded(fact) for fact in facts], durable=durable)
            for fact in facts:
                self._apply(fact)

    def _apply(self, fact: dict[str, Any]) -> None:
        known = {name: value for name, value in fact.items() if name in _FIELDS}
        if "asset_types" in known:
            known["asset_types"] = tuple(known["asset_types"])
        old = self._assets.get(fact["key"])
        if old is not None:
            self._assets[old.key] = replace(old, **known)
        elif "table" in known:
            self._assets[known["key"]] = StagedAsset(**known)


def _read_facts(file: Path) -> Iterator[dict[str, Any]]:
    return (fact for fact in read_lines(file) if isinstance(fact.get("key"), str))

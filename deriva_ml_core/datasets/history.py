"""Versions of datasets in the catalog: read, and released.

How a version is tied to its moment. A release is made in this order:

1. the change itself (members inserted or deleted, say) is in the catalog,
2. the row of Dataset_Version is inserted, without a Snapshot,
3. Dataset.Version leads to it,
4. S, the catalog's latest snapshot, is asked for: it contains 1, 2 and 3,
5. the row's Snapshot becomes S.

So the catalog at S has the members, and the version as the dataset's current one; the row's own Snapshot is seen only
later, where everybody looks for it: in the living catalog. What others change between 1 and 4 belongs to the version
too, by the same rule: a version is the catalog at S. A release that is cut short between 2 and 5 leaves a row without
Snapshot: such a version is not readable and says so; the next release is a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.versions import DatasetVersion, VersionPart
from deriva_ml_core.errors import DerivaMLDatasetNotFound

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

DATASET, DATASET_VERSION = "Dataset", "Dataset_Version"
FIRST_VERSION = DatasetVersion(0, 1, 0)


@dataclass(frozen=True, slots=True)
class DatasetHistory:
    """One version of a dataset, as its row says; `snapshot` is None for a development label."""

    dataset_version: DatasetVersion
    dataset_rid: str
    version_rid: str
    execution_rid: str | None = None
    description: str = ""
    minid: str | None = None
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A dataset's row, with its versions, oldest first."""

    rid: str
    description: str
    deleted: bool
    current_version_rid: str | None
    history: tuple[DatasetHistory, ...]

    @property
    def current(self) -> DatasetHistory | None:
        """The newest release that has its snapshot; None where there is none yet."""
        released = [entry for entry in self.history if entry.dataset_version.is_released and entry.snapshot]
        return released[-1] if released else None

    def at(self, version: DatasetVersion | None) -> DatasetHistory:
        """
        The entry of a version that can be read again and again; None is the current one.

        Raises:
            DerivaMLDatasetNotFound: no such version, or one without a snapshot; the text lists those there are.
        """
        wanted = self.current if version is None else self._entry(version)
        if wanted is None:
            text = "no released version" if version is None else f"no version {version}"
            raise DerivaMLDatasetNotFound(f"dataset {self.rid} has {text}; its versions: {self._list}")
        if wanted.snapshot is None:
            raise DerivaMLDatasetNotFound(
                f"version {wanted.dataset_version} of dataset {self.rid} is tied to no snapshot (a development label, "
                f"or a release that was cut short), so it can't be repeated; its versions: {self._list}"
            )
        return wanted

    def require_release(self, entry: DatasetHistory) -> None:
        """
        Only a release is the input of an execution.

        Raises:
            DerivaMLDatasetNotFound: it is a development label.
        """
        if not entry.dataset_version.is_released:
            raise DerivaMLDatasetNotFound(
                f"{entry.dataset_version} of dataset {self.rid} is a development label, no version that a run can be "
                f"repeated with: release one (increment_dataset_version); its versions: {self._list}"
            )

    @property
    def _list(self) -> str:
        return ", ".join(str(entry.dataset_version) for entry in self.history if entry.snapshot) or "none"

    def _entry(self, version: DatasetVersion) -> DatasetHistory | None:
        return next((entry for entry in self.history if entry.dataset_version == version), None)


def read_datasets(
    session: CatalogSession, rids: Iterable[str] | None = None, *, deleted: bool = False
) -> dict[str, DatasetRecord]:
    """
    Datasets with their versions, by RID; two requests. RIDs of no dataset, and deleted ones, are missing.

    Args:
        rids: these; None means all.
        deleted: deleted ones too.
    """
    wanted = None if rids is None else [rows.normal_rid(rid) for rid in rids]
    dataset, version = session.model.ml_table(DATASET), session.model.ml_table(DATASET_VERSION)
    found = (
        {row["RID"]: row for row in rows.select(session, dataset)}
        if wanted is None
        else rows.select_by_rids(session, dataset, wanted)
    )
    kept = {rid: row for rid, row in found.items() if deleted or not row.get("Deleted")}
    if not kept:
        return {}
    filters = {} if wanted is None else {"Dataset": list(kept)}
    history: dict[str, list[DatasetHistory]] = {}
    for row in rows.select(session, version, filters):
        entry = _readable(row) if row.get("Dataset") in kept else None
        if entry is not None:
            history.setdefault(entry.dataset_rid, []).append(entry)
    return {rid: _record(row, history.get(rid, [])) for rid, row in sorted(kept.items())}


def read_dataset(session: CatalogSession, rid: str, *, deleted: bool = False) -> DatasetRecord:
    """
    One dataset with its versions.

    Raises:
        DerivaMLDatasetNotFound: the RID is no dataset's, or that of a deleted one.
    """
    record = read_datasets(session, [rid], deleted=True).get(rows.normal_rid(rid))
    if record is None:
        raise DerivaMLDatasetNotFound(f"{rid} is not a dataset of catalog {session.catalog_id}{_what(session, rid)}")
    if record.deleted and not deleted:
        raise DerivaMLDatasetNotFound(f"dataset {rid} was deleted")
    return record


def release(
    session: CatalogSession,
    versions: Mapping[str, DatasetVersion],
    *,
    description: str = "",
    execution_rid: str | None = None,
) -> dict[str, DatasetHistory]:
    """
    New versions of several datasets, all tied to one snapshot, in the order that this module describes; 4 requests.

    Raises:
        CatalogError: the server refused: somebody else released the same version, for one.
    """
    stored = rows.insert(
        session,
        session.model.ml_table(DATASET_VERSION),
        [
            {"Dataset": rid, "Version": str(version), "Description": description, "Execution": execution_rid}
            for rid, version in versions.items()
        ],
    )
    rows.update(
        session,
        session.model.ml_table(DATASET),
        [{"RID": row["Dataset"], "Version": row["RID"]} for row in stored],
    )
    snapshot = session.latest_snaptime()
    rows.update(
        session,
        session.model.ml_table(DATASET_VERSION),
        [{"RID": row["RID"], "Snapshot": snapshot} for row in stored],
    )
    return {row["Dataset"]: _entry({**row, "Snapshot": snapshot}) for row in stored}


def note_minid(session: CatalogSession, entry: DatasetHistory, minid: str, spec_hash: str) -> None:
    """
    Say in the row of a version that its bag has a MINID.

    Args:
        spec_hash: of all that decides which bag it is.

    Raises:
        DerivaMLAuthenticationError, CatalogError: no right to, or the server refused.
    """
    noted = {"RID": entry.version_rid, "Minid": minid, "Minid_Spec_Hash": spec_hash}
    rows.update(session, session.model.ml_table(DATASET_VERSION), [noted])


def next_versions(records: Iterable[DatasetRecord], part: VersionPart) -> dict[str, DatasetVersion]:
    """The version that follows the newest of each dataset, development labels counted by their release."""
    return {record.rid: _newest(record.history).increment(part) for record in records}


def _newest(history: Sequence[DatasetHistory]) -> DatasetVersion:
    if not history:
        return DatasetVersion(0, 0, 0)
    version = history[-1].dataset_version
    return DatasetVersion(version.major, version.minor, version.patch)


def _record(row: Mapping[str, Any], history: list[DatasetHistory]) -> DatasetRecord:
    return DatasetRecord(
        rid=row["RID"],
        description=row.get("Description") or "",
        deleted=bool(row.get("Deleted")),
        current_version_rid=row.get("Version"),
        history=tuple(sorted(history, key=lambda entry: entry.dataset_version)),
    )


def _readable(row: Mapping[str, Any]) -> DatasetHistory | None:
    """The entry of a row; None of a row whose version nobody can read: another tool's, or a person's mistake."""
    try:
        return _entry(row)
    except (TypeError, ValueError):
        log.warning("dataset %s: %r (row %s) is no version: left out", row["Dataset"], row.get("Version"), row["RID"])
        return None


def _entry(row: Mapping[str, Any]) -> DatasetHistory:
    return DatasetHistory(
        dataset_version=DatasetVersion(row["Version"]),
        dataset_rid=row["Dataset"],
        version_rid=row["RID"],
        execution_rid=row.get("Execution"),
        description=row.get("Description") or "",
        minid=row.get("Minid"),
        snapshot=row.get("Snapshot") or None,
    )


def _what(session: CatalogSession, rid: str) -> str:
    place = rows.locate_rid(session, rid) if rows.is_rid(rid) else None
    return f" but a row of {place[1]}" if place else ""

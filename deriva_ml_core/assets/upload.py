"""Outputs into the catalog: objects in parallel, rows in bulk, each step repeatable.

    file -> MD5 -> object /hatrac/<Table>/<md5>.<name> -> row (URL, …) -> types -> link to the execution

Every step says the same when it is said twice: an object is found by its content, a row by its URL, types and links by
their keys. What is done is written to the ledger as soon as it is done, so a later command goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.ledger import StagedAsset
from deriva_ml_core.assets.locks import file_lock
from deriva_ml_core.assets.manner import DEFAULT_MANNER, Manner, may_pass
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.preparing import PREPARE, Refused, prepare_outputs
from deriva_ml_core.assets.progress import ProgressCallback, ProgressMeter, UploadReport
from deriva_ml_core.assets.records import StoredFile, record_files
from deriva_ml_core.assets.sending import SMALL_BYTES, Sender, Sent
from deriva_ml_core.assets.staging import StagedFile, Staging
from deriva_ml_core.assets.transfer import Outcome, in_parallel, in_turn
from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

DEFAULT_WORKERS = 8
LANES = 3
"""Chunks of one file that travel at a time: one is read and one is written while a third is on its way."""
_GROUP = 8
_STORE_FACTS = ("stored_url", "md5", "size_bytes", "mtime_ns")


def upload_staged(
    session: CatalogSession,
    staging: Staging,
    execution_rid: str,
    *,
    progress: ProgressCallback | None = None,
    manner: Manner = DEFAULT_MANNER,
    tables: Collection[str] | None = None,
    workers: int = DEFAULT_WORKERS,
) -> UploadReport:
    """
    Bring what is staged and not yet uploaded into the catalog, linked to its execution as Output.

    One file's failure leaves the others alone; the report has a line for each, and `raise_for_failures`. Calling again
    finishes what is left; with nothing left it asks nothing of the catalog.

    Args:
        progress: called, one call at a time, with the state of the whole upload.
        tables: names of the asset tables whose files go up now; the others stay staged. All where None.
        workers: files sent at a time.

    Raises:
        WorkingFolderError: the ledger can't be written.
    """
    with file_lock(staging.folder / "upload.lock"):  # the second command finds nothing left to do
        upload = _Upload(
            session, staging, execution_rid, manner=manner, progress=progress, tables=tables, workers=workers
        )
        with session.client.timeouts(manner.timeout_s):
            return upload.run()


class _Upload:
    def __init__(
        self,
        session: CatalogSession,
        staging: Staging,
        execution_rid: str,
        *,
        manner: Manner,
        progress: ProgressCallback | None,
        tables: Collection[str] | None,
        workers: int,
    ) -> None:
        self._session, self._staging, self._execution = session, staging, execution_rid
        self._manner, self._workers = manner, workers
        self._refused: list[Refused] = []
        due = _due(staging, tables)
        if session.plugins.implements(PREPARE):
            files = [file for file, _ in due]
            self._refused = prepare_outputs(session, staging, execution_rid, files, workers=workers)
            refused = {file.path for file, _ in self._refused}
            due = [(file, size) for file, size in _due(staging, tables) if file.path not in refused]
        self._pending = [file for file, _ in due]
        self._sizes = {file.path: size for file, size in due}
        self._meter = ProgressMeter(progress, self._sizes)
        large = sum(size > objects.CHUNKED_FROM_BYTES for size in self._sizes.values())
        lanes = max(1, min(LANES, workers // max(1, large)))  # connections are bounded by the workers
        self._sender = Sender(session, staging, execution_rid, self._meter, chunk_size=manner.chunk_size, lanes=lanes)
        self.report = UploadReport(execution_rids=[execution_rid])

    def run(self) -> UploadReport:
        self._warn()
        left = self._attempt(self._pending)
        for pause_s in self._manner.pauses_s():
            if not left:
                break
            log.warning("%d file(s) were not uploaded; trying again in %.1f s", len(left), pause_s)
            time.sleep(pause_s)  # the server or the network may come back
            left = self._attempt([file for file, _ in left])
        for file, error in (*self._refused, *left):
            self._failed(file, error)
        if self._pending:
            self._meter.say("Uploaded", f"{self.report.total_uploaded} file(s)")
        return self.report

    def _attempt(self, files: Sequence[StagedFile]) -> list[tuple[StagedFile, DerivaMLException]]:
        """Send and record; the files that may succeed another time, each with its error."""
        sent: list[Sent] = []
        again: list[tuple[StagedFile, DerivaMLException]] = []
        for outcomes in self._outcomes(files):
            self._keep([outcome.answer for outcome in outcomes if outcome.answer is not None])
            for outcome in outcomes:
                if outcome.answer is not None:
                    sent.append(outcome.answer)
                elif outcome.error is not None and may_pass(outcome.error):
                    again.append((outcome.job, outcome.error))
                elif outcome.error is not None:
                    self._failed(outcome.job, outcome.error)
        order = {file.path: place for place, file in enumerate(files)}  # RIDs go up in the order of registration
        return again + self._record(sorted(sent, key=lambda one: order[one.file.path]))

    # --- objects ------------------------------------------------------------------------------------------------

    def _outcomes(self, files: Sequence[StagedFile]) -> Iterator[Sequence[Outcome[StagedFile, Sent]]]:
        """What becomes of each file, some at a time."""
        small = [file for file in files if self._sizes[file.path] <= SMALL_BYTES and not file.asset.stored_url]
        over = set[Path]()
        for outcomes in self._sender.send_small(small):
            over.update(outcome.job.path for outcome in outcomes)
            yield outcomes
        rest = [file for file in files if file.path not in over] if over else files
        for group in in_parallel(self._groups(rest), self._send_group, workers=self._workers, stop=self._meter.stop):
            yield group.answer or ()

    def _groups(self, files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
        """Small files a few at a time: handing each to a thread, and noting each, would cost as much as sending it."""
        size = max(1, min(_GROUP, len(files) // (8 * self._workers)))
        group: list[StagedFile] = []
        for file in files:
            if self._sizes[file.path] > SMALL_BYTES:
                yield [file]
                continue
            group.append(file)
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group

    def _send_group(self, files: Sequence[StagedFile]) -> list[Outcome[StagedFile, Sent]]:
        return list(in_turn(files, self._sender.send))

    def _keep(self, sent: Sequence[Sent]) -> None:
        self.report.bytes_sent += sum(one.bytes_sent for one in sent)
        ledger = self._staging.ledger
        changes: list[tuple[str, dict[str, Any]]] = []
        for one in sent:
            if not one.bytes_sent and one.asset == one.file.asset:
                continue
            if ledger.get(one.asset.key) is None:  # of a registered folder
                ledger.put(one.asset)
            else:
                changes.append((one.asset.key, {name: getattr(one.asset, name) for name in _STORE_FACTS}))
        ledger.update_many(changes)

    # --- rows ---------------------------------------------------------------------------------------------------

    def _record(self, sent: Iterable[Sent]) -> list[tuple[StagedFile, DerivaMLException]]:
        """Rows, types and links, table by table; what failed for want of an answer."""
        by_table: dict[tuple[str, str], list[Sent]] = {}
        for one in sent:
            by_table.setdefault((one.asset.schema, one.asset.table), []).append(one)
        again: list[tuple[StagedFile, DerivaMLException]] = []
        for outcome in in_parallel(by_table.items(), self._record_table, workers=4):
            if outcome.error is not None:  # no answer: nothing is known of the whole table
                again += [(one.file, outcome.error) for one in outcome.job[1]]
            again += outcome.answer or ()
        return again

    def _record_table(self, group: tuple[tuple[str, str], list[Sent]]) -> list[tuple[StagedFile, DerivaMLException]]:
        """What may succeed another time."""
        identity, sent = group
        files = [_stored(one.asset) for one in sent]
        result = record_files(self._session, identity, files, execution_rid=self._execution, role="Output")
        self.report.warnings += result.warnings
        done: list[tuple[str, dict[str, Any]]] = []
        again: list[tuple[StagedFile, DerivaMLException]] = []
        for one, rid in zip(sent, result.rids, strict=True):
            if isinstance(rid, str):
                done.append((one.asset.key, {"status": "uploaded", "rid": rid, "error": None}))
                self._succeeded(one, rid)
            elif may_pass(rid):
                again.append((one.file, rid))
            else:
                self._failed(one.file, rid)
        self._staging.ledger.update_many(done, durable=True)
        return again

    # --- the report ---------------------------------------------------------------------------------------------

    def _warn(self) -> None:
        for asset in self._staging.missing():
            self._warning(f"output {asset.key} was registered and never written ({self._staging.path(asset)})")
        for path in self._staging.unregistered():
            self._warning(f"{path} was never registered as an output: it is not uploaded, and stays there")

    def _warning(self, text: str) -> None:
        log.warning("%s", text)
        self.report.warnings.append(text)

    def _succeeded(self, sent: Sent, rid: str) -> None:
        table = sent.asset.qualified_table
        self.report.count(table).uploaded += 1
        self.report.assets.setdefault(table, []).append(
            AssetFilePath.of(
                sent.file.path,
                asset_table=sent.asset.table,
                file_name=sent.asset.file_name,
                asset_metadata=sent.asset.columns,
                asset_types=sent.asset.asset_types,
                asset_rid=rid,
            )
        )
        log.info("uploaded %s (%s bytes) as %s", sent.asset.key, sent.asset.size_bytes, rid)

    def _failed(self, file: StagedFile, error: DerivaMLException) -> None:
        self.report.count(file.asset.qualified_table).failed += 1
        self.report.errors.append(f"{file.asset.key}: {error}")
        self.report.unanswered += isinstance(error, CatalogUnreachable)
        if self._staging.ledger.get(file.asset.key) is not None:
            self._staging.ledger.update(file.asset.key, status="failed", error=str(error))


def _due(staging: Staging, tables: Collection[str] | None) -> list[tuple[StagedFile, int]]:
    """Files that go up now, each with its size in bytes."""
    pending = staging.pending_with_state()
    return [(file, stat.st_size) for file, stat in pending if tables is None or file.asset.table in tables]


def _stored(asset: StagedAsset) -> StoredFile:
    assert asset.stored_url is not None
    assert asset.md5 is not None
    assert asset.size_bytes is not None
    return StoredFile(
        url=asset.stored_url,
        file_name=asset.file_name,
        size_bytes=asset.size_bytes,
        md5=asset.md5,
        description=asset.description,
        columns={**asset.filled, **asset.columns},
        asset_types=asset.asset_types,
    )

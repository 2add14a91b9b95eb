"""Plugins look at outputs before these are stored: they fill columns, add types, make further outputs, or refuse."""

from __future__ import annotations

import hashlib
import mimetypes
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.ledger import StagedAsset
from deriva_ml_core.assets.names import shown
from deriva_ml_core.assets.staging import StagedFile, Staging
from deriva_ml_core.assets.tables import AssetTables
from deriva_ml_core.assets.transfer import in_parallel
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError, PluginHookError
from deriva_ml_core.hookvalues import FurtherOutput, OutputFile, Prepared

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

PREPARE = "deriva_prepare_output"
FOLDER = "prepared"
_METADATA = "Execution_Metadata"
_TYPES = mimetypes.MimeTypes()  # Python's own table: the machine's would make records differ, and costs 50 ms
_DEFAULT_TYPE = "application/octet-stream"

Refused = tuple[StagedFile, DerivaMLException]


def content_type(file_name: str) -> str:
    """The media type that a name's suffix stands for."""
    return _TYPES.guess_type(file_name)[0] or _DEFAULT_TYPE


def output_of(file: StagedFile, execution_rid: str, *, size_bytes: int, md5: str = "") -> OutputFile:
    """A staged file as plugins see it."""
    asset = file.asset
    return OutputFile(
        path=file.path,
        schema=asset.schema,
        table=asset.table,
        file_name=asset.file_name,
        size_bytes=size_bytes,
        execution_rid=execution_rid,
        md5=md5,
        content_type=content_type(asset.file_name),
        asset_types=asset.asset_types,
        columns={**asset.filled, **asset.columns},
        description=asset.description,
    )


def prepare_outputs(
    session: CatalogSession, staging: Staging, execution_rid: str, files: Sequence[StagedFile], *, workers: int
) -> list[Refused]:
    """
    Ask plugins about files that they have not seen as they are now; what these say is in the ledger afterwards.

    Returns:
        Files that must not be stored, with the reason.
    """
    work = _Preparation(session, staging, execution_rid)
    refused: list[Refused] = []
    for outcome in in_parallel([file for file in files if _is_due(file)], work.ask, workers=workers):
        try:
            if outcome.error is not None:
                raise outcome.error
            work.keep(outcome.job, outcome.answer or [])
        except DerivaMLException as err:
            refused.append((outcome.job, err))
    return refused


def _is_due(file: StagedFile) -> bool:
    asset = file.asset
    return asset.table != _METADATA and asset.made_by is None and asset.prepared != _state(file.path)


def _state(path: Path) -> str:
    """Size and time of a file: a change asks anew."""
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}"


class _Preparation:
    def __init__(self, session: CatalogSession, staging: Staging, execution_rid: str) -> None:
        self._session, self._staging, self._execution = session, staging, execution_rid
        self._tables = AssetTables(session)

    def ask(self, file: StagedFile) -> list[tuple[str, Prepared]]:
        """Every plugin's word; in threads."""
        output = output_of(file, self._execution, size_bytes=file.path.stat().st_size)
        answers: list[tuple[str, Prepared]] = []
        folder = self._staging.folder / FOLDER / hashlib.sha256(file.asset.key.encode()).hexdigest()[:16]
        shutil.rmtree(folder, ignore_errors=True)
        for name in self._session.plugins.implementers(PREPARE):
            own = folder / name.replace(":", ".")
            own.mkdir(parents=True)
            answer = self._session.plugins.one(PREPARE, name, output=output, folder=own, catalog=self._session)
            if answer is None:
                continue
            if not isinstance(answer, Prepared):
                raise PluginHookError(f"plugin {name}, {PREPARE}: answered {answer!r}, not a Prepared", plugin=name)
            if answer.refusal is not None:
                raise DerivaMLValidationError(f"plugin {name} refuses it: {answer.refusal}")
            answers.append((name, answer))
        return answers

    def keep(self, file: StagedFile, answers: Sequence[tuple[str, Prepared]]) -> None:
        """Check what plugins said as if the model had said it, and write it to the ledger."""
        asset, table = file.asset, self._tables.find(f"{file.asset.schema}:{file.asset.table}")
        filled: dict[str, Any] = {}
        types = list(asset.asset_types)
        for _, answer in answers:
            filled |= answer.columns
            types += self._tables.check_types(table, answer.asset_types)
        own = {name: value for name, value in asset.columns.items() if value is not None}
        checked = self._tables.check_columns(table, {**filled, **own}, complete=True)
        facts: dict[str, Any] = {
            "filled": {name: value for name, value in checked.items() if name not in own},
            "asset_types": tuple(dict.fromkeys(types)),
            "prepared": _state(file.path),
        }
        for name, answer in answers:
            for further in answer.further:
                self._register(name, asset, further)
        self._staging.keep_facts(asset, facts)

    def _register(self, plugin: str, asset: StagedAsset, further: FurtherOutput) -> None:
        """A plugin's own file, in the place that the file it was made from has in its table."""
        if not further.path.is_file():
            raise PluginHookError(f"plugin {plugin}, {PREPARE}: {shown(str(further.path))} is not there", plugin=plugin)
        inside = PurePosixPath(*PurePosixPath(asset.key).parts[1:-1])
        self._staging.register(
            further.table,
            further.path,
            further.asset_types or None,
            rename_file=str(inside / further.file_name),
            metadata=further.columns,
            description=further.description,
            made_by=plugin,
        )

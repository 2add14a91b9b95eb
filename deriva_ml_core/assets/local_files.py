"""Files that stay where they are: their rows say where that is and what is in them; their bytes are never sent."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.records import StoredFile, record_files
from deriva_ml_core.assets.specs import LocalFile
from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError, WorkingFolderError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

_FILE = "File"


def record_local_input(session: CatalogSession, local: LocalFile, execution_rid: str | None) -> AssetFilePath:
    """A file of this machine: its row says where it is and what was in it; its bytes stay here."""
    path = Path(os.path.abspath(local.path.expanduser()))  # noqa: PTH100  # a link keeps its own name
    if not path.is_file():
        raise DerivaMLValidationError(f"input {path} is {'a folder' if path.is_dir() else 'not there'}: give a file")
    try:
        md5 = objects.file_md5(path)
    except OSError as err:
        raise WorkingFolderError(f"can't read the input {path}: {err.strerror}") from err
    rid = None
    if execution_rid is not None:
        url = f"file://{socket.gethostname()}{quote(str(path))}#md5={md5}"
        file = StoredFile(url=url, file_name=path.name, size_bytes=path.stat().st_size, md5=md5, asset_types=(_FILE,))
        table = session.model.ml_table(_FILE)
        recorded = record_files(
            session, (table.schema, table.name), [file], execution_rid=execution_rid, role="Input"
        ).rids[0]
        if isinstance(recorded, DerivaMLException):
            raise recorded
        rid = recorded
    return AssetFilePath.of(path, asset_table=_FILE, file_name=path.name, asset_types=(_FILE,), asset_rid=rid)

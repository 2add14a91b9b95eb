"""A report as an output of the execution that it tells of, without touching that execution's status."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.analysis.documents import find_recorded
from deriva_ml_core.analysis.report import report_page
from deriva_ml_core.assets.records import StoredFile, record_files
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)

FILE_NAME = "report.html"
_TABLE = "Execution_Metadata"  # it describes executions, and is none of what a model made


def store_report(session: CatalogSession, rid: str, page: str) -> str:
    """
    Store a page as an output, in the place of the one that the execution has; its asset's RID.

    A sweep that is resumed, or recovered, has one page, which is of all its jobs; snapshots of the catalog keep what it
    was.

    Raises:
        DerivaMLException: it can't be stored.
    """
    with tempfile.TemporaryDirectory(prefix="deriva-ml-report-") as folder:
        path = Path(folder, FILE_NAME)
        path.write_text(page, encoding="utf-8")
        md5 = objects.file_md5(path)
        place = objects.object_path(_TABLE, f"{md5}.{FILE_NAME}")
        url = objects.put_file(session, path, place, md5=md5, content_type="text/html; charset=utf-8")
        size = path.stat().st_size
    file = StoredFile(url, FILE_NAME, size, md5, "What the executions of this sweep were given and measured.")
    table = session.model.ml_table(_TABLE)
    if earlier := find_recorded(session, [rid], f"^{re.escape(FILE_NAME)}$"):
        rows.update(session, table, [{"RID": earlier[-1].rid, **file.row()}])
        return earlier[-1].rid
    recorded = record_files(session, (table.schema, table.name), [file], execution_rid=rid).rids[0]
    if isinstance(recorded, DerivaMLException):
        raise recorded
    return recorded


def keep_report(session: CatalogSession, cache_dir: Path, rid: str) -> str | None:
    """The report of a sweep that has ended, stored; whatever goes wrong is a warning, for the sweep is over."""
    try:
        return store_report(session, rid, report_page(session, cache_dir, rid))
    except Exception as err:  # noqa: BLE001  # nothing here may change how a sweep ends
        log.warning("no report of %s was stored (%s); make one: deriva-ml-executions report %s", rid, err, rid)
        return None

"""
Whether a root folder is good: every database, every row's constraints, every object's hash.

SQLite's integrity check walks every page and index and looks at not-null, unique and check constraints; its foreign key
check looks at every reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from .database import connect
from .ermrest.soundness import defects
from .hatrac import metadata
from .hatrac.store import ContentStore, hash_file
from .root import Root

MAX_FINDINGS_PER_DATABASE = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: where, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found wrong."""

    catalogs: int
    objects: int
    findings: list[Finding]
    strays: int = 0
    """Content files of no version, left by a process that died: harmless, and taken up by the next PUT of the same."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = [{"where": finding.where, "what": finding.what} for finding in self.findings]
        return {"catalogs": self.catalogs, "objects": self.objects, "strays": self.strays, "findings": found}


def check(root: Root) -> Report:
    """Look at everything in a root folder. Reads all content, so it takes as long as reading the disk does."""
    findings = list(_check_database(root.path / "registry.db", "registry.db"))
    if findings:  # nothing else can be found through a broken registry
        return Report(0, 0, findings)
    entries = root.registry.catalogs()
    for entry in entries:
        where = f"catalog {entry.id}"
        database = root.catalog_folder(entry) / "catalog.db"
        if not database.exists():
            findings.append(Finding(where, f"{database} is missing"))
            continue
        broken = list(_check_database(database, where))
        findings += broken or [Finding(where, defect) for defect in defects(database, read_only=True)]
    objects, strays, wrong = _check_objects(root)
    return Report(len(entries), objects, findings + wrong, strays)


def _check_database(path: Path, where: str) -> Iterator[Finding]:
    try:
        database = connect(path, read_only=True)
    except apsw.Error as err:
        yield Finding(where, f"cannot be opened: {err}")
        return
    try:
        for row in database.execute(f"PRAGMA integrity_check({MAX_FINDINGS_PER_DATABASE})"):
            if row[0] != "ok":
                yield Finding(where, str(row[0]))
        for table, rowid, parent, _ in database.execute("PRAGMA foreign_key_check"):
            yield Finding(where, f"row {rowid} of table {table} refers to a row of {parent} that is not there")
    except apsw.Error as err:
        yield Finding(where, f"cannot be read: {err}")
    finally:
        database.close()


def _check_objects(root: Root) -> tuple[int, int, list[Finding]]:
    """How many objects there are, how many files that are none, and what is wrong."""
    with root.registry.reading() as db:
        if not db.table_exists(None, "hatrac_version"):
            return 0, 0, []
        rows: list[Any] = db.execute(
            "SELECT DISTINCT v.sha256, v.size, v.metadata ->> ?, n.path || ':' || v.version "
            "FROM hatrac_version v JOIN hatrac_name n ON n.id = v.name GROUP BY v.sha256",
            (f'$."{metadata.MD5}"',),
        ).fetchall()
    store = ContentStore(root.objects, root.uploads)
    findings = [finding for row in rows for finding in _check_object(store, *row)]
    known = {row[0].hex() for row in rows}
    strays = sum(path.parent.name + path.name not in known for path in root.objects.glob("*/*"))
    return len(rows), strays, findings


def _check_object(store: ContentStore, sha256: bytes, size: int, md5: str | None, name: str) -> Iterator[Finding]:
    where, path = f"object /hatrac{name}", store.path_of(sha256)
    try:
        found, found_md5, found_size = hash_file(path, md5=md5 is not None)
    except OSError as err:
        yield Finding(where, f"{path} cannot be read: {err.strerror}")
        return
    if found_size != size:
        yield Finding(where, f"{path} has {found_size} bytes, not {size}")
    if found != sha256:
        yield Finding(where, f"{path} has another SHA-256, {found.hex()}")
    elif md5 and found_md5 != metadata.decode_hash(md5):
        yield Finding(where, f"{path} has another MD5 than the {md5} that was told")

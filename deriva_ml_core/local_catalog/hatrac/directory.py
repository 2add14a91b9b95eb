"""
Hatrac's names, versions and upload jobs in `registry.db`.

A deleted name stays behind as a tombstone, since it may never be bound again; deleted versions and jobs go. Every
function takes a connection, so that a caller decides what makes one transaction.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import apsw

from .metadata import Metadata
from .names import prefixes, url

SCHEMA = """
CREATE TABLE IF NOT EXISTS hatrac_name (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    parent INTEGER REFERENCES hatrac_name (id),
    namespace INTEGER NOT NULL CHECK (namespace IN (0, 1)),
    acls TEXT NOT NULL,
    created REAL NOT NULL,
    deleted REAL
) STRICT;
CREATE INDEX IF NOT EXISTS hatrac_name_parent ON hatrac_name (parent);
CREATE TABLE IF NOT EXISTS hatrac_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name INTEGER NOT NULL REFERENCES hatrac_name (id),
    version TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    size INTEGER NOT NULL CHECK (size >= 0),
    metadata TEXT NOT NULL,
    acls TEXT NOT NULL,
    forward TEXT,
    created REAL NOT NULL,
    UNIQUE (name, version)
) STRICT;
CREATE INDEX IF NOT EXISTS hatrac_version_sha256 ON hatrac_version (sha256);
CREATE TABLE IF NOT EXISTS hatrac_upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL UNIQUE,
    name INTEGER NOT NULL REFERENCES hatrac_name (id),
    owner TEXT NOT NULL,
    chunk_length INTEGER NOT NULL CHECK (chunk_length > 0),
    content_length INTEGER NOT NULL CHECK (content_length >= 0),
    metadata TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS hatrac_upload_name ON hatrac_upload (name);
CREATE TABLE IF NOT EXISTS hatrac_chunk (
    upload INTEGER NOT NULL REFERENCES hatrac_upload (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO hatrac_name (id, path, parent, namespace, acls, created) VALUES (1, '', NULL, 1, '{}', 0);
"""

Acls = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Name:
    """A bound name, or one that was deleted."""

    id: int
    path: str
    is_namespace: bool
    acls: Acls
    deleted: bool

    @property
    def url(self) -> str:
        """Its URL."""
        return url(self.path)


@dataclass(frozen=True, slots=True)
class Version:
    """One content of an object. `forward` is `PATH:VERSION` where it was renamed to."""

    id: int
    version: str
    sha256: bytes
    size_bytes: int
    metadata: Metadata
    acls: Acls
    forward: str | None

    @property
    def etag(self) -> str:
        """A version never changes, so that its identifier is its tag."""
        return f'"{self.version}"'


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished upload."""

    id: int
    job: str
    owner: list[str]
    chunk_bytes: int
    size_bytes: int
    metadata: Metadata

    @property
    def chunks(self) -> int:
        """How many chunks make the whole."""
        return -(-self.size_bytes // self.chunk_bytes)


def new_identifier() -> str:
    """A version or job identifier: 26 random hexadecimal symbols."""
    return secrets.token_hex(13).upper()


@lru_cache(maxsize=1024)
def _acls(text: str) -> Acls:
    """Lists as they are stored. Most objects have the same few; nobody may change what is returned."""
    parsed: Acls = json.loads(text)
    return parsed


# Names


def lineage(db: apsw.Connection, path: str) -> list[Name]:
    """The name and all above it that were ever bound, root first."""
    paths = prefixes(path)
    marks = ",".join("?" * len(paths))
    sql = f"SELECT id, path, namespace, acls, deleted FROM hatrac_name WHERE path IN ({marks}) ORDER BY length(path)"  # noqa: S608  marks are question marks
    rows: list[Any] = db.execute(sql, paths).fetchall()
    return [Name(row[0], row[1], bool(row[2]), _acls(row[3]), row[4] is not None) for row in rows]


def bind(db: apsw.Connection, path: str, parent: Name, *, namespace: bool, owner: Sequence[str]) -> Name:
    """Bind a name that never was."""
    acls = {"owner": list(owner)}
    sql = "INSERT INTO hatrac_name (path, parent, namespace, acls, created) VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, (path, parent.id, int(namespace), json.dumps(acls), time.time()))
    return Name(db.last_insert_rowid(), path, namespace, acls, deleted=False)


def children(db: apsw.Connection, name: Name) -> list[str]:
    """The paths of what lies directly in a namespace, sorted."""
    sql = "SELECT path FROM hatrac_name WHERE parent = ? AND deleted IS NULL ORDER BY path"
    rows: list[Any] = db.execute(sql, (name.id,)).fetchall()
    return [row[0] for row in rows]


def subtree(db: apsw.Connection, name: Name) -> list[Name]:
    """A name and everything below it, parents before children. "0" is the character after "/"."""
    sql = (
        "SELECT id, path, namespace, acls FROM hatrac_name "
        "WHERE deleted IS NULL AND (path = ?1 OR (path >= ?1 || '/' AND path < ?1 || '0')) ORDER BY path"
    )
    rows: list[Any] = db.execute(sql, (name.path,)).fetchall()
    return [Name(row[0], row[1], bool(row[2]), _acls(row[3]), deleted=False) for row in rows]


def delete_names(db: apsw.Connection, names: Iterable[Name]) -> tuple[set[bytes], list[str]]:
    """Delete names with their versions and jobs; returns the hashes and job identifiers that were theirs."""
    hashes: set[bytes] = set()
    jobs: list[str] = []
    for name in names:
        hashes.update(
            row[0] for row in db.execute("DELETE FROM hatrac_version WHERE name = ? RETURNING sha256", (name.id,))
        )
        jobs.extend(row[0] for row in db.execute("DELETE FROM hatrac_upload WHERE name = ? RETURNING job", (name.id,)))
        db.execute("UPDATE hatrac_name SET deleted = ? WHERE id = ?", (time.time(), name.id))
    return hashes, jobs


def set_name_acls(db: apsw.Connection, name: Name, acls: Acls) -> None:
    """Replace the lists of a name."""
    db.execute("UPDATE hatrac_name SET acls = ? WHERE id = ?", (json.dumps(acls), name.id))


# Versions

_VERSION = "SELECT id, version, sha256, size, metadata, acls, forward FROM hatrac_version"


def _as_version(row: Any) -> Version | None:
    if row is None:
        return None
    identity, version, sha256, size, metadata, acls, forward = row
    return Version(identity, version, sha256, size, json.loads(metadata), _acls(acls), forward)


def current(db: apsw.Connection, name: Name) -> Version | None:
    """The newest version of an object."""
    return _as_version(db.execute(f"{_VERSION} WHERE name = ? ORDER BY id DESC LIMIT 1", (name.id,)).fetchone())


def find_version(db: apsw.Connection, name: Name, version: str) -> Version | None:
    """One version of an object."""
    return _as_version(db.execute(f"{_VERSION} WHERE name = ? AND version = ?", (name.id, version)).fetchone())


def versions(db: apsw.Connection, name: Name) -> list[Version]:
    """Every version of an object, newest first."""
    rows = db.execute(f"{_VERSION} WHERE name = ? ORDER BY id DESC", (name.id,)).fetchall()
    return [version for row in rows if (version := _as_version(row))]


def add_version(
    db: apsw.Connection,
    name: Name,
    *,
    sha256: bytes,
    size_bytes: int,
    metadata: Metadata,
    acls: Acls,
    version: str | None = None,
) -> str:
    """Make a version the current one; returns its identifier."""
    version = version or new_identifier()
    sql = (
        "INSERT INTO hatrac_version (name, version, sha256, size, metadata, acls, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    db.execute(sql, (name.id, version, sha256, size_bytes, json.dumps(metadata), json.dumps(acls), time.time()))
    return version


def delete_version(db: apsw.Connection, version: Version) -> None:
    """Forget a version."""
    db.execute("DELETE FROM hatrac_version WHERE id = ?", (version.id,))


def set_version_metadata(db: apsw.Connection, version: Version, metadata: Metadata) -> None:
    """Replace the metadata of a version."""
    db.execute("UPDATE hatrac_version SET metadata = ? WHERE id = ?", (json.dumps(metadata), version.id))


def set_version_acls(db: apsw.Connection, version: Version, acls: Acls) -> None:
    """Replace the lists of a version."""
    db.execute("UPDATE hatrac_version SET acls = ? WHERE id = ?", (json.dumps(acls), version.id))


def forward_version(db: apsw.Connection, version: Version, target: str) -> None:
    """Let a version stand for another: `target` is `PATH:VERSION`."""
    db.execute("UPDATE hatrac_version SET forward = ? WHERE id = ?", (target, version.id))


def is_referenced(db: apsw.Connection, sha256: bytes) -> bool:
    """Whether any version has this content."""
    return db.execute("SELECT 1 FROM hatrac_version WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone() is not None


# Upload jobs

_UPLOAD = "SELECT id, job, owner, chunk_length, content_length, metadata FROM hatrac_upload"


def add_upload(
    db: apsw.Connection, name: Name, *, owner: Sequence[str], chunk_bytes: int, size_bytes: int, metadata: Metadata
) -> str:
    """Open an upload job; returns its identifier."""
    job = new_identifier()
    sql = (
        "INSERT INTO hatrac_upload (job, name, owner, chunk_length, content_length, metadata, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    row = (job, name.id, json.dumps(list(owner)), chunk_bytes, size_bytes, json.dumps(metadata), time.time())
    db.execute(sql, row)
    return job


def find_upload(db: apsw.Connection, name: Name, job: str) -> Upload | None:
    """One job of an object."""
    row: Any = db.execute(f"{_UPLOAD} WHERE name = ? AND job = ?", (name.id, job)).fetchone()
    return Upload(row[0], row[1], json.loads(row[2]), row[3], row[4], json.loads(row[5])) if row else None


def uploads(db: apsw.Connection, name: Name) -> list[str]:
    """The identifiers of an object's jobs, oldest first."""
    rows: list[Any] = db.execute("SELECT job FROM hatrac_upload WHERE name = ? ORDER BY id", (name.id,)).fetchall()
    return [row[0] for row in rows]


def note_chunk(db: apsw.Connection, upload: Upload, number: int) -> None:
    """Remember that a chunk is there."""
    db.execute("INSERT OR IGNORE INTO hatrac_chunk (upload, number) VALUES (?, ?)", (upload.id, number))


def chunks_noted(db: apsw.Connection, upload: Upload) -> int:
    """How many different chunks are there."""
    row: Any = db.execute("SELECT count(*) FROM hatrac_chunk WHERE upload = ?", (upload.id,)).fetchone()
    return int(row[0])


def delete_upload(db: apsw.Connection, upload: Upload) -> None:
    """Close a job."""
    db.execute("DELETE FROM hatrac_upload WHERE id = ?", (upload.id,))

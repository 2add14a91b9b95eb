"""
Which file system a folder is on: SQLite's WAL needs shared memory and locks that network file systems do not give.

Source: https://www.sqlite.org/wal.html ("All processes using a database must be on the same host computer; WAL does
not work over a network filesystem").
"""

from pathlib import Path

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "afpfs",
        "webdav",
        "lustre",
        "gpfs",
        "beegfs",
        "beegfs_nodev",
        "glusterfs",
        "ceph",
        "cephfs",
        "afs",
        "openafs",
        "coda",
        "panfs",
        "pvfs2",
        "orangefs",
        "davfs",
        "davfs2",
        "ncpfs",
        "gfs2",
        "ocfs2",
        "acfs",
        "wekafs",
        "daos",
    }
)
NETWORK_FUSE = frozenset(
    {
        "sshfs",
        "glusterfs",
        "ceph",
        "s3fs",
        "gcsfuse",
        "rclone",
        "mount-s3",
        "goofys",
        "juicefs",
        "davfs2",
        "curlftpfs",
        "smbnetfs",
        "beegfs",
        "dfuse",
        "cvmfs2",
        "objectivefs",
        "blobfuse",
        "blobfuse2",
        "nfs",
        "moosefs",
        "mfs",
        "seaweedfs",
    }
)


def network_type(folder: Path, table: str | None = None) -> str | None:
    """
    The type of the network file system that a folder is on, or None where it is local.

    Args:
        table: the mounts in the form of Linux's /proc/self/mountinfo; None: this process's.
    """
    kind = _type_of(folder.resolve(), _mounts(table))
    name = kind.lower()
    fuse = name.removeprefix("fuse.") if name.startswith("fuse.") else ""
    return kind if name in NETWORK_TYPES or fuse in NETWORK_FUSE else None


def _type_of(folder: Path, mounts: list[tuple[str, str]]) -> str:
    """The type of the mount with the longest path above the folder; the last one mounted there wins."""
    best, kind = -1, ""
    for point, mounted in mounts:
        if folder.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), mounted
    return kind


def _mounts(table: str | None) -> list[tuple[str, str]]:
    """(mount point, type) of every mount."""
    if table is None:
        try:
            table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return _mounts_elsewhere()
    return [pair for line in table.splitlines() if (pair := _parse(line))]


def _parse(line: str) -> tuple[str, str] | None:
    """One line of mountinfo; its optional fields end at a lone dash (man 5 proc)."""
    before, dash, after = line.partition(" - ")
    fields, described = before.split(" "), after.split(" ")
    if not dash or len(fields) < 5:
        return None
    return fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"), described[0]


def _mounts_elsewhere() -> list[tuple[str, str]]:
    """Where there is no /proc, such as macOS."""
    import psutil  # slow to import, and needed on few machines

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]

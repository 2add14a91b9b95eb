"""
`host.lock`: which host has a root folder open.

Every process of one host that uses the folder holds a shared flock on the file; the first to come writes down its
host, the last to leave wipes it. A file that names another host therefore means that this host has the folder open, or
died with it open. Hosts are told apart by boot id (containers of one machine share it), machine id and name: any one
that agrees means the same machine.
"""

import fcntl
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from .errors import RootError


class HostLock:
    """A held host.lock; released by `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """
        Take the lock.

        Raises:
            RootError: another host has the folder open.
        """
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._enter()
        except BaseException:  # whatever went wrong, the descriptor must not keep the lock
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Give the lock back; wipe the file if nobody else of this host holds it."""
        if self._fd < 0:
            return
        with suppress(OSError):  # others hold it: the last of them wipes it
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
        self.abandon()

    def abandon(self) -> None:
        """Close our descriptor only: in a forked child, whose parent goes on holding the lock."""
        os.close(self._fd)
        self._fd = -1

    def _enter(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody of this kernel is there already, and has written the host
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            self._check()
            return
        self._check()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(this_host()).encode(), 0)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def _check(self) -> None:
        with suppress(ValueError):  # empty or half written: nobody's
            holder = json.loads(os.pread(self._fd, 4096, 0))
            if isinstance(holder, dict) and not same_host(holder, this_host()):
                raise RootError(
                    f"{self._path.parent} is open on host {holder.get('host', '?')}: only one host may use a root "
                    "folder. Run `deriva-ml-catalog serve` there and connect to it over the network. "
                    f"If that host is gone for good, remove {self._path}."
                )


def this_host() -> dict[str, str]:
    """What identifies this machine."""
    found = {"host": platform.node(), "boot": _first_line("/proc/sys/kernel/random/boot_id")}
    found["machine"] = _first_line("/etc/machine-id")
    return {name: value for name, value in found.items() if value}


def same_host(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two descriptions may be of one machine."""
    return any(value == other.get(name) for name, value in one.items())


def _first_line(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="ascii").strip()
    return ""

"""Checksums of objects: MD5, as Hatrac and the asset tables use it. It guards against accidents, not attackers."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any


def md5(data: bytes = b"") -> Any:
    """A new MD5 over these first bytes."""
    return hashlib.md5(data, usedforsecurity=False)


def file_md5(path: Path) -> str:
    """The MD5 of a file as lower-case hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, md5).hexdigest()


def as_base64(hex_digest: str) -> str:
    """A checksum as HTTP headers carry it."""
    return base64.b64encode(binascii.unhexlify(hex_digest)).decode()


def as_hex(base64_digest: str | None) -> str | None:
    """A checksum as the catalog stores it; None for none."""
    return base64.b64decode(base64_digest).hex() if base64_digest else None

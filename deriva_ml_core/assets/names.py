"""Which names a file may have: one rule for outputs that we stage and for inputs that a catalog names."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from deriva_ml_core.errors import DerivaMLValidationError

MAX_NAME_BYTES = 255  # of one name, on the file systems that we know
# The object's name is "<32 hex digits>.<file name>", and the store keeps each name below 255 bytes too.
MAX_ASSET_NAME_BYTES = MAX_NAME_BYTES - 33

# Unicode's control characters (Cc), surrogates (Cs), line and paragraph separators (Zl, Zp).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_file_name(name: str) -> str:
    """
    The name itself, if it can be a file's name and an asset's.

    Raises:
        DerivaMLValidationError: it is empty, '.' or '..', holds a slash or a control character, or is too long.
    """
    reason = _fault(name)
    if reason:
        raise DerivaMLValidationError(f"{shown(name)} can't be the name of an asset's file: {reason}")
    return name


def _fault(name: str) -> str:
    if name in ("", ".", ".."):
        return "give a file's name"
    if "/" in name or "\\" in name:
        return "it has a slash"
    if _UNPRINTABLE.search(name):
        return "it has a control character"
    size_bytes = len(name.encode())
    if size_bytes > MAX_ASSET_NAME_BYTES:
        return f"it has {size_bytes} bytes, at most {MAX_ASSET_NAME_BYTES} are possible"
    return ""


def check_relative_path(text: str) -> PurePosixPath:
    """
    A path below a folder that cannot leave it; each part is a name by `check_file_name`.

    Raises:
        DerivaMLValidationError: it is absolute, leads out of the folder, or a part of it is no name.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DerivaMLValidationError(
            f"{shown(text)} does not exist and can't be a new output: give a name without '..' and leading slash"
        )
    for part in path.parts or ("",):
        check_file_name(part)
    return path


def safe_file_name(name: str | None, fallback: str) -> str:
    """
    A name from a catalog as one that is safe on disk, and itself where it already is.

    Characters that could leave the folder or confuse a terminal become '_'; a long name is cut and keeps its suffix;
    where something changed, six hex digits of the original's hash keep two such names apart.
    """
    if not name:
        return fallback
    if not _fault(name):
        return name
    digest = hashlib.md5(name.encode(errors="replace"), usedforsecurity=False).hexdigest()[:6]
    cleaned = re.sub(r"[/\\]", "_", _UNPRINTABLE.sub("_", name))
    stem, dot, suffix = cleaned.strip(".").rpartition(".")
    if not stem or len(suffix) > 16:
        stem, dot, suffix = cleaned.strip(".") or fallback, "", ""
    room = MAX_ASSET_NAME_BYTES - len(suffix.encode()) - 8
    return f"{stem.encode()[:room].decode(errors='ignore')}-{digest}{dot}{suffix}"


def hatrac_path(table: str, md5: str, file_name: str) -> str:
    """Where an asset's bytes live: `/hatrac/<Table>/<md5>.<file name>`, percent-encoded (COMPAT section 14)."""
    return f"/hatrac/{quote(table, safe='')}/{md5}.{quote(file_name, safe='')}"


def object_name(url: str) -> str:
    """
    The URL of an object without its version: what stays the same when the same bytes are stored again.

    Hatrac adds `:<version>` to the last part of the path; a colon of the name itself is percent-encoded.
    """
    head, slash, last = url.rpartition("/")
    return head + slash + re.sub(r":[^:]*$", "", last)


def file_name_of(url: str) -> str:
    """The last part of an object's URL, without its version, as a person would write it."""
    return unquote(object_name(url).rpartition("/")[2])


def shown(name: str) -> str:
    """A name for a message: quoted, control characters escaped, cut at 80 characters."""
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-12:]}"

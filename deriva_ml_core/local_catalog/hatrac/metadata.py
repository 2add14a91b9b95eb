"""
What is kept about a version besides its content: content type, disposition and the checksums that its maker sent.

The same four fields come as headers of a PUT, as members of an upload job, and as ;metadata sub-resources. Source:
Hatrac docs/REST-API.md, "Metadata Sub-Resources".
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ..errors import BadRequest

TYPE = "content-type"
DISPOSITION = "content-disposition"
MD5 = "content-md5"
SHA256 = "content-sha256"
FIELDS = (TYPE, DISPOSITION, MD5, SHA256)
DEFAULT_TYPE = "application/octet-stream"

_HASH_BYTES = {MD5: 16, SHA256: 32}
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_FILENAME = re.compile(r"filename\*=UTF-8''((?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+)", re.IGNORECASE)

Metadata = dict[str, str]


def from_mapping(given: Mapping[str, Any]) -> Metadata:
    """
    The metadata among headers or members of a document; a field that is not given stays unset.

    Raises:
        BadRequest: a malformed value.
    """
    return {field: normal(field, given[field]) for field in FIELDS if given.get(field) is not None}


def normal(field: str, value: Any) -> str:
    """
    The stored form of a value: types in lower case without parameters, checksums in base64.

    Raises:
        BadRequest: no such field, or a malformed value.
    """
    if field not in FIELDS:
        raise BadRequest(f"There is no metadata field {field!r}: use one of {', '.join(FIELDS)}.")
    if not isinstance(value, str):
        raise BadRequest(f"{field} must be a text.")
    if field in _HASH_BYTES:
        return _checksum(field, value.strip())
    return _media_type(value) if field == TYPE else _disposition(value.strip())


def encode_hash(digest: bytes) -> str:
    """A digest as headers show it."""
    return base64.b64encode(digest).decode()


def decode_hash(text: str) -> bytes:
    """The digest in a stored checksum."""
    return base64.b64decode(text)


def _checksum(field: str, text: str) -> str:
    size = _HASH_BYTES[field]
    try:
        digest = bytes.fromhex(text) if len(text) == 2 * size else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != size:
        raise BadRequest(f"{field} {text!r} is not {size} bytes in base64 or hexadecimal.")
    return encode_hash(digest)


def _media_type(value: str) -> str:
    text = value.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(text):
        raise BadRequest(f"{TYPE} {value!r} is not of the form type/subtype.")
    return text


def _disposition(text: str) -> str:
    """Only a bare file name (RFC 6266 with RFC 8187), which can name no folder and break no header."""
    found = _FILENAME.fullmatch(text)
    if not found or re.search(r"%(2F|5C|00)", found[1], re.IGNORECASE):
        raise BadRequest(f"{DISPOSITION} {text!r} is not of the form filename*=UTF-8''NAME, NAME escaped, no folder.")
    return text

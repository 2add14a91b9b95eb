"""
Hatrac's URLs, as syntax: /hatrac/NAMESPACE/…/NAME[:VERSION][;SUBRESOURCE[/ARGUMENT…]].

A name is kept in its canonical escaped form (`/a%20b/c%2Cd`; the root is the empty string), which is unique, safe in an
answer, and never a file path: content lies under its hash. Source: Hatrac docs/REST-API.md, "URL Conventions"; which
characters need escaping and what is refused: NOTES.md "Hatrac".
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from ..errors import BadRequest, Unrouted

PREFIX = "/hatrac"
_SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+")
_VERSION = re.compile(r"[A-Za-z0-9]{1,64}")
MAX_NAME_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL denotes: a name, perhaps one version of it, perhaps a sub-resource with arguments."""

    path: str
    version: str | None = None
    sub: str | None = None
    arguments: tuple[str, ...] = ()


def parse_target(raw_path: str) -> Target:
    """
    Parse the raw path of a request, `/hatrac` included.

    Raises:
        BadRequest: a name with characters that must be escaped, or a dot name.
        Unrouted: a version or sub-resource that cannot exist.
    """
    resource, semicolon, sub_text = raw_path.removeprefix(PREFIX).partition(";")
    resource, colon, version = resource.partition(":")
    if colon and not _VERSION.fullmatch(version):
        raise Unrouted(raw_path)
    path = canonical(resource)
    if not semicolon:
        return Target(path, version if colon else None)
    sub, *arguments = sub_text.split("/")
    if arguments and not arguments[-1]:
        arguments.pop()
    return Target(path, version if colon else None, sub, tuple(_unescape(argument) for argument in arguments))


def canonical(raw: str) -> str:
    """
    The canonical form of an escaped name; one slash at the end does not count.

    Raises:
        BadRequest: no name.
    """
    if len(raw) > MAX_NAME_CHARS:
        raise BadRequest(f"A name has at most {MAX_NAME_CHARS} characters.")
    if raw in {"", "/"}:
        return ""
    if not raw.startswith("/"):
        raise BadRequest(f"{raw!r} is no name: it must start with a slash.")
    return "".join("/" + _canonical_segment(segment) for segment in raw.removesuffix("/")[1:].split("/"))


def _canonical_segment(segment: str) -> str:
    if not _SEGMENT.fullmatch(segment):
        raise BadRequest(f"{segment!r} is no name: it is empty or has characters that must be percent-encoded.")
    name = _unescape(segment) if "%" in segment else segment
    if name in {".", ".."}:
        raise BadRequest(f"{segment!r} is no name.")
    return quote(name, safe="") if "%" in segment else segment


def _unescape(text: str) -> str:
    try:
        name = unquote_to_bytes(text).decode()
    except UnicodeDecodeError as err:
        raise BadRequest(f"{text!r} is not UTF-8.") from err
    if "\0" in name:
        raise BadRequest("A name has no zero bytes.")
    return name


def prefixes(path: str) -> list[str]:
    """A name and all above it, root first: `/a/b` gives `""`, `/a`, `/a/b`."""
    found = [""]
    for segment in path.split("/")[1:]:
        found.append(f"{found[-1]}/{segment}")
    return found


def url(path: str, version: str | None = None) -> str:
    """The URL of a name or of one version of it."""
    return PREFIX + (path or "/") + (f":{version}" if version else "")


def basename(path: str) -> str:
    """The last segment, escaped."""
    return path.rpartition("/")[2]

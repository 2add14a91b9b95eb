"""
/deposit: many small objects in one request.

    POST /deposit   [[PATH, SIZE, MD5, TYPE, DISPOSITION], …] NEWLINE CONTENT CONTENT …   ->   [URL, null, …]

No part of Deriva's protocol. A PUT of 4 KiB costs its client and its server more than the bytes and the disk do: this
is `bulk.py` for those who are in another process or on another machine. Each object is what a PUT with ?parents=true
would make it, unless the current version has that content already; null stands for one that a PUT would refuse.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from ..auth import Client
from ..errors import BadRequest, MethodNotAllowed, Unrouted
from ..http import Request, json_response, parse_json
from .bulk import SmallObject

KIND = "application/x-deriva-ml-objects"
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""All of them wait in memory."""

StoreSmall = Callable[[Client, Iterable[Sequence[SmallObject]]], Iterator[list[str | None]]]


@dataclass(frozen=True, slots=True)
class _Deposited:
    """A SmallObject."""

    path: str
    content: bytes
    md5: str
    content_type: str
    disposition: str


class DepositService:
    """
    Answers at /deposit.

    Args:
        store_small: HatracService.store_small.
    """

    def __init__(self, store_small: StoreSmall) -> None:
        self._store_small = store_small

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        if request.raw_path != "/deposit":
            raise Unrouted(request.raw_path)
        if request.method != "POST":
            raise MethodNotAllowed(headers={"Allow": "POST"})
        if request.content_kind != KIND:
            raise BadRequest(f"Send {KIND}.")
        batch = _parse(request.body(limit_bytes=MAX_BATCH_BYTES))
        return json_response([url for urls in self._store_small(request.client, [batch]) for url in urls])


def _parse(data: bytes) -> list[_Deposited]:
    """
    The objects of a request.

    Raises:
        BadRequest: it has another form, or more or fewer bytes than it says.
    """
    told, _, contents = data.partition(b"\n")
    lines = parse_json(told)
    if not isinstance(lines, list) or not all(map(_is_object, lines)):
        raise BadRequest("Begin with a JSON array of [path, size, MD5, content type, disposition], in one line.")
    if sum(line[1] for line in lines) != len(contents):
        raise BadRequest(f"{len(contents)} bytes are not what {len(lines)} objects have together.")
    found, start = [], 0
    for path, size, *described in lines:
        found.append(_Deposited(path, contents[start : start + size], *described))
        start += size
    return found


def _is_object(line: Any) -> bool:
    return (
        isinstance(line, list)
        and len(line) == 5
        and type(line[1]) is int
        and line[1] >= 0
        and all(isinstance(text, str) for place, text in enumerate(line) if place != 1)
    )

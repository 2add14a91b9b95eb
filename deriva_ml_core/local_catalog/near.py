"""
/near: where objects lie on this disk, for clients on this machine that may read them there.

    POST /near   ["/hatrac/a/b:VERSION", …]   ->   ["/root/objects/ab/cdef…", null, …]

No part of Deriva's protocol. One question stands for thousands of GETs of small objects. A path is told only to whom a
GET would send the content, and is of use only to whom the file system lets read it; null stands for everything else.
Whoever comes through a proxy is not on this machine, and is told that there is no such page.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from werkzeug.wrappers import Response

from .auth import Client
from .authn import LOOPBACK_NAMES
from .errors import BadRequest, MethodNotAllowed, Unrouted
from .http import Request, is_loopback, json_response

_FORWARDED = ("Forwarded", "X-Forwarded-For", "Via")

Locate = Callable[[Client, Sequence[str]], list[Path | None]]


class NearService:
    """
    Answers below /near.

    Args:
        locate: HatracService.locate.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        if request.raw_path != "/near" or not _is_near(request):
            raise Unrouted(request.raw_path)
        if request.method != "POST":
            raise MethodNotAllowed(headers={"Allow": "POST"})
        paths = request.document()
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise BadRequest("Send a JSON array of the paths of objects.")
        found = self._locate(request.client, paths)
        return json_response([None if file is None else str(file.absolute()) for file in found])


def _is_near(request: Request) -> bool:
    """Whether both ends of the connection are on this machine, as the client sees it too."""
    host = request.host.rpartition(":")[0] or request.host
    return (
        is_loopback(request.environ.get("REMOTE_ADDR", ""))
        and host.strip("[]") in LOOPBACK_NAMES
        and not any(name in request.headers for name in _FORWARDED)
    )

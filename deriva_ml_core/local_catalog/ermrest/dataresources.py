"""
The data resources of a catalog: entity, attribute, attributegroup, aggregate.

Here a request becomes a call of reading.py or writing.py, and their answer a response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, get_args

from deriva_ml_core.local_catalog.ermrest import reading, writing
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.runningtime import WRITING_S, limited
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api
from deriva_ml_core.local_catalog.errors import BadRequest, MethodNotAllowed, TooLarge
from deriva_ml_core.local_catalog.http import Response

MAX_ROWS_BYTES = 256 * 1024 * 1024
"""
The rows of one request are held in memory, several times over, but only those of one request to a catalog at a time; a
client sends more in several requests.
"""
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
APIS = frozenset(get_args(Api))


def answer(call: Call, api: Api, path: str) -> Response:
    """
    Answer a request to a data resource.

    Args:
        call: the request.
        api: the first word of the path below the catalog.
        path: what follows it, still escaped.
    """
    if not path:
        raise BadRequest(f"/{api}/ needs the name of a table.")
    if call.request.verb == "GET":
        return _read_rows(call, api, path)
    changes: dict[str, Callable[..., Answer]] = {
        "POST": writing.post,
        "PUT": writing.put,
        "DELETE": writing.delete,
    }
    if call.request.verb not in changes:
        raise MethodNotAllowed(f"{call.request.method} is not provided by this resource.")
    request = call.request
    call.admit()  # before a long body is read
    accept = request.headers.get("Accept", "")
    with _received(call) as body, call.write() as txn, limited(txn.db, WRITING_S):
        wanted = writing.Input(api, path, request.raw_query, request.content_kind, accept, body)
        rows = changes[request.verb](txn, call.client, wanted)
    return call.answer(_response(rows), txn.snaptime if txn.is_changed else txn.newest)


@contextmanager
def _received(call: Call) -> Iterator[IO[bytes]]:
    """
    The body of a write, whole; a long one is in a file without a name, until it is its writer's turn.

    Raises:
        TooLarge: it is longer than MAX_ROWS_BYTES.
    """
    request = call.request
    left = MAX_ROWS_BYTES
    if (request.content_length or 0) > left:
        raise TooLarge(f"At most {MAX_ROWS_BYTES} bytes are taken here.")
    with SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(call.catalog.path.parent)) as body:
        while request.verb != "DELETE" and (piece := request.stream.read(_PIECE_BYTES)):
            left -= len(piece)
            if left < 0:
                raise TooLarge(f"At most {MAX_ROWS_BYTES} bytes are taken here.")
            body.write(piece)
        body.seek(0)
        yield body


def _read_rows(call: Call, api: Api, path: str) -> Response:
    """Rows are written while they are read, so the snapshot stays open until the answer is sent."""
    request = call.request
    with ExitStack() as stack:
        view = stack.enter_context(call.read())
        answer = reading.get(view, call.client, api, path, request.raw_query, request.headers.get("Accept", ""))
        response = call.answer(_response(answer), view.snaptime)
        if not isinstance(answer.body, list):
            response.call_on_close(stack.pop_all().close)
    return response


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    if answer.content_type is None:
        response.headers.pop("Content-Type", None)
    response.headers.update(answer.headers)
    return response

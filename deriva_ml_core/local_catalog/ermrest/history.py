"""
/history/FROM,UNTIL: which snapshots there are, and the end of what is too old.

Truncation forgets what had ended at a time; every snapshot from then on stays exactly as it was. What changes the past
itself (amending ACLs or annotations, redacting values) is not provided.

Source: ERMrest docs, "History Operations".
"""

from __future__ import annotations

import re

from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.identifiers import decode, encode, time_text
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, MethodNotAllowed, NotFound, NotProvided
from deriva_ml_core.local_catalog.http import Response, json_response

_SNAPSHOT = re.compile(r"[0-9A-Za-z-]+")
_LATEST = 2**63 - 1


def read_snapshot(raw: str) -> int:
    """The time that a snapshot id means; one that is badly escaped is 400, one that is no id 409 (observed)."""
    if not _SNAPSHOT.fullmatch(raw):
        raise BadRequest(f"{raw!r} is not a snapshot id.")
    snaptime = decode(raw)
    if snaptime is None:
        raise Conflict(f"{raw!r} is not a snapshot id.")
    return snaptime


def answer(call: Call, raw_range: str) -> Response:
    """
    Answer a request to a range of history.

    Args:
        call: the request.
        raw_range: what follows /history/, still escaped: `FROM,UNTIL`, either of them perhaps empty.
    """
    first, comma, rest = raw_range.partition(",")
    last, slash, _ = rest.partition("/")
    if not comma or call.asked is not None:
        raise NotFound("History is a resource of the catalog itself: catalog/ID/history/FROM,UNTIL.")
    if slash:
        raise NotProvided("The past cannot be amended or redacted: it stays as it was.")
    low = read_snapshot(first) if first else 0
    high = read_snapshot(last) if last else _LATEST
    if call.request.verb == "GET":
        return _range(call, low, high)
    if call.request.verb != "DELETE":
        raise MethodNotAllowed(f"{call.request.method} is not provided.", headers={"Allow": "GET, DELETE"})
    if first or not last:
        raise BadRequest("History is truncated from its beginning until a snapshot: DELETE history/,UNTIL.")
    with call.write() as txn:
        if not Access(txn.model, call.client).catalog("owner"):
            raise call.client.refusal("It needs ownership of the catalog.")
        _truncate(txn, high)
    return call.answer(Response(status=204), txn.snaptime if txn.is_changed else txn.newest)


def _range(call: Call, low: int, high: int) -> Response:
    with call.read() as view:
        sql = "SELECT min(snaptime), max(snaptime) FROM snapshot WHERE snaptime BETWEEN ? AND ?"
        first, last = view.db.execute(sql, (low, high)).get
        if first is None:
            raise Conflict("There is no snapshot in this range.")
        amended = view.db.execute("SELECT max(snaptime) FROM amendment WHERE until >= ?", (low,)).get
        document = {
            "amendver": None if amended is None else encode(amended),
            "snaprange": [encode(first), encode(last)],
        }
        return call.answer(json_response(document), view.snaptime)


def _truncate(txn: Transaction, asked: int) -> None:
    """Forget what had ended at the newest snapshot that is not after the time asked."""
    db = txn.db
    until = db.execute("SELECT max(snaptime) FROM snapshot WHERE snaptime <= ?", (min(asked, txn.newest),)).get
    if until is None:
        return  # nothing is as old as that
    time = time_text(until)
    gone = [oid for (oid,) in db.execute("SELECT oid FROM element GROUP BY oid HAVING max(until) <= ?", (until,))]
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'h[0-9]*'").fetchall():
        if int(str(name)[1:]) in gone:
            db.execute(f"DROP TABLE {name}; DROP TABLE t{str(name)[1:]}")
        else:
            db.execute(f"DELETE FROM {name} WHERE until <= ?", (time,))
    db.execute("DELETE FROM element WHERE until <= ?", (until,))
    db.execute("DELETE FROM snapshot WHERE snaptime < ?", (until,))
    oldest = "SELECT max(snaptime) FROM model_change WHERE snaptime <= ?1"
    db.execute(f"DELETE FROM model_change WHERE snaptime < ({oldest})", (until,))
    db.execute("INSERT INTO amendment VALUES (?, ?)", (txn.snaptime, until))
    txn.changed()

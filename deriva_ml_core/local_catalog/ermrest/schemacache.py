"""
The text of /schema, kept for those who ask again.

The document is long and depends only on the model and on who asks; of the snapshot it has nothing but its name.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from threading import Lock

from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.documents import Writer
from deriva_ml_core.local_catalog.ermrest.storage import View

_KEPT = 8
_texts: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
_lock = Lock()


def schema_json(call: Call, view: View) -> bytes:
    """The body of GET /schema."""
    key = (call.catalog.path, call.client, view.model.snaptime, view.past)
    with _lock:
        text = _texts.get(key)
        if text is not None:
            _texts.move_to_end(key)
    if text is None:
        text = _written(view, Access(view.model, call.client))
        with _lock:
            _texts[key] = text
            while len(_texts) > _KEPT:
                _texts.popitem(last=False)
    return b'{"snaptime":"%b",%b' % (view.snapshot.encode(), text)


def _written(view: View, access: Access) -> bytes:
    """The document without its opening brace."""
    document = Writer.for_view(view, access).whole()
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()[1:] + b"\n"

"""
The model resources of a catalog: what each answers to each method.

Reads find an element in the view's model and write its document; writes (modelwriting.py, modelparts.py) change a
draft, which becomes the model.

Source: ERMrest docs, "Model Operations"; NOTES.md "Model" for the statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deriva_ml_core.local_catalog.ermrest import definitions, modelparts, modelwriting
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.documents import Writer
from deriva_ml_core.local_catalog.ermrest.edit import Edit
from deriva_ml_core.local_catalog.ermrest.locating import Element, Finder, Target, parse
from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Schema, Table
from deriva_ml_core.local_catalog.ermrest.modelparts import acls_of, acls_shown, member, require_owner
from deriva_ml_core.local_catalog.ermrest.schemacache import schema_json
from deriva_ml_core.local_catalog.ermrest.storage import View
from deriva_ml_core.local_catalog.errors import BadRequest, MethodNotAllowed, NotFound
from deriva_ml_core.local_catalog.http import JSON, Response, json_response, text_response

MAX_COMMENT_BYTES = 1024 * 1024
CHANGES = modelwriting.CHANGES | modelparts.CHANGES


def answer(call: Call, raw_path: str) -> Response:
    """
    Answer a request to a model resource.

    Args:
        raw_path: what follows catalog/ID/, still escaped: schema..., annotation..., acl...
    """
    target = parse(raw_path)
    verb = call.request.verb
    if verb == "GET":
        return _get(call, target)
    change = CHANGES.get((verb, target.part or target.kind, target.name is not None))
    if change is None:
        raise MethodNotAllowed(f"{verb} is not provided by this resource.")
    call.admit()  # before a long body is read
    body = _body(call, target)
    with call.write() as txn:
        response = change(Edit(txn, call.client, target, body))
    return call.answer(response, txn.snaptime)


def _body(call: Call, target: Target) -> Any:
    """The request's body: text for comments, JSON for the rest, nothing for DELETE."""
    if call.request.verb == "DELETE":
        return None
    if target.part != "comment":
        return call.request.document(required=bool(target.part))
    try:
        return definitions.check_text(call.request.body(limit_bytes=MAX_COMMENT_BYTES).decode(), "comment")
    except UnicodeDecodeError as err:
        raise BadRequest("A comment is UTF-8 text.") from err


# Reading


def _get(call: Call, target: Target) -> Response:
    with call.read() as view:
        if target.kind == "schemas":
            return call.answer(Response(schema_json(call, view), content_type=JSON), view.snaptime)
        finder = Finder(view.model, call.client)
        writer = Writer.for_view(view, finder.access)
        if target.part:
            return call.answer(_get_part(call, view, finder, target), view.snaptime)
        return call.answer(json_response(_DOCUMENTS[target.kind](finder, writer, target)), view.snaptime)


_DOCUMENTS: dict[str, Callable[[Finder, Writer, Target], Any]] = {
    "schema": lambda find, write, target: write.schema(find.schema(target)),
    "tables": lambda find, write, target: [write.table(t) for t in write.visible_tables(find.schema(target))],
    "table": lambda find, write, target: write.table(find.table(target)),
    "columns": lambda find, write, target: _columns(write, find.table(target)),
    "column": lambda find, write, target: write.column(*find.column(target)),
    "keys": lambda find, write, target: _keys(write, find.table(target)),
    "key": lambda find, write, target: write.key(*find.key(target)),
    "foreignkeys": lambda find, write, target: _foreign_keys(write, find.table(target)),
    "foreignkeys_of": lambda find, write, target: [write.foreign_key(f) for f in find.foreign_keys_of(target)],
    "foreignkey": lambda find, write, target: [write.foreign_key(find.foreign_key(target))],
}


def _columns(writer: Writer, table: Table) -> list[Any]:
    return [writer.column(table, column) for column in writer.visible_columns(table)]


def _keys(writer: Writer, table: Table) -> list[Any]:
    return [writer.key(table, key) for key in writer.visible_keys(table)]


def _foreign_keys(writer: Writer, table: Table) -> list[Any]:
    """A list of lists (observed): the foreign keys that share their columns stand together."""
    groups: dict[tuple[int, ...], list[Any]] = {}
    for fkey in writer.visible_foreign_keys(table):
        groups.setdefault(tuple(sorted(fkey.columns)), []).append(writer.foreign_key(fkey))
    return list(groups.values())


def _get_part(call: Call, view: View, finder: Finder, target: Target) -> Response:
    table, element = finder.element(target)
    if target.part == "comment":
        assert element is not None
        if element.comment is None:
            raise NotFound(f"The {target.kind} has no comment.")
        return text_response(element.comment + "\n")
    if target.part == "annotation":
        annotations = view.model.annotations if element is None else element.annotations
        return json_response(member(annotations, target, "annotation"))
    require_owner(finder.access, table, element)
    if view.past:
        require_owner(Access(view.today, call.client), *_same_today(view, table, element))
    if target.part == "acl_binding":
        assert isinstance(element, Table | Column | ForeignKey)
        return json_response(member(element.acl_bindings, target, "ACL binding"))
    return json_response(acls_shown(view.model.acls if element is None else acls_of(element), target))


def _same_today(view: View, table: Table | None, element: Element) -> tuple[Table | None, Element]:
    """The same element in the newest model; the catalog where it is gone."""
    if table is not None:
        found = view.today.tables.get(table.oid)
        return found, found
    return None, view.today.schemas.get(element.oid) if isinstance(element, Schema) else None

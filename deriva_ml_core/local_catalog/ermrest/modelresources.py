"""
The model resources of a catalog: what each answers to each method.

Reads find an element in the view's model and write its document; writes change a draft, which becomes the model.

Source: ERMrest docs, "Model Operations"; NOTES.md "Model" for the statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, Forbidden, MethodNotAllowed, NotFound
from deriva_ml_core.local_catalog.ermrest import altering, creating, definitions
from deriva_ml_core.local_catalog.ermrest.accesscontrol import ACLS, CATALOG_ACLS, Access
from deriva_ml_core.local_catalog.ermrest.bindings import check_binding, read_bindings
from deriva_ml_core.local_catalog.ermrest.call import Call
from deriva_ml_core.local_catalog.ermrest.documents import Writer
from deriva_ml_core.local_catalog.ermrest.draft import Draft
from deriva_ml_core.local_catalog.ermrest.locating import Finder, Target, parse
from deriva_ml_core.local_catalog.ermrest.model import Column, ForeignKey, Key, Schema, Table
from deriva_ml_core.local_catalog.ermrest.schemacache import schema_json
from deriva_ml_core.local_catalog.ermrest.storage import Transaction, View
from deriva_ml_core.local_catalog.http import JSON, Response, json_response, text_response

Element = Schema | Table | Column | Key | ForeignKey | None
"""None is the catalog itself."""


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
    change = _CHANGES.get((verb, target.part or target.kind, target.name is not None))
    if change is None:
        raise MethodNotAllowed(f"{verb} is not provided by this resource.")
    body = _body(call, target)
    with call.write() as txn:
        response = change(txn, call, target, body)
    return call.answer(response, txn.snaptime)


def _body(call: Call, target: Target) -> Any:
    """The request's body: text for comments, JSON for the rest, nothing for DELETE."""
    if call.request.verb == "DELETE":
        return None
    if target.part != "comment":
        return call.request.document()
    try:
        return definitions.check_text(call.request.body().decode(), "comment")
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
    table, element = _find(finder, target)
    if target.part == "comment":
        assert element is not None
        if element.comment is None:
            raise NotFound(f"The {target.kind} has no comment.")
        return text_response(element.comment + "\n")
    if target.part == "annotation":
        annotations = view.model.annotations if element is None else element.annotations
        return json_response(_member(annotations, target, "annotation"))
    _require_owner(finder.access, table, element)
    if view.past:
        _require_owner(Access(view.today, call.client), *_same_today(view, table, element))
    if target.part == "acl_binding":
        assert isinstance(element, Table | Column | ForeignKey)
        return json_response(_member(element.acl_bindings, target, "ACL binding"))
    return json_response(_acls(view.model.acls if element is None else _acls_of(element), target))


def _find(finder: Finder, target: Target) -> tuple[Table | None, Element]:
    """The element of a target, and the table that it is in or is."""
    match target.kind:
        case "schema":
            return None, finder.schema(target)
        case "table":
            table = finder.table(target)
            return table, table
        case "column":
            return finder.column(target)
        case "key":
            return finder.key(target)
        case "foreignkey":
            return finder.table(target), finder.foreign_key(target)
    return None, None


def _member(documents: dict[str, Any], target: Target, what: str) -> Any:
    if target.name is None:
        return documents
    if target.name not in documents:
        raise NotFound(f"There is no {what} {target.name!r}.")
    return documents[target.name]


def _acls_of(element: Element) -> dict[str, Any]:
    return {} if element is None or isinstance(element, Key) else element.acls


def _acls(acls: dict[str, Any], target: Target) -> Any:
    names = ACLS[_acl_kind(target)]
    unset: list[str] | None = [] if target.kind == "catalog" else None
    if target.name is None:
        return {name: acls.get(name, []) for name in CATALOG_ACLS} if target.kind == "catalog" else acls
    if target.name not in names:
        raise NotFound(f"There is no ACL {target.name!r}; there are {', '.join(names)}.")
    return acls.get(target.name, unset)


def _acl_kind(target: Target) -> str:
    return "fkey" if target.kind == "foreignkey" else target.kind


def _require_owner(access: Access, table: Table | None, element: Element) -> None:
    if table is not None:
        owns = access.table(table, "owner")
    elif isinstance(element, Schema):
        owns = access.schema(element, "owner")
    else:
        owns = access.catalog("owner")
    if not owns:
        raise access.client.refusal("It needs ownership.")


def _same_today(view: View, table: Table | None, element: Element) -> tuple[Table | None, Element]:
    """The same element in the newest model; the catalog where it is gone."""
    if table is not None:
        found = view.today.tables.get(table.oid)
        return found, found
    return None, view.today.schemas.get(element.oid) if isinstance(element, Schema) else None


# Writing: each takes the transaction, the call, the target and the body.


def _post_schemas(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    made = creating.create_many(draft, body)
    writer = _finish(draft)
    return json_response(_written(writer, made), 201)


def _written(writer: Writer, made: Any) -> Any:
    """What was made, in the shape of the request, as documents."""
    if isinstance(made, dict):
        return {name: _written(writer, one) for name, one in made.items()}
    if isinstance(made, list):
        return [_written(writer, one) for one in made]
    if isinstance(made, Schema):
        return writer.schema(made)
    return writer.table(writer.model.tables[made.oid])


def _post_schema(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    document = {} if body is None else definitions.read_object(body, "schema")
    creating.create_schema(draft, {**document, "schema_name": target.schema})
    draft.finish()
    return Response(status=201)


def _put_schema(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    schema = altering.alter_schema(draft, Finder(txn.model, call.client).schema(target), body)
    return json_response(_finish(draft).schema(schema))


def _delete_schema(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    altering.drop_schema(draft, Finder(txn.model, call.client).schema(target))
    draft.finish()
    return Response(status=204)


def _post_tables(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    schema = Finder(txn.model, call.client).schema(target, Conflict)
    table = creating.create_table(draft, schema, definitions.read_object(body, "table"))
    return json_response(_finish(draft).table(draft.tables[table.oid]), 201)


def _put_table(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    finder = Finder(txn.model, call.client)
    schema = finder.schema(target)
    if draft.find_table(schema, target.table) is None:
        document = definitions.read_object(body, "table")
        table = creating.create_table(draft, schema, {"table_name": target.table, **document})
        return json_response(_finish(draft).table(table), 201)
    table = altering.alter_table(draft, finder.table(target), body)
    return json_response(_finish(draft).table(table))


def _delete_table(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    altering.drop_table(draft, Finder(txn.model, call.client).table(target))
    draft.finish()
    return Response(status=204)


def _post_columns(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    table = Finder(txn.model, call.client).table(target, Conflict)
    column = creating.create_column(draft, table, body)
    return json_response(_finish(draft).column(table, column), 201)


def _put_column(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    table, column = Finder(txn.model, call.client).column(target, BadRequest)
    changed = altering.alter_column(draft, table, column, body)
    return json_response(_finish(draft).column(table, changed))


def _delete_column(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    altering.drop_column(draft, *Finder(txn.model, call.client).column(target))
    draft.finish()
    return Response(status=204)


def _post_keys(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    table = Finder(txn.model, call.client).table(target, Conflict)
    draft.require_table(table)
    key = creating.create_key(draft, table, body)
    return json_response([_finish(draft).key(draft.tables[table.oid], key)], 201)


def _put_key(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    table, key = Finder(txn.model, call.client).key(target)
    changed = altering.alter_key(draft, table, key, body)
    return json_response(_finish(draft).key(table, changed))


def _delete_key(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    altering.drop_key(draft, *Finder(txn.model, call.client).key(target))
    draft.finish()
    return Response(status=204)


def _post_foreign_keys(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    table = Finder(txn.model, call.client).table(target, Conflict)
    fkey = creating.create_foreign_key(draft, table, body)
    return json_response([_finish(draft).foreign_key(fkey)], 201)


def _put_foreign_key(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    fkey = Finder(txn.model, call.client).foreign_key(target)
    changed = altering.alter_foreign_key(draft, fkey, body)
    return json_response(_finish(draft).foreign_key(changed))


def _delete_foreign_key(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    draft = Draft(txn, call.client)
    altering.drop_foreign_key(draft, Finder(txn.model, call.client).foreign_key(target))
    draft.finish()
    return Response(status=204)


def _finish(draft: Draft) -> Writer:
    model = draft.finish()
    return Writer(model, Access(model, draft.client))


# Parts of elements: comment, annotations, ACLs, ACL bindings


def _owned(txn: Transaction, call: Call, target: Target) -> tuple[Table | None, Element]:
    finder = Finder(txn.model, call.client)
    table, element = _find(finder, target)
    _require_owner(finder.access, table, element)
    return table, element


def _store(txn: Transaction, call: Call, table: Table | None, element: Element, **fields: Any) -> None:
    """Replace fields of an element (or of the catalog) and make that the model."""
    draft = Draft(txn, call.client)
    match element:
        case None:
            draft.annotations = fields.get("annotations", draft.annotations)
            draft.acls = fields.get("acls", draft.acls)
        case Schema():
            draft.put_schema(replace(element, **fields))
        case Table():
            draft.put_table(replace(element, **fields))
        case Column():
            assert table is not None
            draft.put_column(table, replace(element, **fields))
        case Key():
            assert table is not None
            draft.put_key(table, replace(element, **fields))
        case ForeignKey():
            draft.put_foreign_key(replace(element, **fields))
    draft.finish()


def _put_comment(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    _store(txn, call, *_owned(txn, call, target), comment=body)
    return Response(status=204)


def _delete_comment(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    _store(txn, call, *_owned(txn, call, target), comment=None)
    return Response(status=204)


def _annotations_of(txn: Transaction, element: Element) -> dict[str, Any]:
    return txn.model.annotations if element is None else element.annotations


def _put_annotations(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    _store(txn, call, *_owned(txn, call, target), annotations=definitions.check_annotations(body))
    return Response(status=204)


def _put_annotation(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    table, element = _owned(txn, call, target)
    definitions.check_storable([target.name, body])
    known = _annotations_of(txn, element)
    _store(txn, call, table, element, annotations={**known, target.name: body})
    return Response(status=204 if target.name in known else 201)


def _delete_annotation(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    table, element = _owned(txn, call, target)
    known = _annotations_of(txn, element)
    _member(known, target, "annotation")
    left = {name: value for name, value in known.items() if name != target.name}
    _store(txn, call, table, element, annotations=left)
    return Response(status=204)


def _change_acls(
    txn: Transaction, call: Call, target: Target, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    table, element = _owned(txn, call, target)
    before = txn.model.acls if element is None else _acls_of(element)
    after = {name: acl for name, acl in change(before).items() if acl is not None}
    if element is None:
        _keep_ownership(call, before, after)
    elif isinstance(element, ForeignKey):
        after = {"insert": ["*"], "update": ["*"], **after}
    _store(txn, call, table, element, acls=after)


def _keep_ownership(call: Call, before: dict[str, Any], after: dict[str, Any]) -> None:
    """A catalog keeps an owner, and nobody can give up their own ownership by mistake (observed: 403)."""
    named = call.client.named_in
    if not after.get("owner") or (named(before.get("owner")) and not named(after["owner"])):
        raise Forbidden("You cannot give up your ownership of the catalog.")


def _put_acls(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    definitions.read_object(body, "set of ACLs")
    acls = definitions.read_acls(_acl_kind(target), body)
    _change_acls(txn, call, target, lambda _: acls)
    return json_response(acls)


def _delete_acls(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    _change_acls(txn, call, target, lambda _: {})
    return Response(status=204)


def _put_acl(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    assert target.name is not None
    acl = definitions.check_acl(_acl_kind(target), target.name, body)
    name = target.name
    _change_acls(txn, call, target, lambda acls: {**acls, name: acl})
    return json_response(acl)


def _delete_acl(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    if target.name not in ACLS[_acl_kind(target)]:
        raise NotFound(f"There is no ACL {target.name!r}.")
    name = target.name
    _change_acls(txn, call, target, lambda acls: {other: acl for other, acl in acls.items() if other != name})
    return Response(status=204)


def _bound(txn: Transaction, call: Call, target: Target) -> tuple[Table, Table | Column | ForeignKey]:
    table, element = _owned(txn, call, target)
    assert table is not None
    assert isinstance(element, Table | Column | ForeignKey)
    return table, element


def _put_bindings(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    table, element = _bound(txn, call, target)
    definitions.read_object(body, "set of ACL bindings")
    bindings = read_bindings(txn.model, _acl_kind(target), table, body)
    _store(txn, call, table, element, acl_bindings=bindings)
    return json_response(bindings)


def _put_binding(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    table, element = _bound(txn, call, target)
    binding = check_binding(txn.model, _acl_kind(target), table, body)
    _store(txn, call, table, element, acl_bindings={**element.acl_bindings, target.name: binding})
    return json_response(binding)


def _delete_bindings(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    _store(txn, call, *_bound(txn, call, target), acl_bindings={})
    return Response(status=204)


def _delete_binding(txn: Transaction, call: Call, target: Target, body: Any) -> Response:
    table, element = _bound(txn, call, target)
    _member(element.acl_bindings, target, "ACL binding")
    left = {name: binding for name, binding in element.acl_bindings.items() if name != target.name}
    _store(txn, call, table, element, acl_bindings=left)
    return Response(status=204)


_CHANGES: dict[tuple[str, str, bool], Callable[[Transaction, Call, Target, Any], Response]] = {
    ("POST", "schemas", False): _post_schemas,
    ("POST", "schema", False): _post_schema,
    ("PUT", "schema", False): _put_schema,
    ("DELETE", "schema", False): _delete_schema,
    ("POST", "tables", False): _post_tables,
    ("PUT", "table", False): _put_table,
    ("DELETE", "table", False): _delete_table,
    ("POST", "columns", False): _post_columns,
    ("PUT", "column", False): _put_column,
    ("DELETE", "column", False): _delete_column,
    ("POST", "keys", False): _post_keys,
    ("PUT", "key", False): _put_key,
    ("DELETE", "key", False): _delete_key,
    ("POST", "foreignkeys", False): _post_foreign_keys,
    ("PUT", "foreignkey", False): _put_foreign_key,
    ("DELETE", "foreignkey", False): _delete_foreign_key,
    ("PUT", "comment", False): _put_comment,
    ("DELETE", "comment", False): _delete_comment,
    ("PUT", "annotation", False): _put_annotations,
    ("PUT", "annotation", True): _put_annotation,
    ("DELETE", "annotation", True): _delete_annotation,
    ("PUT", "acl", False): _put_acls,
    ("DELETE", "acl", False): _delete_acls,
    ("PUT", "acl", True): _put_acl,
    ("DELETE", "acl", True): _delete_acl,
    ("PUT", "acl_binding", False): _put_bindings,
    ("DELETE", "acl_binding", False): _delete_bindings,
    ("PUT", "acl_binding", True): _put_binding,
    ("DELETE", "acl_binding", True): _delete_binding,
}
"""By method, resource, and whether it is one member of a set."""

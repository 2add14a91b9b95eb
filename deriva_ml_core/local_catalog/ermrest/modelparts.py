"""
What every model element has beside itself: its comment, annotations, ACLs and ACL bindings.

Source: ERMrest docs, "Generic Model Sub-Resources"; statuses as observed (NOTES.md "Model").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest import definitions
from deriva_ml_core.local_catalog.ermrest.accesscontrol import ACLS, CATALOG_ACLS, Access
from deriva_ml_core.local_catalog.ermrest.bindings import base_of, check_binding, read_bindings
from deriva_ml_core.local_catalog.ermrest.edit import Changes, Edit
from deriva_ml_core.local_catalog.ermrest.locating import Element, Target
from deriva_ml_core.local_catalog.ermrest.model import Column, Document, ForeignKey, Key, Schema, Table
from deriva_ml_core.local_catalog.errors import Forbidden, NotFound
from deriva_ml_core.local_catalog.http import Response, json_response


def member(documents: Document, target: Target, what: str) -> Any:
    """One member of a set by the target's name, or the whole set."""
    if target.name is None:
        return documents
    if target.name not in documents:
        raise NotFound(f"There is no {what} {target.name!r}.")
    return documents[target.name]


def acls_of(element: Element) -> Document:
    """The ACLs of an element; keys have none."""
    return {} if element is None or isinstance(element, Key) else element.acls


def acls_shown(acls: Document, target: Target) -> Any:
    """What GET answers: on catalogs every list, on other elements those that are set."""
    names = ACLS[acl_kind(target)]
    unset: list[str] | None = [] if target.kind == "catalog" else None
    if target.name is None:
        return {name: acls.get(name, []) for name in CATALOG_ACLS} if target.kind == "catalog" else acls
    if target.name not in names:
        raise NotFound(f"There is no ACL {target.name!r}; there are {', '.join(names)}.")
    return acls.get(target.name, unset)


def acl_kind(target: Target) -> str:
    """The kind of the target as accesscontrol.ACLS names it."""
    return "fkey" if target.kind == "foreignkey" else target.kind


def require_owner(access: Access, table: Table | None, element: Element) -> None:
    """Refuse unless the client owns the element: columns and foreign keys are their table's."""
    if table is not None:
        owns = access.table(table, "owner")
    elif isinstance(element, Schema):
        owns = access.schema(element, "owner")
    else:
        owns = access.catalog("owner")
    if not owns:
        raise access.client.refusal("It needs ownership.")


def _owned(edit: Edit) -> tuple[Table | None, Element]:
    table, element = edit.finder.element(edit.target)
    require_owner(edit.finder.access, table, element)
    return table, element


def _store(edit: Edit, table: Table | None, element: Element, **fields: Any) -> None:
    """Replace fields of an element (or of the catalog) and make that the model."""
    draft = edit.draft()
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


def _put_comment(edit: Edit) -> Response:
    _store(edit, *_owned(edit), comment=edit.body)
    return Response(status=204)


def _delete_comment(edit: Edit) -> Response:
    _store(edit, *_owned(edit), comment=None)
    return Response(status=204)


def _annotations_of(edit: Edit, element: Element) -> Document:
    return edit.txn.model.annotations if element is None else element.annotations


def _put_annotations(edit: Edit) -> Response:
    _store(edit, *_owned(edit), annotations=definitions.check_annotations(edit.body))
    return Response(status=204)


def _put_annotation(edit: Edit) -> Response:
    table, element = _owned(edit)
    definitions.check_storable([edit.target.name, edit.body])
    known = _annotations_of(edit, element)
    _store(edit, table, element, annotations={**known, edit.target.name: edit.body})
    return Response(status=204 if edit.target.name in known else 201)


def _delete_annotation(edit: Edit) -> Response:
    table, element = _owned(edit)
    known = _annotations_of(edit, element)
    member(known, edit.target, "annotation")
    left = {name: value for name, value in known.items() if name != edit.target.name}
    _store(edit, table, element, annotations=left)
    return Response(status=204)


def _change_acls(edit: Edit, change: Callable[[Document], Document]) -> None:
    table, element = _owned(edit)
    before = edit.txn.model.acls if element is None else acls_of(element)
    after = {name: acl for name, acl in change(before).items() if acl is not None}
    if element is None:
        _keep_ownership(edit.client, before, after)
    elif isinstance(element, ForeignKey):
        after = {"insert": ["*"], "update": ["*"], **after}
    _store(edit, table, element, acls=after)


def _keep_ownership(client: Client, before: Document, after: Document) -> None:
    """A catalog keeps an owner, and nobody can give up their own ownership by mistake (observed: 403)."""
    named = client.named_in
    if not after.get("owner") or (named(before.get("owner")) and not named(after["owner"])):
        raise Forbidden("You cannot give up your ownership of the catalog.")


def _put_acls(edit: Edit) -> Response:
    definitions.read_object(edit.body, "set of ACLs")
    acls = definitions.read_acls(acl_kind(edit.target), edit.body)
    _change_acls(edit, lambda _: acls)
    return json_response(acls)


def _delete_acls(edit: Edit) -> Response:
    _change_acls(edit, lambda _: {})
    return Response(status=204)


def _put_acl(edit: Edit) -> Response:
    assert edit.target.name is not None
    acl = definitions.check_acl(acl_kind(edit.target), edit.target.name, edit.body)
    name = edit.target.name
    _change_acls(edit, lambda acls: {**acls, name: acl})
    return json_response(acl)


def _delete_acl(edit: Edit) -> Response:
    if edit.target.name not in ACLS[acl_kind(edit.target)]:
        raise NotFound(f"There is no ACL {edit.target.name!r}.")
    name = edit.target.name
    _change_acls(edit, lambda acls: {other: acl for other, acl in acls.items() if other != name})
    return Response(status=204)


def _bound(edit: Edit) -> tuple[Table, Table | Column | ForeignKey]:
    table, element = _owned(edit)
    assert table is not None
    assert isinstance(element, Table | Column | ForeignKey)
    return table, element


def _put_bindings(edit: Edit) -> Response:
    table, element = _bound(edit)
    definitions.read_object(edit.body, "set of ACL bindings")
    base = base_of(edit.txn.model, element, table)
    bindings = read_bindings(edit.txn.model, acl_kind(edit.target), base, edit.body)
    _store(edit, table, element, acl_bindings=bindings)
    return json_response(bindings)


def _put_binding(edit: Edit) -> Response:
    table, element = _bound(edit)
    base = base_of(edit.txn.model, element, table)
    binding = check_binding(edit.txn.model, acl_kind(edit.target), base, edit.body)
    _store(edit, table, element, acl_bindings={**element.acl_bindings, edit.target.name: binding})
    return json_response(binding)


def _delete_bindings(edit: Edit) -> Response:
    _store(edit, *_bound(edit), acl_bindings={})
    return Response(status=204)


def _delete_binding(edit: Edit) -> Response:
    table, element = _bound(edit)
    member(element.acl_bindings, edit.target, "ACL binding")
    left = {name: binding for name, binding in element.acl_bindings.items() if name != edit.target.name}
    _store(edit, table, element, acl_bindings=left)
    return Response(status=204)


CHANGES: Changes = {
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

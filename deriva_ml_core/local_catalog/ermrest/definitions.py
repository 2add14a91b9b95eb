"""
What clients may say in model documents: each field checked, each refusal in one line.

A document of the wrong shape is 400; one that is well formed but does not fit the catalog is 409 (observed).

Source: ERMrest docs, "Model Operations"; NOTES.md "Model".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deriva_ml_core.local_catalog.ermrest.accesscontrol import ACLS, BINDINGS
from deriva_ml_core.local_catalog.ermrest.model import Document
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

MAX_NAME_BYTES = 63
_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
_PUBLIC_RIGHTS = {"enumerate", "select"}


def read_object(document: Any, what: str) -> Document:
    """A JSON object, or BadRequest."""
    if not isinstance(document, dict):
        raise BadRequest(f"A {what} is a JSON object, not {_kind(document)}.")
    return document


def read_list(document: Any, what: str) -> list[Any]:
    """A JSON array, or BadRequest."""
    if not isinstance(document, list):
        raise BadRequest(f"{what} must be a JSON array, not {_kind(document)}.")
    return document


def read_name(document: Mapping[str, Any], field: str, default: str | None = None) -> str:
    """The name in a field; BadRequest if it is missing, empty or too long for PostgreSQL."""
    name = document.get(field, default)
    if name is None:
        raise BadRequest(f"The field {field} is missing.")
    return check_name(name, field)


def check_name(name: Any, field: str) -> str:
    """The name itself, or BadRequest."""
    if not isinstance(name, str) or not name:
        raise BadRequest(f"The field {field} must be a text, not {'empty' if name == '' else _kind(name)}.")
    if "\0" in name or not _encodable(name):
        raise BadRequest(f"The {field} {name!r} has characters that cannot be stored.")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadRequest(f"The {field} {name!r} is longer than {MAX_NAME_BYTES} bytes.")
    return name


def read_comment(document: Mapping[str, Any]) -> str | None:
    """The comment, or None."""
    comment = document.get("comment")
    if comment is not None and not isinstance(comment, str):
        raise BadRequest(f"A comment is a text or null, not {_kind(comment)}.")
    return None if comment is None else check_text(comment, "comment")


def check_text(text: str, what: str) -> str:
    """Text that PostgreSQL could store, or BadRequest."""
    if "\0" in text or not _encodable(text):
        raise BadRequest(f"The {what} has characters that cannot be stored.")
    return text


def read_annotations(document: Any) -> Document:
    """A whole set of annotations."""
    annotations = document.get("annotations")
    if annotations is None:
        return {}
    return check_annotations(annotations)


def check_annotations(annotations: Any) -> Document:
    """A mapping of annotation keys to any JSON values, or BadRequest."""
    checked = read_object(annotations, "set of annotations")
    check_storable(checked)
    return checked


def check_storable(value: Any) -> None:
    """Refuse JSON that has lone surrogates or endless numbers (1e400), or is nested too deep to be written again."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as err:
        raise BadRequest("The document has characters, numbers or a depth that cannot be stored.") from err


def read_bool(document: Mapping[str, Any], field: str, *, default: bool) -> bool:
    """A boolean field; null means the default."""
    value = document.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"The field {field} must be true or false, not {_kind(value)}.")
    return value


def read_action(document: Mapping[str, Any], field: str) -> str:
    """What happens to referring rows, in upper case; NO ACTION by default."""
    action = document.get(field)
    if action is None:
        return "NO ACTION"
    if not isinstance(action, str) or action.upper() not in _ACTIONS:
        raise BadRequest(f"The field {field} must be one of {', '.join(_ACTIONS)}, not {action!r}.")
    return action.upper()


def read_constraint_name(document: Mapping[str, Any]) -> str | None:
    """The constraint's name: the second part of the first pair in `names`; None to let the service choose."""
    names = document.get("names")
    if names is None or names == []:
        return None
    pairs = read_list(names, "The field names")
    pair = pairs[0]
    if not isinstance(pair, list) or len(pair) != 2:
        raise BadRequest("The field names must have pairs of schema and constraint name.")
    return check_name(pair[1], "constraint name")


def read_names(document: Mapping[str, Any], field: str) -> list[str]:
    """A list of column names that is not empty."""
    names = read_list(document.get(field), f"The field {field}")
    if not names or not all(isinstance(name, str) for name in names):
        raise BadRequest(f"The field {field} must list one or more column names.")
    if len(set(names)) != len(names):
        raise BadRequest(f"The field {field} names a column twice.")
    return names


def read_column_references(document: Mapping[str, Any], field: str) -> list[tuple[str | None, str | None, str]]:
    """The (schema, table, column) names of one side of a foreign key; schema and table may be left out."""
    members = read_list(document.get(field), f"The field {field}")
    if not members:
        raise BadRequest(f"The field {field} must list one or more columns.")
    return [_column_reference(member, field) for member in members]


def _column_reference(member: Any, field: str) -> tuple[str | None, str | None, str]:
    parts = read_object(member, f"member of {field}")
    schema, table, column = (parts.get(name) for name in ("schema_name", "table_name", "column_name"))
    if not isinstance(column, str) or not all(part is None or isinstance(part, str) for part in (schema, table)):
        raise BadRequest(f"Each member of {field} needs schema_name, table_name and column_name.")
    return schema, table, column


def read_acls(kind: str, document: Any) -> Document:
    """A whole set of ACLs for an element of this kind (a key of accesscontrol.ACLS); null lists are left out."""
    if document is None:
        return {}
    acls = read_object(document, "set of ACLs")
    return {name: checked for name, acl in acls.items() if (checked := check_acl(kind, name, acl)) is not None}


def check_acl(kind: str, name: str, acl: Any) -> list[str] | None:
    """
    One access control list, or null.

    Raises:
        Conflict: this kind of element has no such list.
        BadRequest: not a list of texts, or everybody where only clients with a session may be named.
    """
    if name not in ACLS[kind]:
        raise Conflict(f"A {_KINDS[kind]} has no ACL {name!r}; it has {', '.join(ACLS[kind])}.")
    if acl is None:
        return None
    members = read_list(acl, f"The ACL {name}")
    if not all(isinstance(member, str) for member in members):
        raise BadRequest(f"The ACL {name} must list texts.")
    check_storable(members)
    if "*" in members and name not in _PUBLIC_RIGHTS and kind != "fkey":
        raise BadRequest(f"The ACL {name} cannot admit everybody (*): it grants changes.")
    return members


_KINDS = {"catalog": "catalog", "schema": "schema", "table": "table", "column": "column", "fkey": "foreign key"}


def check_binding_types(kind: str, binding: Mapping[str, Any]) -> list[str]:
    """The types of a dynamic ACL binding."""
    types = binding.get("types")
    if not isinstance(types, list) or not types:
        raise BadRequest("An ACL binding needs a list of types.")
    for name in types:
        if name not in BINDINGS[kind]:
            raise BadRequest(f"A {_KINDS[kind]} has no ACL binding type {name!r}; it has {', '.join(BINDINGS[kind])}.")
    return types


def same_names(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists of column names are the same set."""
    return sorted(one) == sorted(other)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    """What a JSON value is, for messages."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

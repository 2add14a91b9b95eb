"""
POST, PUT and DELETE of schemas, tables, columns, keys and foreign keys.

Source: ERMrest docs, "Model Operations"; statuses and shapes of answers as observed (NOTES.md "Model").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deriva_ml_core.local_catalog.ermrest import altering, creating, definitions
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access
from deriva_ml_core.local_catalog.ermrest.documents import Writer
from deriva_ml_core.local_catalog.ermrest.draft import Draft
from deriva_ml_core.local_catalog.ermrest.edit import Change, Changes, Edit
from deriva_ml_core.local_catalog.ermrest.model import Schema
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict, NotFound
from deriva_ml_core.local_catalog.http import Response, json_response


def _post_schemas(edit: Edit) -> Response:
    draft = edit.draft()
    made = creating.create_many(draft, edit.body)
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


def _post_schema(edit: Edit) -> Response:
    draft = edit.draft()
    document = {} if edit.body is None else definitions.read_object(edit.body, "schema")
    creating.create_schema(draft, {**document, "schema_name": edit.target.schema})
    draft.finish()
    return Response(status=201)


def _put_schema(edit: Edit) -> Response:
    draft = edit.draft()
    schema = altering.alter_schema(draft, edit.finder.schema(edit.target), edit.body)
    return json_response(_finish(draft).schema(schema))


def _post_tables(edit: Edit) -> Response:
    draft = edit.draft()
    schema = edit.finder.schema(edit.target, Conflict)
    table = creating.create_table(draft, schema, definitions.read_object(edit.body, "table"))
    return json_response(_finish(draft).table(draft.tables[table.oid]), 201)


def _put_table(edit: Edit) -> Response:
    draft = edit.draft()
    schema = edit.finder.schema(edit.target)
    if draft.find_table(schema, edit.target.table) is None:
        document = definitions.read_object(edit.body, "table")
        table = creating.create_table(draft, schema, {"table_name": edit.target.table, **document})
        return json_response(_finish(draft).table(table), 201)
    table = altering.alter_table(draft, edit.finder.table(edit.target), edit.body)
    return json_response(_finish(draft).table(table))


def _post_columns(edit: Edit) -> Response:
    draft = edit.draft()
    table = edit.finder.table(edit.target, Conflict)
    column = creating.create_column(draft, table, edit.body)
    return json_response(_finish(draft).column(table, column), 201)


def _put_column(edit: Edit) -> Response:
    draft = edit.draft()
    table, column = edit.finder.column(edit.target, BadRequest)
    changed = altering.alter_column(draft, table, column, edit.body)
    return json_response(_finish(draft).column(table, changed))


def _post_keys(edit: Edit) -> Response:
    draft = edit.draft()
    table = edit.finder.table(edit.target, Conflict)
    draft.require_table(table)
    key = creating.create_key(draft, table, edit.body)
    return json_response([_finish(draft).key(draft.tables[table.oid], key)], 201)


def _put_key(edit: Edit) -> Response:
    draft = edit.draft()
    table, key = edit.finder.key(edit.target)
    changed = altering.alter_key(draft, table, key, edit.body)
    return json_response(_finish(draft).key(table, changed))


def _post_foreign_keys(edit: Edit) -> Response:
    draft = edit.draft()
    table = edit.finder.table(edit.target, Conflict)
    fkey = creating.create_foreign_key(draft, table, edit.body)
    return json_response([_finish(draft).foreign_key(fkey)], 201)


def _put_foreign_key(edit: Edit) -> Response:
    draft = edit.draft()
    fkey = edit.finder.foreign_key(edit.target)
    changed = altering.alter_foreign_key(draft, fkey, edit.body)
    return json_response(_finish(draft).foreign_key(changed))


def _dropping(drop: Callable[[Draft, Edit], None]) -> Change:
    """The change that drops what a URL names."""

    def delete(edit: Edit) -> Response:
        draft = edit.draft()
        drop(draft, edit)
        draft.finish()
        return Response(status=204)

    return delete


_delete_schema = _dropping(lambda draft, edit: altering.drop_schema(draft, edit.finder.schema(edit.target)))
_delete_table = _dropping(lambda draft, edit: altering.drop_table(draft, edit.finder.table(edit.target)))
_delete_column = _dropping(lambda draft, edit: altering.drop_column(draft, *edit.finder.column(edit.target)))
_delete_key = _dropping(lambda draft, edit: altering.drop_key(draft, *edit.finder.key(edit.target)))
_delete_foreign_key = _dropping(
    lambda draft, edit: altering.drop_foreign_key(draft, edit.finder.foreign_key(edit.target))
)


@_dropping
def _delete_foreign_keys(draft: Draft, edit: Edit) -> None:
    """All that a list's URL names: those of a table, over these columns, to that table."""
    if edit.target.kind == "foreignkeys":
        found = list(edit.finder.table(edit.target).foreign_keys)
    else:
        found = edit.finder.foreign_keys_of(edit.target)
    if not found:
        raise NotFound("No foreign key is named by this URL.")
    for fkey in found:
        altering.drop_foreign_key(draft, fkey)


def _finish(draft: Draft) -> Writer:
    model = draft.finish()
    return Writer(model, Access(model, draft.client))


CHANGES: Changes = {
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
    ("DELETE", "foreignkeys", False): _delete_foreign_keys,
    ("DELETE", "foreignkeys_of", False): _delete_foreign_keys,
}

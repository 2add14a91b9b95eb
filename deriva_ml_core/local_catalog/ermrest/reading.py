"""GET of the data resources: entity, attribute, attributegroup and aggregate."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access, require
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.formats import choose_format, disposition, render_sql
from deriva_ml_core.local_catalog.ermrest.model import Column, Model, Table
from deriva_ml_core.local_catalog.ermrest.paging import page_sql, parse_limit
from deriva_ml_core.local_catalog.ermrest.paths import Path, bind_path
from deriva_ml_core.local_catalog.ermrest.projections import (
    Output,
    aggregate_outputs,
    attribute_outputs,
    distinct,
    entity_outputs,
    group_outputs,
)
from deriva_ml_core.local_catalog.ermrest.queries import stream
from deriva_ml_core.local_catalog.ermrest.rowrights import RowRights
from deriva_ml_core.local_catalog.ermrest.sql import rows_sql
from deriva_ml_core.local_catalog.ermrest.sqlforms import is_ordered
from deriva_ml_core.local_catalog.ermrest.storage import View
from deriva_ml_core.local_catalog.ermrest.syntax import DataName
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api, parse_name, parse_query
from deriva_ml_core.local_catalog.errors import Conflict


def get(  # noqa: PLR0917 - the parts of a request, in the order of a request line
    view: View, client: Client, api: Api, raw_path: str, raw_query: str, accept: str
) -> Answer:
    """
    The rows that a data URL names.

    Args:
        view: the snapshot to read; the answer's body reads from it, so keep it open until the body is read.
        client: who asks.
        api: entity, attribute, attributegroup or aggregate.
        raw_path: what follows `/entity/` (or another api), still escaped, without the query string.
        raw_query: the query string, still escaped, without `?`.
        accept: the Accept header, "" if there is none.

    Raises:
        BadRequest, Conflict: the URL is malformed, or names what is not there.
        Unauthorized, Forbidden: the client may not read it.
    """
    name, parameters = parse_name(api, raw_path), parse_query(raw_query)
    path = bind_path(view.model, name.elements)
    path.visible = visible_to(view.model, client)
    outputs, groups = _outputs(view, client, api, path, name)
    rows = rows_sql(RowRights(view, client), path, outputs, groups, distinct=groups is None)
    limit = parse_limit(parameters)
    page = rows if api == "aggregate" else page_sql(rows, outputs, name, limit)
    _require(view, client, path)
    chosen = choose_format(parameters, accept)
    arrays_as_json = parameters.get("arrays", ((),))[-1] == ("json",)
    statement = render_sql(page, outputs, chosen, arrays_as_json=arrays_as_json)
    body = stream(view.db, statement, [output.name for output in outputs], chosen)
    return Answer(200, chosen, disposition(parameters, chosen), started(body))


def _outputs(view: View, client: Client, api: Api, path: Path, name: DataName) -> tuple[list[Output], int | None]:
    """The outputs, and by how many of them to group (None: not at all)."""
    visible, rights = path.visible, RowRights(view, client).summary
    items = name.items or ()
    if api == "entity":
        return entity_outputs(path, visible), None
    if api == "attribute":
        return attribute_outputs(path, items, visible), None
    if api == "aggregate":
        return aggregate_outputs(path, items, rights, visible), 0
    keys = attribute_outputs(path, items, visible)
    for key in keys:
        if not is_ordered(key.form):
            raise Conflict(f"'{key.name}' has type {key.form.name}, which cannot be grouped by; use jsonb.")
    return distinct(keys + group_outputs(path, name.targets or (), rights, visible)), len(keys)


def visible_to(model: Model, client: Client) -> Callable[[Table], Sequence[Column]]:
    """Which columns of a table `*` stands for: those that the client may select."""
    access = Access(model, client)

    def visible(table: Table) -> Sequence[Column]:
        restricted = any(column.acls or column.acl_bindings for column in table.columns)
        if not restricted:
            return table.columns
        return [column for column in table.columns if access.column(table, column, "select") is not False]

    return visible


def _require(view: View, client: Client, path: Path) -> None:
    """Refuse unless the client may read every table of the path and every column that the URL names."""
    for table in {instance.table.oid: instance.table for instance in path.instances}.values():
        require(view, client, table, "select", path.read.get(table.oid, {}).values())


def started(body: Generator[bytes, None, None]) -> Iterable[bytes]:
    """
    A body of which the first two chunks are made already, so that what is wrong with a query is found before its
    answer begins. A short body is complete: a list of one chunk.
    """
    first, second = next(body), next(body, None)
    third = next(body, None) if second is not None else None
    if third is None:
        return [first + (second or b"")]
    return _Resumed((first, second or b"", third), body)


class _Resumed:
    """A body of which some chunks were read already; closing it ends its statement."""

    def __init__(self, read: tuple[bytes, ...], body: Generator[bytes, None, None]) -> None:
        self._read = read
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return chain(self._read, self._body)

    def close(self) -> None:
        """Close the statement, if the client did not read all of it."""
        self._body.close()

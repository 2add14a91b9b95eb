"""
Who may do what in a catalog: decisions from the ACLs in the model.

A right is granted by the owners of the element or of what holds it, or by the nearest configured list among the
element, its schema and its catalog, of the right itself or of one that implies it. Nobody changes anything without a
session, even where an old list says `*`. A decision is True, False, or None: it depends on the row, by a dynamic ACL
binding (rowrights.py). New rows have no say in who may insert them: that right is never None.

Reading the past needs the right both then and today.

Source: ERMrest docs, "Static ACL Technical Reference", "Access Decision Introspection", "Dynamic ACL Binding".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.model import Column, Document, ForeignKey, Model, Schema, Table

Decision = bool | None

CATALOG_ACLS = ("owner", "create", "enumerate", "select", "insert", "update", "delete", "write")
ACLS = {
    "catalog": CATALOG_ACLS,
    "schema": CATALOG_ACLS,
    "table": ("owner", "enumerate", "select", "insert", "update", "delete", "write"),
    "column": ("enumerate", "select", "insert", "update", "delete", "write"),
    "fkey": ("enumerate", "insert", "update", "write"),
}
"""The names of the lists that each kind of element may have."""

BINDINGS = {
    "table": ("owner", "update", "delete", "select"),
    "column": ("owner", "update", "delete", "select"),
    "fkey": ("owner", "insert", "update"),
}
"""The types that a dynamic binding of each kind of element may have."""

_GRANTS = {
    "enumerate": ("enumerate", "create", "select", "insert", "update", "delete", "write"),
    "create": ("create",),
    "select": ("select", "update", "delete", "write"),
    "insert": ("insert", "write"),
    "update": ("update", "write"),
    "delete": ("delete", "write"),
}
"""By which lists a right is granted, besides ownership."""

_CONTAINER_GRANTS = {"enumerate": ("enumerate", "create"), "create": ("create",)}
"""The same on catalogs and schemas: their lists for data are only defaults for their tables (note 2)."""

_READS = frozenset({"enumerate", "select"})
_BINDING_GRANTS = {
    "select": {"select", "update", "delete", "owner"},
    "update": {"update", "owner"},
    "delete": {"delete", "owner"},
    "insert": {"insert", "owner"},
}
_UNSET_BY_CLIENTS = {
    "RID": {"update"},
    "RCB": {"update"},
    "RMT": {"insert", "update"},
    "RMB": {"insert", "update"},
}
"""What nobody may do to a system column, as the rights of the real service show it."""


class Snapshot(Protocol):
    """What a decision needs of a View or a Transaction."""

    @property
    def model(self) -> Model:
        """The model of its time."""

    @property
    def today(self) -> Model:
        """The newest model."""

    @property
    def past(self) -> bool:
        """Whether it is a snapshot of the past."""


@dataclass(frozen=True, slots=True)
class Access:
    """The decisions for one client under one model."""

    model: Model
    client: Client
    _inherited: dict[tuple[int, str], Decision] = field(default_factory=dict, compare=False)
    """Decisions on columns that have no policy of their own, by table and right: most columns have none."""

    def catalog(self, right: str) -> bool:
        """owner, create or enumerate of the catalog."""
        return self._granted(right, [self.model.acls], _CONTAINER_GRANTS)

    def schema(self, schema: Schema, right: str) -> bool:
        """owner, create or enumerate of a schema."""
        return self._granted(right, [schema.acls, self.model.acls], _CONTAINER_GRANTS)

    def table(self, table: Table, right: str) -> Decision:
        """
        owner, enumerate, select, insert, update or delete of a table; None if it depends on the row.

        An invisible schema hides all its tables ("Access Control Core Concepts": Policy Scoping).
        """
        if not self.schema(self.model.schemas[table.schema], "enumerate"):
            return False
        if self._granted(right, self._lists(table), _GRANTS):
            return True
        might = self.bindings(right, table.acl_bindings) and self.table(table, "enumerate")
        return None if might else False

    def column(self, table: Table, column: Column, right: str) -> Decision:
        """enumerate, select, insert, update or delete of a column's values."""
        if right in _UNSET_BY_CLIENTS.get(column.name, ()):
            return False
        if column.acls or column.acl_bindings:
            if not self.table(table, "enumerate"):
                return False
            if self._granted(right, [column.acls, *self._lists(table)], _GRANTS):
                return True
            return None if self.bindings(right, bindings_of(table, column)) else False
        if (table.oid, right) not in self._inherited:
            self._inherited[table.oid, right] = self.table(table, right)
        return self._inherited[table.oid, right]

    def foreign_key(self, fkey: ForeignKey, right: str) -> Decision:
        """Insert or update: whether references may be made. The default is everybody who may write the row."""
        if right not in fkey.acls or self.client.passes(fkey.acls[right]) or self.client.passes(fkey.acls.get("write")):
            return True
        if self._owns(self._lists(self.model.tables[fkey.table])):
            return True
        return None if self.bindings(right, fkey.acl_bindings, reference=True) else False

    def _lists(self, table: Table) -> list[Document]:
        return [table.acls, self.model.schemas[table.schema].acls, self.model.acls]

    def _granted(self, right: str, lists: list[Document], grants: dict[str, tuple[str, ...]]) -> bool:
        """Whether a static policy grants it; `lists` from the element outwards."""
        if self.client.anonymous and right not in _READS:
            return False
        if self._owns(lists):
            return True
        return any(self.client.passes(_nearest(lists, name)) for name in grants.get(right, ()))

    def _owns(self, lists: list[Document]) -> bool:
        if self.client.anonymous and not self.client.admin:
            return False
        return any(self.client.passes(acls.get("owner")) for acls in lists)

    def bindings(self, right: str, bindings: Document, *, reference: bool = False) -> list[Document]:
        """
        The bindings that might grant a right to this client.

        Args:
            reference: of a foreign key, the only kind of element where a binding says who may insert.
        """
        if (right == "insert" and not reference) or (self.client.anonymous and right not in _READS):
            return []
        wanted = _BINDING_GRANTS.get(right, set())
        return [
            binding
            for binding in bindings.values()
            if isinstance(binding, dict)
            and wanted & set(binding["types"])
            and self.client.passes(binding.get("scope_acl", ["*"]))
        ]


def bindings_of(table: Table, column: Column) -> Document:
    """The bindings of a column: its table's, but for those that it replaces, or suppresses by `false`."""
    return {**table.acl_bindings, **column.acl_bindings}


def _nearest(lists: Iterable[Document], name: str) -> list[str] | None:
    for acls in lists:
        if acls.get(name) is not None:
            found: list[str] = acls[name]
            return found
    return None


def require(view: Snapshot, client: Client, table: Table, right: str, columns: Iterable[Column] = ()) -> None:
    """
    Refuse unless the client has the right on the table, and on these of its columns, or might have it on some rows.

    Args:
        right: select, insert, update or delete (enumerate and owner work too).

    Raises:
        Unauthorized: no session. Forbidden: a session without the right.
    """
    for access, known in _accesses(view, client, table):
        _refuse(access.table(known, right), client, f"{right} on table {view.model.qualified(table)}")
        for column in columns:
            same = known.by_oid.get(column.oid)
            # System columns are handled by those who write them: here only their lists count.
            if same is not None and not (same.is_system and right != "select"):
                words = f"{right} on column {column.name} of table {view.model.qualified(table)}"
                _refuse(access.column(known, same, right), client, words)


def require_foreign_keys(view: Snapshot, client: Client, table: Table, right: str, columns: Iterable[Column]) -> None:
    """Refuse an insert or update of these columns if a foreign key over them may not be set by this client."""
    written = {column.oid for column in columns}
    access = Access(view.model, client)
    for fkey in table.foreign_keys:
        if written.intersection(fkey.columns):
            _refuse(access.foreign_key(fkey, right), client, f"set references by {fkey.name}")


def require_catalog(view: Snapshot, client: Client, right: str) -> None:
    """Refuse unless the client has owner, create or enumerate on the catalog, then and today."""
    for model in (view.model, view.today) if view.past else (view.model,):
        _refuse(Access(model, client).catalog(right), client, f"{right} on the catalog")


def require_schema(view: Snapshot, client: Client, schema: Schema, right: str) -> None:
    """Refuse unless the client has owner, create or enumerate on the schema."""
    _refuse(Access(view.model, client).schema(schema, right), client, f"{right} on schema {schema.name}")
    if view.past:
        today = view.today.schemas.get(schema.oid, schema)
        _refuse(Access(view.today, client).schema(today, right), client, f"{right} on schema {schema.name}")


def _accesses(view: Snapshot, client: Client, table: Table) -> Iterable[tuple[Access, Table]]:
    """The model to ask: the view's, and today's where the table still is there."""
    yield Access(view.model, client), table
    if view.past and (today := view.today.tables.get(table.oid)):
        yield Access(view.today, client), today


def _refuse(decision: Decision, client: Client, words: str) -> None:
    if decision is False:
        raise client.refusal(f"It needs the right to {words}.")

"""
Which columns the rows of a POST fill, and which get their default.

System columns, and those that the client may not even see, get their default unless `nondefaults` names them; others
are filled unless `defaults` names them. RID, RCT and RCB are chosen by owners only, but whoever has reserved RIDs in
public:ERMrest_RID_Lease may use them, once. Source: ERMrest API documentation, "Entity Creation with Defaults";
NOTES.md "Writing rows".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.accesscontrol import Access, require, require_foreign_keys
from deriva_ml_core.local_catalog.ermrest.bodies import Field, Row
from deriva_ml_core.local_catalog.ermrest.identifiers import canonical
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import find_column
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.types import ENCODE
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Parameters
from deriva_ml_core.local_catalog.errors import Conflict, Forbidden

_CHOSEN_BY_OWNERS = frozenset({"RID", "RCT", "RCB"})


def choose_columns(
    txn: Transaction, client: Client, table: Table, parameters: Parameters
) -> tuple[list[Field], list[Column]]:
    """
    Which columns a body fills, and which get their default.

    Raises:
        Conflict: `defaults` or `nondefaults` names no column, or there is nothing to insert.
        Forbidden, Unauthorized: the client may not insert here, or not choose these values.
    """
    defaults = _named(txn, table, parameters, "defaults")
    chosen = _named(txn, table, parameters, "nondefaults")
    require(txn, client, table, "insert")
    _check_chosen(txn, client, table, {name for name in chosen if table.by_name[name].is_system})
    if all(column.is_system for column in table.columns):
        raise Conflict(f"Table {txn.model.qualified(table)} has only system columns: nothing can be inserted.")
    defaults |= _implicit_defaults(txn, client, table) - chosen
    filled = [column for column in table.columns if column.name not in defaults]
    require(txn, client, table, "insert", [column for column in filled if not column.is_system])
    require_foreign_keys(txn, client, table, "insert", filled)
    return [Field(c.name, c) for c in filled], [c for c in table.columns if c.name in defaults]


def _named(txn: Transaction, table: Table, parameters: Parameters, parameter: str) -> set[str]:
    names = {name for values in parameters.get(parameter, ()) for name in values if name}
    for name in names:
        find_column(txn.model, table, name)
    return names


def _implicit_defaults(txn: Transaction, client: Client, table: Table) -> set[str]:
    access = Access(txn.model, client)
    return {
        column.name
        for column in table.columns
        if column.is_system or (column.acls and access.column(table, column, "enumerate") is False)
    }


def _check_chosen(txn: Transaction, client: Client, table: Table, chosen: set[str]) -> None:
    if refused := sorted(chosen - _CHOSEN_BY_OWNERS):
        raise Forbidden(f"{', '.join(refused)} cannot be chosen.")
    if chosen - {"RID"} and not _owns(txn, client, table):
        raise client.refusal(f"Only an owner of {txn.model.qualified(table)} may choose {', '.join(sorted(chosen))}.")


def _owns(txn: Transaction, client: Client, table: Table) -> bool:
    return bool(Access(txn.model, client).table(table, "owner"))


def use_leases(txn: Transaction, client: Client, table: Table, fields: Sequence[Field], rows: Iterable[Row]) -> None:
    """
    Take away the leases of the RIDs in rows whose client chose them and is no owner; an owner needs none.

    Raises:
        Forbidden: a RID is not reserved by this client.
    """
    place = next((i for i, field in enumerate(fields) if field.column.name == "RID"), None)
    leases = txn.model.find_table("public", "ERMrest_RID_Lease")
    if place is None or _owns(txn, client, table):
        return
    rids = {canonical(str(row[place])) for row in rows}
    if leases is not None:
        rid, owner = leases.rid_column.sql, leases.by_name["RCB"].sql
        sql = f"DELETE FROM {leases.live} WHERE {rid} IN (SELECT value FROM json_each(?)) AND {owner} IS ?"
        txn.db.execute(sql, (ENCODE([text for text in rids if text]), client.id))
    if leases is None or txn.db.changes() != len(rids):
        raise client.refusal("RIDs can be chosen by owners, and by those who reserved them in ERMrest_RID_Lease.")

"""
The tables that every catalog has: who used it, their groups, and leased RIDs.

Source: ERMrest docs, "Client Table", "Group Table", "RID Lease table"; columns as observed ("system-schema").
"""

from __future__ import annotations

import json
from typing import Any

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.creating import create_schema
from deriva_ml_core.local_catalog.ermrest.draft import Draft
from deriva_ml_core.local_catalog.ermrest.model import Document, Table
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, Transaction, View
from deriva_ml_core.local_catalog.ermrest.typenames import SYSTEM_TYPES

_OWN_LEASES = {
    "lessee_access": {
        "types": ["select", "update", "delete"],
        "projection": ["RCB"],
        "projection_type": "acl",
        "scope_acl": ["*"],
    }
}


def _columns(*own: tuple[str, str, bool]) -> list[Document]:
    system = [{"name": name, "type": column_type.document()} for name, column_type in SYSTEM_TYPES.items()]
    return system + [{"name": name, "type": {"typename": typename}, "nullok": nullok} for name, typename, nullok in own]


_PUBLIC: Document = {
    "schema_name": "public",
    "comment": "standard public schema",
    "tables": {
        "ERMrest_Client": {
            "column_definitions": _columns(
                ("ID", "text", False),
                ("Display_Name", "text", True),
                ("Full_Name", "text", True),
                ("Email", "text", True),
                ("Client_Object", "jsonb", False),
            ),
            "keys": [{"unique_columns": ["RID"]}, {"unique_columns": ["ID"]}],
            "acls": {"insert": [], "update": [], "delete": [], "select": [], "enumerate": []},
        },
        "ERMrest_Group": {
            "column_definitions": _columns(
                ("ID", "text", False),
                ("URL", "text", True),
                ("Display_Name", "text", True),
                ("Description", "text", True),
            ),
            "keys": [{"unique_columns": ["RID"]}, {"unique_columns": ["ID"]}],
            "acls": {"insert": [], "update": [], "delete": [], "select": [], "enumerate": []},
        },
        "ERMrest_RID_Lease": {
            "column_definitions": _columns(("ID", "text", True)),
            "keys": [{"unique_columns": ["RID"]}, {"unique_columns": ["RCB", "ID"]}],
            "acls": {"select": [], "update": [], "delete": []},
            "acl_bindings": _OWN_LEASES,
        },
    },
}


def populate(txn: Transaction, client: Client, owner: list[str], annotations: Document) -> None:
    """Fill a new catalog: its owners, its annotations, the public schema, and its first client."""
    draft = Draft(txn, Client(client.id, client.display_name, client.attributes, admin=True))
    draft.acls = {"owner": owner}
    draft.annotations = annotations
    create_schema(draft, _PUBLIC)
    draft.finish()
    _add_client(txn, client)


def remember(catalog: Catalog, client: Client) -> None:
    """Give a client its row in ERMrest_Client, if it has none."""
    with catalog.read() as view:
        if _is_known(view, client):
            return
    with catalog.write(client.id) as txn:
        if not _is_known(txn, client):
            _add_client(txn, client)
            txn.changed()


def _client_table(snapshot: View | Transaction) -> Table:
    table = snapshot.model.find_table("public", "ERMrest_Client")
    assert table is not None  # altering.py keeps it
    return table


def _is_known(snapshot: View | Transaction, client: Client) -> bool:
    table = _client_table(snapshot)
    sql = f"SELECT 1 FROM {table.live} WHERE {table.by_name['ID'].sql} = ?"
    return snapshot.db.execute(sql, (client.id,)).fetchone() is not None


def _add_client(txn: Transaction, client: Client) -> None:
    if client.id is None:
        return
    table = _client_table(txn)
    who = {"id": client.id, "display_name": client.display_name}
    values: dict[str, Any] = {
        "RID": txn.allocate_rids(1)[0],
        "RCT": txn.now,
        "RMT": txn.now,
        "RCB": client.id,
        "RMB": client.id,
        "ID": client.id,
        "Display_Name": client.display_name,
        "Full_Name": client.display_name,
        # jsonb in PostgreSQL's spelling: keys by length, then bytes.
        "Client_Object": json.dumps(dict(sorted(who.items(), key=lambda item: (len(item[0]), item[0])))),
    }
    columns = ", ".join(table.by_name[name].sql for name in values)
    marks = ", ".join("?" * len(values))
    txn.db.execute(f"INSERT INTO {table.live} ({columns}) VALUES ({marks})", tuple(values.values()))

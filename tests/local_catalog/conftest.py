"""
A catalog to ask for rows, in process: the real application on a real folder, without sockets.

    rows        a catalog for the whole test process; `rows.table(...)` makes a table with a name of its own
"""

import itertools
import json
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.ermrest.typenames import SYSTEM_TYPES, type_named
from deriva_ml_core.local_catalog.root import Root


class RowService:
    """One catalog of an application."""

    def __init__(self, app):
        self._client = Client(app)
        self._numbers = itertools.count(1)
        self.catalog = "/ermrest/catalog/" + self.ask("POST", "/ermrest/catalog", json={}).json["id"]

    def ask(self, method, url, *, headers=None, **body):
        """One request, its path as it is: werkzeug's client would unescape it."""
        target = {"REQUEST_URI": url, "RAW_URI": url, "QUERY_STRING": url.partition("?")[2]}
        return self._client.open(method=method, environ_overrides=target, headers=headers or {}, **body)

    def get(self, path, **headers):
        """GET of a data URL."""
        return self.ask("GET", f"{self.catalog}/{path}", headers=headers)

    def rows(self, path):
        """The rows that a data URL names."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json

    def write(self, method, path, rows, content_type="application/json", **headers):
        """POST or PUT of rows."""
        data = json.dumps(rows) if content_type == "application/json" and not isinstance(rows, (str, bytes)) else rows
        return self.ask(method, f"{self.catalog}/{path}", data=data, content_type=content_type, headers=headers)

    def delete(self, path):
        """DELETE of a data URL."""
        return self.ask("DELETE", f"{self.catalog}/{path}")

    def table(self, columns, keys=(), references=()):
        """
        A new table in a schema of its own; returns its URL name.

        Args:
            columns: {name: typename}.
            keys: lists of columns.
            references: (column, table URL name, column there).
        """
        schema = f"S{next(self._numbers)}"
        names = {name: {"name": name, "type": t.document()} for name, t in SYSTEM_TYPES.items()}
        names |= {name: {"name": name, "type": type_named(t).document()} for name, t in columns.items()}
        for name in ("RID", "RCT", "RMT"):
            names[name]["nullok"] = False
        document = {
            "schema_name": schema,
            "table_name": "T",
            "column_definitions": list(names.values()),
            "keys": [{"unique_columns": ["RID"]}, *({"unique_columns": list(key)} for key in keys)],
            "foreign_keys": [_reference(schema, *reference) for reference in references],
        }
        body = {"schemas": {schema: {"schema_name": schema, "tables": {"T": document}}}}
        answer = self.ask("POST", f"{self.catalog}/schema", json=body)
        assert answer.status_code == 201, answer.text
        return f"{quote(schema)}:T"


def _reference(schema, column, target, to_column):
    to_schema, to_table = target.split(":")
    return {
        "foreign_key_columns": [{"schema_name": schema, "table_name": "T", "column_name": column}],
        "referenced_columns": [{"schema_name": to_schema, "table_name": to_table, "column_name": to_column}],
    }


@pytest.fixture
def client(local_server):
    """Of a server on this machine, as its owner."""
    found = HttpClient(local_server.url, credential=local_server.credential)
    yield found
    found.close()


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    with Root(tmp_path_factory.mktemp("rows")) as root:
        yield RowService(Application(root))

"""Any sequence of model changes leaves SQLite declared as the model says, and its constraints in force."""

import itertools
import json
from types import SimpleNamespace

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.ermrest.soundness import defects
from deriva_ml_core.local_catalog.root import Root

SYSTEM = [
    {"name": name, "type": {"typename": f"ermrest_{name.lower()}"}} for name in ("RID", "RCT", "RMT", "RCB", "RMB")
]
COLUMNS, TABLES = "abc", ("A", "B")
ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
TYPES = ("text", "int4", "float8", "markdown", "jsonb")
numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = Root(tmp_path_factory.mktemp("root"))
    client = Client(Application(root))

    def ask(method, path, document=None, base="/ermrest/catalog/1"):
        body = {} if document is None else {"data": json.dumps(document), "content_type": "application/json"}
        return client.open("/", method=method, environ_overrides={"REQUEST_URI": base + path}, **body)

    ask("POST", "/ermrest/catalog", base="")
    yield SimpleNamespace(ask=ask, file=root.path / "catalogs" / "1" / "catalog.db")
    root.close()


tables, columns, actions = st.sampled_from(TABLES), st.sampled_from(COLUMNS), st.sampled_from(ACTIONS)
column_lists = st.lists(columns, min_size=1, max_size=2, unique=True)
nullable, typenames = st.booleans(), st.sampled_from(TYPES)
changes = st.one_of(
    st.tuples(st.just("table"), tables),
    st.tuples(st.just("drop table"), tables),
    st.tuples(st.just("column"), tables, columns, typenames, nullable),
    st.tuples(st.just("drop column"), tables, columns),
    st.tuples(st.just("nullok"), tables, columns, nullable),
    st.tuples(st.just("type"), tables, columns, typenames),
    st.tuples(st.just("rename"), tables, columns, columns),
    st.tuples(st.just("key"), tables, column_lists),
    st.tuples(st.just("drop key"), tables, column_lists),
    st.tuples(st.just("reference"), tables, columns, tables, columns, actions, actions),
    st.tuples(st.just("alter reference"), tables, columns, tables, columns, actions),
    st.tuples(st.just("drop reference"), tables, columns, tables, columns),
    st.tuples(st.just("row"), tables, st.dictionaries(columns, st.integers(0, 3).map(str), max_size=3)),
    st.tuples(st.just("delete rows"), tables, columns, st.integers(0, 3).map(str)),
)


def request_of(schema, kind, table, *rest):  # noqa: C901 - a table of requests, one a case
    """The method, path and document of one change."""
    here = f"/schema/{schema}/table/{table}"
    reference = f"{here}/foreignkey/{rest[0]}/reference/{schema}:{rest[1]}/{rest[2]}" if "reference" in kind else ""
    match kind, *rest:
        case ["table"]:
            return "POST", f"/schema/{schema}/table", table_document(table)
        case ["drop table"]:
            return "DELETE", here, None
        case ["column", name, typename, nullok]:
            column = {"name": name, "type": {"typename": typename}, "nullok": nullok, "default": "1"}
            return "POST", f"{here}/column", column
        case ["drop column", name]:
            return "DELETE", f"{here}/column/{name}", None
        case ["nullok", name, nullok]:
            return "PUT", f"{here}/column/{name}", {"nullok": nullok}
        case ["type", name, typename]:
            return "PUT", f"{here}/column/{name}", {"type": {"typename": typename}}
        case ["rename", name, other]:
            return "PUT", f"{here}/column/{name}", {"name": other}
        case ["key", names]:
            return "POST", f"{here}/key", {"unique_columns": names}
        case ["drop key", names]:
            return "DELETE", f"{here}/key/{','.join(names)}", None
        case ["reference", name, to_table, to_column, on_delete, on_update]:
            return "POST", f"{here}/foreignkey", fkey(schema, table, name, to_table, to_column, on_delete, on_update)
        case ["alter reference", _, _, _, on_delete]:
            return "PUT", reference, {"on_delete": on_delete}
        case ["drop reference", *_]:
            return "DELETE", reference, None
        case ["row", values]:
            return "POST", f"/entity/{schema}:{table}", [values]
        case ["delete rows", name, value]:
            return "DELETE", f"/entity/{schema}:{table}/{name}={value}", None
    raise AssertionError(kind)


def table_document(name):
    text = [{"name": column, "type": {"typename": "text"}} for column in COLUMNS]
    return {
        "table_name": name,
        "column_definitions": SYSTEM + text,
        "keys": [{"unique_columns": ["RID"]}, {"unique_columns": ["a"]}],
    }


def fkey(schema, table, column, to_table, to_column, on_delete, on_update):
    return {
        "foreign_key_columns": [{"schema_name": schema, "table_name": table, "column_name": column}],
        "referenced_columns": [{"schema_name": schema, "table_name": to_table, "column_name": to_column}],
        "on_delete": on_delete,
        "on_update": on_update,
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, max_size=25))
def test_sqlite_follows_the_model(server, steps):
    """Refused or done, every change leaves a sound file, and at the end each row keeps each constraint."""
    schema = f"S{next(numbers)}"
    tables = {name: table_document(name) for name in TABLES}
    assert server.ask("POST", "/schema", {"schemas": {schema: {"tables": tables}}}).status_code == 201

    for step in steps:
        response = server.ask(*request_of(schema, *step))
        assert response.status_code < 500, (step, response.text)

    db = apsw.Connection(str(server.file), flags=apsw.SQLITE_OPEN_READONLY)
    assert db.execute("PRAGMA integrity_check").get == "ok"
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    assert list(defects(server.file)) == []

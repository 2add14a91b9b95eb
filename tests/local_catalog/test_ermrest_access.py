"""Rights in a catalog, as ERMrest's "Static ACL Technical Reference" has them, over WSGI."""

import json
from types import SimpleNamespace

import pytest
from werkzeug.test import Client

from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.ermrest.soundness import defects
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users

SYSTEM = [
    {"name": name, "type": {"typename": f"ermrest_{name.lower()}"}} for name in ("RID", "RCT", "RMT", "RCB", "RMB")
]


def table(name, *columns, fkeys=()):
    own = [{"name": column, "type": {"typename": "text"}} for column in columns]
    keys = [{"unique_columns": ["RID"]}, {"unique_columns": [columns[0]]}]
    return {
        "schema_name": "S",
        "table_name": name,
        "column_definitions": SYSTEM + own,
        "keys": keys,
        "foreign_keys": fkeys,
    }


@pytest.fixture
def server(tmp_path):
    """A catalog of the boss with schema S and table T (a, b); `ask(who, method, path, document)` gives the response."""
    root = Root(tmp_path)
    users = Users(root.registry)
    tokens = {"boss": users.add("boss", admin=True), "ann": users.add("ann", admin=False)}
    tokens["eve"] = users.add("eve", admin=False)
    client = Client(Application(root))

    def ask(who, method, path, document=None, base="/ermrest/catalog/1", **headers):
        if who != "nobody":
            headers["Authorization"] = f"Bearer {tokens[who]}"
        body = {} if document is None else {"data": json.dumps(document), "content_type": "application/json"}
        return client.open("/", method=method, headers=headers, environ_overrides={"REQUEST_URI": base + path}, **body)

    ask("boss", "POST", "/ermrest/catalog", base="")
    made = ask("boss", "POST", "/schema", [{"schema_name": "S"}, table("T", "a", "b")])
    assert made.status_code == 201
    assert ask("boss", "POST", "/entity/S:T", [{"a": "1", "b": "x"}]).status_code == 200
    yield SimpleNamespace(ask=ask, root=root)
    root.close()


def grant(server, path, **acls):
    for name, acl in acls.items():
        assert server.ask("boss", "PUT", f"{path}/acl/{name}", acl).status_code == 200


def test_write_implies_the_other_data_rights(server):
    """write: insert, update, delete and select."""
    grant(server, "", enumerate=["*"], write=["ann"])

    assert server.ask("ann", "POST", "/entity/S:T", [{"a": "2"}]).json[0]["RCB"] == "ann"
    assert server.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "2", "b": "y"}]).status_code == 200
    assert server.ask("ann", "DELETE", "/entity/S:T/a=2").status_code == 204
    assert server.ask("eve", "GET", "/entity/S:T").status_code == 403


def test_a_table_overrides_what_it_inherits(server):
    """A list of its own, even an empty one, takes the place of the catalog's."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T", select=[])

    assert server.ask("ann", "GET", "/entity/S:T").status_code == 403
    assert server.ask("nobody", "GET", "/entity/S:T").status_code == 401
    assert server.ask("boss", "GET", "/entity/S:T").status_code == 200


def test_ownership_is_inherited_and_adds_up(server):
    """A schema's owner owns its tables; the catalog's owner still does."""
    grant(server, "", enumerate=["*"])
    grant(server, "/schema/S", owner=["ann"])

    rights = server.ask("ann", "GET", "/schema/S/table/T").json["rights"]
    assert set(rights.values()) == {True}
    assert (
        server.ask("ann", "POST", "/schema/S/table/T/column", {"name": "c", "type": {"typename": "int4"}}).status_code
        == 201
    )
    assert server.ask("ann", "POST", "/schema/New").status_code == 403
    assert server.ask("boss", "GET", "/schema/S/table/T/acl").status_code == 200


def test_whoever_creates_owns_what_they_made(server):
    """The right create on a schema lets a client add a table, which then is theirs, and nothing else."""
    grant(server, "", enumerate=["*"])
    grant(server, "/schema/S", create=["ann"])

    made = server.ask("ann", "POST", "/schema/S/table", table("U", "k"))

    assert (made.status_code, made.json["acls"]) == (201, {"owner": ["ann"]})
    assert server.ask("ann", "PUT", "/schema/S/table/U/annotation/x", 1).status_code == 201
    assert server.ask("ann", "PUT", "/schema/S/table/T/annotation/x", 1).status_code == 403
    assert server.ask("ann", "DELETE", "/schema/S/table/U").status_code == 204


def test_hidden_elements_are_left_out(server):
    """What a client may not enumerate is not in the model that it sees, nor does its URL answer."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", enumerate=[], select=[], insert=[], update=[], write=[])

    seen = server.ask("ann", "GET", "/schema").json

    assert [c["name"] for c in seen["schemas"]["S"]["tables"]["T"]["column_definitions"]][5:] == ["a"]
    assert "acls" not in json.dumps(seen)
    assert seen["schemas"]["public"]["tables"].keys() == {"ERMrest_RID_Lease"}
    assert server.ask("ann", "GET", "/schema/S/table/T/column/b").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "entity/S:T",
        "attribute/S:T/*",
        "attribute/X:=S:T/X:*",
        "aggregate/S:T/all:=array(*)",
        "aggregate/X:=S:T/all:=array_d(X:*)",
        "attributegroup/S:T/a;all:=array(*)",
        "entity/S:T/*::ciregexp::1",
        "entity/S:T/!*::ciregexp::x/a=1",
    ],
)
def test_a_hidden_column_is_in_no_row(server, path):
    """Where a URL does not name columns, those that the client may not select are left out, also of aggregates."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", select=[])

    seen = server.ask("ann", "GET", f"/{path}")

    assert seen.status_code == 200
    assert '"x"' not in seen.text
    assert '"1"' in seen.text


@pytest.mark.parametrize(
    "path", ["attribute/S:T/b", "entity/S:T/b=x", "entity/S:T/b::ciregexp::x", "aggregate/S:T/n:=max(b)"]
)
def test_a_hidden_column_may_not_be_asked_for(server, path):
    """Nor may a client use a column that it may not select: filters and aggregates would tell."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", select=[])

    assert server.ask("ann", "GET", f"/{path}").status_code == 403


def test_everybody_may_not_change_anything(server):
    """No list that grants changes may name everybody, except those of foreign keys."""
    for name in ("owner", "create", "insert", "update", "delete", "write"):
        assert server.ask("boss", "PUT", f"/schema/S/acl/{name}", ["*"]).status_code == 400
    assert server.ask("boss", "PUT", "/schema/S/table/T/column/a/acl/update", ["*"]).status_code == 400


def test_a_foreign_key_decides_who_may_refer(server):
    """Without the foreign key's insert right rows may be added, but not with a reference."""
    reference = {
        "foreign_key_columns": [{"schema_name": "S", "table_name": "C", "column_name": "t"}],
        "referenced_columns": [{"schema_name": "S", "table_name": "T", "column_name": "a"}],
    }
    assert server.ask("boss", "POST", "/schema/S/table", table("C", "t", fkeys=[reference])).status_code == 201
    grant(server, "", enumerate=["*"], write=["ann"])
    path = "/schema/S/table/C/foreignkey/t/reference/S:T/a"

    assert server.ask("ann", "GET", path).json[0]["rights"] == {"insert": True, "update": True}
    grant(server, path, insert=["eve"])
    assert server.ask("ann", "GET", path).json[0]["rights"] == {"insert": False, "update": True}
    assert server.ask("ann", "POST", "/entity/S:C", [{"t": "1"}]).status_code == 403


def test_the_past_needs_the_rights_of_then_and_today(server):
    """A right given later does not open the past; a right taken closes it."""
    closed = server.ask("boss", "GET", "").json["snaptime"]
    grant(server, "", enumerate=["*"], select=["*"])
    opened = server.ask("boss", "GET", "").json["snaptime"]

    def read(snaptime):
        return server.ask("ann", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}").status_code

    assert (read(closed), read(opened)) == (403, 200)
    grant(server, "/schema/S/table/T", select=[])
    assert read(opened) == 403


def test_a_dynamic_binding_shows_as_null_and_grants_nothing_here(server):
    """The decision would depend on the row; it is not made here, so the request is refused."""
    binding = {"types": ["update"], "projection": ["RCB"], "projection_type": "acl"}
    grant(server, "", enumerate=["*"])
    assert server.ask("boss", "PUT", "/schema/S/table/T/acl_binding/own", binding).status_code == 200

    rights = server.ask("ann", "GET", "/schema/S/table/T").json["rights"]

    assert rights == {"owner": False, "insert": False, "update": None, "delete": False, "select": None}
    assert server.ask("ann", "GET", "/entity/S:T").status_code == 403


def test_a_client_leaves_its_row(server):
    """The first request of a client writes it into ERMrest_Client, once."""
    for _ in range(2):
        server.ask("ann", "GET", "")
    found = server.ask("boss", "GET", "/attribute/public:ERMrest_Client/ID,Display_Name@sort(ID)").json

    assert found == [{"ID": "ann", "Display_Name": "ann"}, {"ID": "boss", "Display_Name": "boss"}]


def test_an_owner_cannot_be_shut_out(server):
    """A catalog keeps an owner, and its maker is one."""
    assert server.ask("boss", "PUT", "/acl/owner", ["ann"]).status_code == 403
    assert server.ask("boss", "DELETE", "/acl/owner").status_code == 403
    assert server.ask("boss", "PUT", "/acl", {"select": ["*"]}).status_code == 403
    assert server.ask("boss", "POST", "/ermrest/catalog", {"owner": ["ann"]}, base="").status_code == 403
    assert server.ask("boss", "PUT", "/acl", {"owner": ["boss", "ann"]}).status_code == 200


def test_a_row_of_a_dropped_table_is_found_as_deleted(server):
    """entity_rid knows where a row was when its table went."""
    rid = server.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    last = server.ask("boss", "GET", "").json["snaptime"]
    assert server.ask("boss", "DELETE", "/schema/S/table/T").status_code == 204

    found = server.ask("boss", "GET", f"/entity_rid/{rid.lower()}").json

    assert (found["RID"], found["table_name"], found["last_visible_snaptime"]) == (rid, "T", last)


def test_truncated_history_keeps_what_is_younger(server):
    """What had ended is forgotten; every later snapshot, its rows and its model, reads as before."""

    def read(snaptime):
        answer = server.ask("boss", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}")
        return answer.json if answer.status_code == 200 else answer.status_code

    def now():
        return server.ask("boss", "GET", "").json["snaptime"]

    first = now()
    server.ask("boss", "PUT", "/attributegroup/S:T/a;b", [{"a": "1", "b": "y"}])
    second = now()
    server.ask("boss", "DELETE", "/schema/S/table/T/column/b")
    kept = read(second), read(now())

    assert server.ask("ann", "DELETE", f"/history/,{second}").status_code == 403
    assert server.ask("boss", "DELETE", "/history/,").status_code == 400
    assert server.ask("boss", "DELETE", f"/history/,{second}").status_code == 204
    assert read(first) == 409
    assert (read(second), read(now())) == kept
    found = server.ask("boss", "GET", "/history/,").json
    assert (found["snaprange"], found["amendver"]) == ([second, now()], now())
    assert list(defects(server.root.path / "catalogs" / "1" / "catalog.db")) == []


def test_a_truncated_table_is_gone_for_good(server):
    """A table that was deleted before leaves nothing in the file."""
    rid = server.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    server.ask("boss", "DELETE", "/schema/S/table/T")
    snaptime = server.ask("boss", "GET", "").json["snaptime"]

    assert server.ask("boss", "DELETE", f"/history/,{snaptime}").status_code == 204
    assert server.ask("boss", "GET", f"/entity_rid/{rid}").status_code == 404
    assert server.ask("boss", "POST", "/schema/S/table", table("T", "a")).status_code == 201
